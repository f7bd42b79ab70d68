"""Early stopping of each row of a stack: when the validation loss has not fallen for `patience` epochs, the trial ends.

Its last report, whether it stops or comes to its end, is of the weights of its best epoch, which are kept (Prechelt,
1998, "Early stopping - but when?", section 1.3). That epoch was chosen on the validation part, so its score flatters a
little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archsearch.search.protocols import Metrics
from archsearch.search.training.technique import Technique, Training
from archsearch.search.training.tensors import on_host


class Stopping(Technique):
    """The early stopping of a stack; rows without `patience` go to the end."""

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any row has patience."""
        return any(config.get("patience") is not None for config in configs)

    def training_begins(self, training: Training) -> None:
        self._patience = [config.get("patience") for config in training.configs]
        self._epochs = [-1] * len(self._patience)  # each row's best so far
        self._evaluated: list[Metrics] = [{"val_loss": math.inf} for _ in self._patience]
        self.best = training.weights.clone()  # (K, P), of each row's best epoch

    def evaluation_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """Keep the weights that were evaluated where they are the row's best."""
        for row, (patience, evaluated) in enumerate(zip(self._patience, metrics, strict=True)):
            if patience is not None and evaluated["val_loss"] < self._evaluated[row]["val_loss"]:
                self._epochs[row], self._evaluated[row] = training.epoch, dict(evaluated)
                self.best[row].copy_(training.weights[row])

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """End the rows whose patience is over, or whose last epoch this is, with the report of their best epoch."""
        last = training.epoch == training.epochs - 1
        for row, patience in enumerate(self._patience):
            if patience is not None and (last or training.epoch - self._epochs[row] >= patience):
                # A row that never had a finite loss has no best epoch, and reports this one.
                training.end(row, self._evaluated[row] if self._epochs[row] >= 0 else None)

    def state(self) -> dict[str, Any]:
        return {"epochs": list(self._epochs), "evaluated": list(self._evaluated), "best": on_host(self.best)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._epochs, self._evaluated = list(state["epochs"]), list(state["evaluated"])
        self.best.copy_(state["best"])
