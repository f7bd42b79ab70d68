"""Weight averaging: the networks are evaluated with an average of the weights of previous steps or epochs.

- ema: an exponential moving average, updated after every step: a ← decay · a + (1 - decay) · w, initialized with the
  weights after the first step (Polyak and Juditsky, 1992, in the form of Kingma and Ba, 2015, section 7.2)
- swa: stochastic weight averaging, the equal average of the weights at the end of each epoch, from the fraction
  `swa_start` of all epochs on (Izmailov et al., 2018, "Averaging weights leads to wider optima and better
  generalization", algorithm 1). Before that, the current weights are evaluated.

Buffers (the running statistics of batch norm) are averaged together with the weights, as torch's AveragedModel does
with `use_buffers=True`. Estimating them again would take another pass over the data in every epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.search.training.technique import Technique, Training
from archsearch.search.training.tensors import on_host

AVERAGES = ("ema", "none", "swa")


class Averaging(Technique):
    """Averages the weights of a stack. All rows use the same method, each with its own settings."""

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether weights are averaged; the method is the same for all rows of a stack."""
        return str(configs[0].get("averaging", "none")) != "none"

    def training_begins(self, training: Training) -> None:
        configs, weights, rows = training.configs, training.weights, len(training.weights)
        floating = [buffer for buffer in training.model.buffers() if buffer.is_floating_point() and buffer.numel()]
        self._live = [weights, *(buffer.view(rows, -1) for buffer in floating)]
        self._mean = [tensor.clone() for tensor in self._live]
        self._taken = [0] * rows
        self._method = str(configs[0]["averaging"])
        if self._method == "ema":
            self._weight = weights.new_tensor([1 - config["ema_decay"] for config in configs]).view(-1, 1)
        if self._method == "swa":
            self._from = [math.floor(config["swa_start"] * training.epochs) for config in configs]

    def step_ends(self, training: Training) -> None:
        if self._method != "ema":
            return
        for mean, live in zip(self._mean, self._live, strict=True):
            mean.copy_(live) if not self._taken[0] else mean.lerp_(live, self._weight)
        self._taken = [taken + 1 for taken in self._taken]

    def evaluation_begins(self, training: Training) -> None:
        """Load the averages into the model, for the rows that have one already."""
        if self._method == "swa":
            self._take(training.epoch)
        self._averaged = [row for row, taken in enumerate(self._taken) if taken]
        self._kept = [live[self._averaged].clone() for live in self._live]
        for mean, live in zip(self._mean, self._live, strict=True):
            live[self._averaged] = mean[self._averaged]

    def evaluation_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """Restore the weights that are being trained."""
        for kept, live in zip(self._kept, self._live, strict=True):
            live[self._averaged] = kept

    def _take(self, epoch: int) -> None:
        """Add the current weights to the equal average, for the rows whose averaging has started."""
        for row, (taken, start) in enumerate(zip(self._taken, self._from, strict=True)):
            if epoch < start:
                continue
            for mean, live in zip(self._mean, self._live, strict=True):
                mean[row].copy_(live[row]) if not taken else mean[row].add_(
                    live[row] - mean[row], alpha=1 / (taken + 1)
                )
            self._taken[row] = taken + 1

    def state(self) -> dict[str, Any]:
        return {"mean": [on_host(mean) for mean in self._mean], "taken": list(self._taken)}

    def restore(self, state: Mapping[str, Any]) -> None:
        for mean, kept in zip(self._mean, state["mean"], strict=True):
            mean.copy_(kept)
        self._taken = list(state["taken"])
