"""Your own loss, optimizer, schedule, augmentation and metric: a function each, where a built-in's name would stand.

    archsearch run examples/own_functions.py

Configs and reports show their names. The loss is searched beside the built-in one, so the study says which is better;
val_loss is that of "auto" for all trials. Twenty configurations on scikit-learn's digits take ten seconds on two cores.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from archsearch import MLP, TPE, Choice, Float, Recipe, Study, Supervised, digits


def focal(predictions: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. (2017), "Focal loss for dense object detection", eq. 4: easy samples count for less."""
    loss = cross_entropy(predictions, targets, reduction="none")
    return (1 - torch.exp(-loss)) ** 2 * loss  # (batch,); their mean would do, too


def nadam(params: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.NAdam(params, lr, betas=(0.95, 0.999), weight_decay=weight_decay)


def square_root(epoch: float, epochs: int) -> float:
    """The factor for the learning rate, before every step; epoch is 2.5 in the middle of the third."""
    return (1 - epoch / epochs) ** 0.5


def darker(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of a batch (batch, 8, 8) loses up to a third of its contrast."""
    share = torch.rand(len(images), 1, 1, generator=generator, device=images.device)
    return images * (1 - share / 3)


def confidence(predictions: Tensor, targets: Tensor) -> float:
    """The mean probability of the right class; predictions (n, classes) are probabilities."""
    return predictions[torch.arange(len(targets)), targets].mean().item()


study = Study(
    name="own-functions",
    objective=Supervised(
        data=digits(),
        network=MLP(layers=2, units=64),
        recipe=Recipe(
            learning_rate=Float(1e-4, 1e-1, log=True),
            optimizer=nadam,
            schedule=square_root,
            augmentation=darker,
            loss=Choice("auto", "focal"),
            functions={"focal": focal},  # what a Choice names
        ),
        metrics=(confidence,),  # reported as val_confidence
    ),
    maximize="val_confidence",
    strategy=TPE(),
    trials=20,
    budget=10,
)
