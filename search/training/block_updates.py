"""Where on the weights a step may act: blocks of layers, and a ball that they may not leave.

- local updates: each step changes only a block of the layers, the share `block_fraction` of them (at least one), and
  leaves all others as they are (block-coordinate descent: Nesterov, 2012, "Efficiency of coordinate descent methods on
  huge-scale optimization problems", section 2). "random": drawn anew at each step; "cyclic": the next ones in turn;
  "last": always those nearest to the output.
- projection: after each step, every weight tensor of a norm above `max_norm` is scaled back to that norm, which is the
  nearest point of the ball (projected gradient descent). Biases, and all else that is one line of numbers, are left.

A layer is what one module holds: its weights and its biases go together.
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

LOCAL_UPDATES = ("cyclic", "last", "none", "random")

_TINY = 1e-12  # against a division by 0


class Blocks:
    """The local updates of a stack. The trials share the way of choosing blocks; the share is each row's own."""

    def __init__(
        self, configs: Sequence[Mapping[str, Any]], values: Tensor, model: nn.Module, seeds: Sequence[int]
    ) -> None:
        self._way = str(configs[0].get("local_updates", "none"))
        self._rngs = [np.random.default_rng(seed) for seed in seeds]
        self._turn = 0
        self._values, self._before = values, values.clone() if self._way != "none" else values
        if self._way == "none":
            return
        self._layer_of, self._layers = _layer_of(model, values)
        self._sizes = [max(1, math.ceil(config.get("block_fraction", 1.0) * self._layers)) for config in configs]
        self._chosen = torch.empty(0)

    def epoch(self, steps: int) -> None:
        """Choose the blocks of an epoch's steps."""
        if self._way == "none":
            return
        chosen = np.stack([self._choose(steps, *row) for row in zip(self._sizes, self._rngs, strict=True)], axis=1)
        self._chosen = torch.from_numpy(chosen).to(self._values.device)  # (steps, K, layers)
        self._turn += steps

    @torch.no_grad()
    def before(self) -> None:
        """The optimizer is about to make a step."""
        if self._way != "none":
            self._before.copy_(self._values)

    @torch.no_grad()
    def after(self, step: int) -> None:
        """It has made that step of the epoch: put back what lies outside the blocks."""
        if self._way != "none":
            moved = self._chosen[step].index_select(1, self._layer_of)  # (K, P)
            self._values.copy_(torch.where(moved, self._values, self._before))

    def state(self) -> dict[str, Any]:
        """All that a later `restore` needs, between two epochs."""
        return {"rngs": [rng.bit_generator.state for rng in self._rngs], "turn": self._turn}

    def restore(self, state: Mapping[str, Any]) -> None:
        for rng, kept in zip(self._rngs, state["rngs"], strict=True):
            rng.bit_generator.state = kept
        self._turn = state["turn"]

    def _choose(self, steps: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """(steps, layers) of bools, `size` of them true at each step."""
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


class Ball:
    """The projection of a stack onto the norm balls of its rows."""

    def __init__(self, configs: Sequence[Mapping[str, Any]], values: Tensor, model: nn.Module) -> None:
        given = [config.get("max_norm") for config in configs]
        radii = [torch.inf if radius is None else radius for radius in given]
        self._radius = None if all(map(math.isinf, radii)) else values.new_tensor(radii).view(-1, 1)
        self._weights = [values[:, a:b] for a, b, dims in _places(model, len(values)) if dims > 1]

    @torch.no_grad()
    def project(self) -> None:
        """After a step."""
        if self._radius is None:
            return
        for weights in self._weights:
            weights.mul_((self._radius / norms(weights).clamp(min=_TINY)).clamp(max=1))


def _places(model: nn.Module, rows: int) -> list[tuple[int, int, int]]:
    """Of each trained parameter: where it begins and ends in the flat tensor, and how many axes it has without K."""
    places, start = [], 0
    for parameter in model.parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel() // rows
            axes = sum(side > 1 for side in parameter.shape[1 if len(parameter) == rows > 1 else 0 :])
            places.append((start, stop, axes))
            start = stop
    return places


def _layer_of(model: nn.Module, values: Tensor) -> tuple[Tensor, int]:
    """The layer's number of each of the P flat values, and how many layers there are; padding counts as the last."""
    named = [(name.rpartition(".")[0], p) for name, p in model.named_parameters() if p.requires_grad]
    sizes = [
        sum(parameter.numel() // len(values) for _, parameter in group)
        for _, group in groupby(named, key=lambda pair: pair[0])
    ]
    number = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    rest = torch.full((values.shape[1] - len(number),), len(sizes) - 1)
    return torch.cat([number, rest]).to(values.device), len(sizes)
