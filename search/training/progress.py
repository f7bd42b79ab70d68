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


class Progress:
    """The measurements of a stack of K rows."""

    def __init__(self, names: Sequence[str], rows: int, device: torch.device) -> None:
        self._names = [name for name in names if name in PROGRESS]
        self._rows, self._device = rows, device
        self._norms: list[Tensor] = []
        self._started, self._seconds, self._samples = 0.0, 0.0, 0
        self._rates: list[float] = []
        if device.type == "cuda" and "peak_memory_bytes" in self._names:
            torch.cuda.reset_peak_memory_stats(device)

    def begin(self, samples: int, last_rates: Tensor) -> None:
        """An epoch over so many samples begins. last_rates: (K, 1), the learning rates of its last step."""
        self._samples, self._started, self._norms = samples, time.perf_counter(), []
        if "learning_rate" in self._names:
            self._rates = last_rates.flatten().tolist()

    def step(self, gradient: Tensor) -> None:
        """A step is about to be made along this gradient, (K, P)."""
        if "gradient_norm" in self._names:
            self._norms.append(norms(gradient))

    def end(self) -> None:
        """The epoch has ended, and its losses have come back from the device."""
        self._seconds = time.perf_counter() - self._started

    def metrics(self) -> list[dict[str, float]]:
        """What was named, of each row."""
        rows: list[dict[str, float]] = [{} for _ in range(self._rows)]
        if not self._names:
            return rows
        norm = torch.cat(self._norms, dim=1).mean(dim=1).tolist() if self._norms else []  # (K,)
        for place, row in enumerate(rows):
            for name in self._names:
                match name:
                    case "learning_rate":
                        row[name] = self._rates[place]
                    case "gradient_norm":
                        row[name] = norm[place]
                    case "samples_per_second":
                        row[name] = self._samples / self._seconds
                    case "peak_memory_bytes":
                        row[name] = float(self._peak_bytes())
        return rows

    def _peak_bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
