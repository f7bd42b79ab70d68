"""Rehearsal of custom functions and techniques on a few samples, before a study starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from archsearch.search.protocols import TrialContext
from archsearch.search.training.loop import Loop
from archsearch.search.training.losses import Losses
from archsearch.search.training.recipe import Recipe
from archsearch.search.training.tensors import Tensors
from archsearch.search.user_code import describe
from archsearch.spaces import SpecError
from archsearch.spaces.networks import Network, StackedNetwork

BUILT_IN = {"augmentation": "none", "loss": "auto", "optimizer": "adamw", "schedule": "constant"}


def rehearse_training(
    network: Network | StackedNetwork, recipe: Recipe, config: Mapping[str, Any], data: Tensors
) -> None:
    """Restore the state of a new training into another one, and train the config's network for one epoch.

    Args:
        network: The network family.
        recipe: The recipe with the custom functions and techniques.
        config: The config to try.
        data: A few samples.

    Raises:
        SpecError: A custom function returns an invalid value.
        Exception: Any exception that a custom function or technique raises.
    """
    trial = TrialContext(0, 1, dict(config), 1, 0)
    first, second = (Loop(network, data, [trial], 1, ("val_loss",), recipe) for _ in range(2))
    second.restore(first.state())
    second.epoch()
    if (own := recipe.function("loss", {"loss": "auto", **config})) is not None:
        _check_loss(str(config["loss"]), Losses([{}], data, own), data)


def rehearse_functions(
    network: Network | StackedNetwork, recipe: Recipe, config: Mapping[str, Any], data: Tensors
) -> None:
    """Try each custom function of the recipe in a training in which everything else is built in.

    Args:
        network: The network family.
        recipe: The recipe with the custom functions.
        config: The config of the network and of the other arguments.
        data: A few samples.

    Raises:
        SpecError: A function fails or returns an invalid value.
    """
    built_in = replace(recipe, techniques=())
    # A loss that returns a mean is valid, although not in a config with mixup or class weights.
    config = {name: value for name, value in config.items() if name not in ("mixup", "class_weights")}
    config |= {**BUILT_IN, "batch_size": len(data.train_targets)}
    try:
        rehearse_training(network, built_in, config, data)
    except Exception:  # noqa: BLE001 - a user's network may raise anything
        return  # the network fails with any function; this is found when configurations are rehearsed
    for argument, name in recipe.own_functions:
        try:
            rehearse_training(network, built_in, {**config, argument: name}, data)
        except SpecError:
            raise
        except Exception as error:
            raise SpecError(
                f"Recipe {argument} {name} fails on {len(data.train_targets)} samples: {describe(error)}; fix the "
                "function"
            ) from error


def _check_loss(name: str, losses: Losses, data: Tensors) -> None:
    """Raise SpecError unless the loss of standard normal predictions is finite, and the mean over the samples."""
    targets = data.train_targets.unsqueeze(0)
    predictions = torch.randn(
        1, targets.shape[1], data.outputs, generator=torch.Generator().manual_seed(0), requires_grad=True
    )

    def mean(times: int) -> Tensor:
        """The mean loss of the samples, each taken so many times."""
        return losses.trained(torch.cat([predictions] * times, dim=1), torch.cat([targets] * times, dim=1)).mean()

    once = mean(1)
    if not once.isfinite():
        raise SpecError(
            f"Recipe loss {name} is {once.item()} for standard normal predictions; keep the arguments of logarithms, "
            "roots and divisions away from 0"
        )
    if once.abs() > 1e-6 and torch.isclose(mean(3), 3 * once, rtol=1e-3):
        raise SpecError(
            f"Recipe loss {name} returns the sum over the samples, which grows with the batch size; return the loss of "
            "each sample, or their mean: .mean() in place of .sum()"
        )
