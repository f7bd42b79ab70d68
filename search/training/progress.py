"""How training went in an epoch: the rate, the gradients, the speed and the memory; only what is named is measured.

- learning_rate: of the epoch's last step
- gradient_norm: the mean over the epoch's steps, before any clipping
- samples_per_second: of the training part, each row by the time that its stack took
- peak_memory_bytes: on a GPU what torch has allocated at most since the trial began, of all rows together; on a CPU
  what the process has
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.search.training.gradients import norms
from archsearch.search.training.metrics import PROGRESS
from archsearch.search.training.technique import Technique, Training


class Progress(Technique):
    """The measurements of a stack, added to what each row reports.

    Args:
        names: Of the metrics to report.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name for name in names if name in PROGRESS]

    def training_begins(self, training: Training) -> None:
        self._device = training.device
        if self._device.type == "cuda" and "peak_memory_bytes" in self._names:
            torch.cuda.reset_peak_memory_stats(self._device)

    def epoch_begins(self, training: Training) -> None:
        self._norms: list[Tensor] = []
        self._started = time.perf_counter()

    def step_begins(self, training: Training, gradient: Tensor) -> None:
        if "gradient_norm" in self._names:
            self._norms.append(norms(gradient))

    def evaluation_begins(self, training: Training) -> None:
        self._seconds = time.perf_counter() - self._started  # the epoch's losses have come back from the device

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        norm = torch.cat(self._norms, dim=1).mean(dim=1).tolist() if self._norms else []  # (K,)
        rates = training.rates.table[-1].flatten().tolist()  # (K,)
        for place, row in enumerate(metrics):
            for name in self._names:
                match name:
                    case "learning_rate":
                        row[name] = rates[place]
                    case "gradient_norm":
                        row[name] = norm[place]
                    case "samples_per_second":
                        row[name] = training.samples / self._seconds
                    case "peak_memory_bytes":
                        row[name] = float(self._peak_bytes())

    def _peak_bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
