"""Early stopping: a trial ends when its validation loss has not decreased for `patience` epochs.

The last report of such a trial, whether it stops early or not, contains the validation metrics of its best epoch
(Prechelt, 1998, "Early stopping - but when?", section 1.3). Because that epoch is selected on the validation data, its
metrics are slightly optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.search.protocols import Metrics
from archsearch.search.training.technique import Technique, Training
from archsearch.search.training.tensors import on_host


class Stopping(Technique):
    """Early stopping for the rows of a stack; rows without `patience` train for all epochs.

    Attributes:
        best: The weights of each row's best epoch so far, (K, P).
    """

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any row sets `patience`."""
        return any(config.get("patience") is not None for config in configs)

    def training_begins(self, training: Training) -> None:
        self._patience = [config.get("patience") for config in training.configs]
        self._epochs = [-1] * len(self._patience)  # the best epoch of each row so far
        self._evaluated: list[Metrics] = [{"val_loss": math.inf} for _ in self._patience]
        self.best = training.weights.clone()  # (K, P)

    def evaluation_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """Keep the evaluated weights of the rows whose validation loss is their lowest so far."""
        for row, (patience, evaluated) in enumerate(zip(self._patience, metrics, strict=True)):
            if patience is not None and evaluated["val_loss"] < self._evaluated[row]["val_loss"]:
                self._epochs[row], self._evaluated[row] = training.epoch, dict(evaluated)
                self.best[row].copy_(training.weights[row])

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """End rows that have run out of patience, with the metrics of their best epoch; at the last epoch, all."""
        last = training.epoch == training.epochs - 1
        for row, patience in enumerate(self._patience):
            if patience is not None and (last or training.epoch - self._epochs[row] >= patience):
                # A row whose loss was never finite has no best epoch, and reports the current one.
                training.end(row, self._evaluated[row] if self._epochs[row] >= 0 else None)

    def state(self) -> dict[str, Any]:
        return {"epochs": list(self._epochs), "evaluated": list(self._evaluated), "best": on_host(self.best)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._epochs, self._evaluated = list(state["epochs"]), list(state["evaluated"])
        self.best.copy_(state["best"])
