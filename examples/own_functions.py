"""A loss, optimizer, schedule, augmentation and metric of your own: functions instead of the names of built-in ones.

    archsearch run examples/own_functions.py

Configs and reports show their names. The study compares the loss with the built-in one, "auto"; val_loss is always the
built-in loss. Twenty configurations on scikit-learn's digits take ten seconds on two cores.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from archsearch import MLP, TPE, Choice, Float, Recipe, Study, Supervised, digits


def focal(predictions: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. (2017), "Focal loss for dense object detection", eq. 4: easy samples have less weight."""
    loss = cross_entropy(predictions, targets, reduction="none")
    return (1 - torch.exp(-loss)) ** 2 * loss  # (batch,); the mean would also be accepted


def nadam(params: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.NAdam(params, lr, betas=(0.95, 0.999), weight_decay=weight_decay)


def square_root(epoch: float, epochs: int) -> float:
    """The factor on the learning rate, called before each step; epoch is 2.5 in the middle of the third epoch."""
    return (1 - epoch / epochs) ** 0.5


def darker(images: Tensor, generator: torch.Generator) -> Tensor:
    """Reduces the contrast of each image of a batch (batch, 8, 8) by up to a third."""
    share = torch.rand(len(images), 1, 1, generator=generator, device=images.device)
    return images * (1 - share / 3)


def confidence(predictions: Tensor, targets: Tensor) -> float:
    """The mean probability of the correct class; predictions (n, classes) are probabilities."""
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
            functions={"focal": focal},  # the functions that a Choice names
        ),
        metrics=(confidence,),  # reported as val_confidence
    ),
    maximize="val_confidence",
    strategy=TPE(),
    trials=20,
    budget=10,
)
