"""Constraints on the weight updates: block-coordinate descent, and projection onto a norm ball.

- local updates: each step updates only a block of the layers, the fraction `block_fraction` of them (at least one), and
  keeps all others unchanged (block-coordinate descent: Nesterov, 2012, "Efficiency of coordinate descent methods on
  huge-scale optimization problems", section 2). "random" draws a new block at each step, "cyclic" takes the next layers
  in turn, and "last" always takes the layers closest to the output.
- projection: after each step, every weight tensor whose norm exceeds `max_norm` is scaled down to it, which is the
  nearest point of the ball (projected gradient descent). Biases and other one-dimensional parameters are not projected.

A layer is the parameters of one module: its weights and biases are updated together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archsearch.search.training.gradients import norms
from archsearch.search.training.technique import Technique, Training

LOCAL_UPDATES = ("cyclic", "last", "none", "random")

_TINY = 1e-12  # avoids a division by 0


class Blocks(Technique):
    """Local updates. All rows choose their blocks in the same way; the block size is each row's own."""

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether updates are local; it is the same for all rows of a stack."""
        return str(configs[0].get("local_updates", "none")) != "none"

    def training_begins(self, training: Training) -> None:
        configs = training.configs
        self._way = str(configs[0]["local_updates"])
        self._rngs = [np.random.default_rng(seed) for seed in training.seeds]
        self._turn = 0
        self._kept = training.weights.clone()
        self._layer_of, self._layers = _layer_of(training.model, training.weights)
        self._sizes = [max(1, math.ceil(config.get("block_fraction", 1.0) * self._layers)) for config in configs]

    def epoch_begins(self, training: Training) -> None:
        """Choose the blocks for all steps of the epoch at once."""
        rows = zip(self._sizes, self._rngs, strict=True)
        chosen = np.stack([self._choose(training.steps, *row) for row in rows], axis=1)
        self._chosen = torch.from_numpy(chosen).to(training.device)  # (steps, K, layers)
        self._turn += training.steps

    def step_begins(self, training: Training, gradient: Tensor) -> None:
        self._kept.copy_(training.weights)

    def step_ends(self, training: Training) -> None:
        """Undo the update outside the blocks."""
        moved = self._chosen[training.step].index_select(1, self._layer_of)  # (K, P)
        training.weights.copy_(torch.where(moved, training.weights, self._kept))

    def state(self) -> dict[str, Any]:
        return {"rngs": [rng.bit_generator.state for rng in self._rngs], "turn": self._turn}

    def restore(self, state: Mapping[str, Any]) -> None:
        for rng, kept in zip(self._rngs, state["rngs"], strict=True):
            rng.bit_generator.state = kept
        self._turn = state["turn"]

    def _choose(self, steps: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """A boolean mask (steps, layers), with `size` layers selected at each step."""
        chosen = np.zeros((steps, self._layers), dtype=bool)
        match self._way:
            case "random":
                places = rng.random((steps, self._layers)).argsort(axis=1)[:, :size]
            case "cyclic":
                turns = self._turn + np.arange(steps)[:, None]
                places = (turns * size + np.arange(size)) % self._layers
            case _:
                places = np.tile(np.arange(self._layers - size, self._layers), (steps, 1))
        np.put_along_axis(chosen, places, True, axis=1)
        return chosen


class Ball(Technique):
    """Projects the weights onto a norm ball, with a radius of each row's own; infinite for rows without one."""

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any row sets `max_norm`."""
        return any(config.get("max_norm") is not None for config in configs)

    def training_begins(self, training: Training) -> None:
        weights, given = training.weights, [config.get("max_norm") for config in training.configs]
        radii = [torch.inf if radius is None else radius for radius in given]
        self._radius = weights.new_tensor(radii).view(-1, 1)
        self._weights = [weights[:, a:b] for a, b, axes in _places(training.model, len(weights)) if axes > 1]

    def step_ends(self, training: Training) -> None:
        for weights in self._weights:
            weights.mul_((self._radius / norms(weights).clamp(min=_TINY)).clamp(max=1))


def _places(model: nn.Module, rows: int) -> list[tuple[int, int, int]]:
    """For each trained parameter: its start and stop in the flat tensor, and its number of axes longer than 1.

    The axis of the rows, K, is not counted.
    """
    places, start = [], 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel() // rows
            # A single network may be stored without the axis of the rows; that of a stack of one is not longer than 1.
            axes = sum(side > 1 for side in parameter.shape[1 if rows > 1 else 0 :])
            places.append((start, stop, axes))
            start = stop
    return places


def _layer_of(model: nn.Module, values: Tensor) -> tuple[Tensor, int]:
    """The layer index of each of the P flat values, and the number of layers. Padding belongs to the last layer."""
    named = [(name.rpartition(".")[0], p) for name, p in model.named_parameters() if p.requires_grad]
    sizes = [
        sum(parameter.numel() // len(values) for _, parameter in group)
        for _, group in groupby(named, key=lambda pair: pair[0])
    ]
    number = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    rest = torch.full((values.shape[1] - len(number),), len(sizes) - 1)
    return torch.cat([number, rest]).to(values.device), len(sizes)
