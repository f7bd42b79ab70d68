"""Averaged weights: what is evaluated is a mean of the weights that training went through.

- ema: an exponential moving average, after every step: a ← decay · a + (1 - decay) · w, beginning with the weights
  after the first step (Polyak and Juditsky, 1992, in the form of Kingma and Ba, 2015, section 7.2)
- swa: the plain mean of the weights at the ends of the epochs from `swa_start` on, as a share of all epochs (Izmailov
  et al., 2018, "Averaging weights leads to wider optima and better generalization", algorithm 1); before, the weights
  themselves are evaluated

Buffers (the running statistics of batch norm) are averaged along with the weights, as torch's AveragedModel does with
`use_buffers=True`: a pass over the data to estimate them anew would double the cost of an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.search.training.tensors import on_host

AVERAGES = ("ema", "none", "swa")


class Averaging:
    """The averages of a stack. The trials share the method; its settings are each row's own.

    values: (K, P), all weights of the model, flat.
    """

    def __init__(self, configs: Sequence[Mapping[str, Any]], values: Tensor, model: nn.Module, epochs: int) -> None:
        self._method = str(configs[0].get("averaging", "none"))
        rows = len(values)
        floating = [buffer for buffer in model.buffers() if buffer.is_floating_point() and buffer.numel()]
        self._live = [values, *(buffer.view(rows, -1) for buffer in floating)] if self._method != "none" else []
        self._mean = [tensor.clone() for tensor in self._live]
        self._taken = [0] * rows
        if self._method == "ema":
            self._weight = values.new_tensor([1 - config["ema_decay"] for config in configs]).view(-1, 1)
        if self._method == "swa":
            self._from = [math.floor(config["swa_start"] * epochs) for config in configs]

    @torch.no_grad()
    def step(self) -> None:
        """The optimizer has made a step."""
        if self._method != "ema":
            return
        for mean, live in zip(self._mean, self._live, strict=True):
            mean.copy_(live) if not self._taken[0] else mean.lerp_(live, self._weight)
        self._taken = [taken + 1 for taken in self._taken]

    @torch.no_grad()
    def epoch(self, epoch: int) -> None:
        """That epoch, counted from 0, has ended."""
        if self._method != "swa":
            return
        for row, (taken, start) in enumerate(zip(self._taken, self._from, strict=True)):
            if epoch < start:
                continue
            for mean, live in zip(self._mean, self._live, strict=True):
                mean[row].copy_(live[row]) if not taken else mean[row].add_(
                    live[row] - mean[row], alpha=1 / (taken + 1)
                )
            self._taken[row] = taken + 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it the model holds the averages, where there are any yet."""
        rows = [row for row, taken in enumerate(self._taken) if taken]
        if self._method == "none" or not rows:
            yield
            return
        kept = [live[rows].clone() for live in self._live]
        with torch.no_grad():
            for mean, live in zip(self._mean, self._live, strict=True):
                live[rows] = mean[rows]
        try:
            yield
        finally:
            with torch.no_grad():
                for before, live in zip(kept, self._live, strict=True):
                    live[rows] = before

    def state(self) -> dict[str, Any]:
        """All that a later `restore` needs."""
        return {"mean": [on_host(mean) for mean in self._mean], "taken": list(self._taken)}

    def restore(self, state: Mapping[str, Any]) -> None:
        for mean, kept in zip(self._mean, state["mean"], strict=True):
            mean.copy_(kept)
        self._taken = list(state["taken"])
