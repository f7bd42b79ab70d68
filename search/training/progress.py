"""Metrics of the training process. Only the requested ones are measured.

- learning_rate: the learning rate of the epoch's last step
- gradient_norm: the mean Euclidean norm of the gradient over the epoch's steps, before clipping
- samples_per_second: training samples of one row per second of training, without the evaluation. The rows of a stack
  share their time, so each reports the same value.
- peak_memory_bytes: on a GPU, the maximum memory allocated by torch since the trial started, for all rows together; on
  a CPU, the maximum resident memory of the process since it started
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
    """Measures the training of a stack, and adds the values to the metrics of each row.

    Args:
        names: The names of the metrics to report. Those that are not in PROGRESS are ignored.
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
        self._seconds = time.perf_counter() - self._started  # the device has finished: the losses are on the host

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
