"""Rehearsal of custom functions and techniques: one epoch of one step, on a few samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from archsearch.search.protocols import TrialContext
from archsearch.search.training.loop import Loop
from archsearch.search.training.losses import Losses
from archsearch.search.training.recipe import Recipe
from archsearch.search.training.tensors import Tensors
from archsearch.spaces import SpecError
from archsearch.spaces.networks import Network, StackedNetwork


def rehearse_training(
    network: Network | StackedNetwork, recipe: Recipe, config: Mapping[str, Any], data: Tensors
) -> None:
    """Restore the state of a new training into another one, and train the config's network for one step.

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
        _check_finite(config, data, Losses([{}], data, own))


def _check_finite(config: Mapping[str, Any], data: Tensors, losses: Losses) -> None:
    predictions = torch.randn(
        1, len(data.train_targets), data.outputs, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    loss = losses.trained(predictions, data.train_targets.unsqueeze(0)).mean()
    if not loss.isfinite():
        raise SpecError(
            f"Recipe loss {config['loss']} is {loss.item()} for standard normal predictions; keep the arguments of "
            "logarithms, roots and divisions away from 0"
        )
