"""Early stopping of each row of a stack: when the validation loss has not fallen for `patience` epochs, the trial ends.

Its last report, whether it stops or comes to its end, is of the weights of its best epoch, which are kept (Prechelt,
1998, "Early stopping - but when?", section 1.3). That epoch was chosen on the validation part, so its score flatters a
little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archsearch.search.protocols import Metrics
from archsearch.search.training.tensors import on_host


class Stopping:
    """The early stopping of a stack; rows without `patience` go to the end. weights: (K, P), as they are evaluated."""

    def __init__(self, configs: Sequence[Mapping[str, Any]], weights: Tensor, epochs: int) -> None:
        self._patience = [config.get("patience") for config in configs]
        self._last = epochs - 1
        self._epochs = [-1] * len(configs)  # each row's best so far
        self._evaluated: list[Metrics] = [{"val_loss": math.inf} for _ in configs]
        self.best = weights.clone() if any(self._patience) else weights.new_empty(0)  # (K, P), of each row's best epoch

    def epoch(self, epoch: int, evaluated: Sequence[Metrics], weights: Tensor) -> list[Metrics | None]:
        """After that epoch (counted from 0): what each row that ends with it says last of its validation, or None."""
        return [
            None if patience is None else self._row(row, patience, epoch, evaluated[row], weights)
            for row, patience in enumerate(self._patience)
        ]

    def _row(self, row: int, patience: int, epoch: int, evaluated: Metrics, weights: Tensor) -> Metrics | None:
        if evaluated["val_loss"] < self._evaluated[row]["val_loss"]:
            self._epochs[row], self._evaluated[row] = epoch, evaluated
            with torch.no_grad():
                self.best[row].copy_(weights[row])
        ends = epoch - self._epochs[row] >= patience or epoch == self._last
        # A row that never had a finite loss has no best epoch, and says what it is.
        return (self._evaluated[row] if self._epochs[row] >= 0 else evaluated) if ends else None

    def state(self) -> dict[str, Any]:
        """All that a later `restore` needs."""
        return {"epochs": list(self._epochs), "evaluated": list(self._evaluated), "best": on_host(self.best)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._epochs, self._evaluated = list(state["epochs"]), list(state["evaluated"])
        self.best.copy_(state["best"])
