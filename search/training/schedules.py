"""How the learning rate goes over a trial: a factor for each step, by which the recipe's rate is multiplied.

- constant: 1
- step: times `decay` after every `decay_epochs` epochs
- exponential: times `decay` after every epoch
- cosine: from 1 to 0 along half a cosine (Loshchilov and Hutter, 2017, "SGDR", eq. 5, without restarts)
- one_cycle: up to 1 over the first 30 % of the steps, from a 25th, then down to a 10,000th of that start, both along
  half a cosine (Smith and Topin, 2019, "Super-convergence", section 2; torch's constants)
- plateau: times `decay` when the validation loss has not fallen for `decay_epochs` epochs

Warm-up comes before: over its epochs the factor rises evenly to where the schedule begins (Goyal et al., 2017,
"Accurate, large minibatch SGD", section 2.2), and the schedule runs over the epochs that are left. Each is what the
scheduler of torch with that name does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SCHEDULES = ("constant", "cosine", "exponential", "one_cycle", "plateau", "step")

Factors = NDArray[np.float64]

_RISE, _START, _END = 0.3, 1 / 25, 1e-4  # of one_cycle
_FALL = 1e-4  # plateau: a loss has fallen when it is lower by more than this share, as in torch


@dataclass(slots=True)
class Schedule:
    """The schedule of one trial. `factors(epoch)` are those of an epoch's steps; `tell` it each validation loss.

    decay: 0.1 for step and plateau and 0.95 for exponential are usual. All counts are at least 1 (warmup_epochs: 0).
    """

    name: str
    epochs: int
    steps: int  # of an epoch
    warmup_epochs: int = 0
    decay: float = 0.1
    decay_epochs: int = 10
    _best: float = field(default=math.inf, init=False)
    _waited: int = field(default=0, init=False)
    _reduced: float = field(default=1.0, init=False)

    def factors(self, epoch: int) -> Factors:
        """(steps,)"""
        step = np.arange(epoch * self.steps, (epoch + 1) * self.steps)
        warmup = self.warmup_epochs * self.steps
        if epoch < self.warmup_epochs:
            return self._after(np.zeros(self.steps)) * (step + 1) / (warmup + 1)
        return self._after((step - warmup).astype(np.float64))

    def tell(self, val_loss: float) -> None:
        """The validation loss after the epoch; only plateau listens."""
        if self.name != "plateau":
            return
        if val_loss < self._best * (1 - _FALL):
            self._best, self._waited = val_loss, 0
            return
        self._waited += 1
        if self._waited > self.decay_epochs:
            self._reduced, self._waited = self._reduced * self.decay, 0

    def state(self) -> tuple[float, int, float]:
        """All that a later `restore` needs."""
        return self._best, self._waited, self._reduced

    def restore(self, state: tuple[float, int, float]) -> None:
        self._best, self._waited, self._reduced = state

    def _after(self, step: Factors) -> Factors:
        """The factors at these steps after the warm-up."""
        total = max(1, self.epochs - self.warmup_epochs) * self.steps
        epoch = step // self.steps
        match self.name:
            case "step":
                return np.asarray(self.decay ** (epoch // self.decay_epochs))
            case "exponential":
                return np.asarray(self.decay**epoch)
            case "cosine":
                return (1 + np.cos(math.pi * step / total)) / 2
            case "one_cycle":
                return _one_cycle(step, total)
            case "plateau":
                return np.full_like(step, self._reduced)
            case _:
                return np.ones_like(step)


def _one_cycle(step: Factors, total: int) -> Factors:
    top, last = _RISE * total - 1, total - 1
    rising = _between(_START, 1.0, step / top if top > 0 else np.ones_like(step))
    falling = _between(1.0, _START * _END, (step - top) / (last - top))
    return np.where(step <= top, rising, falling)


def _between(start: float, end: float, share: Factors) -> Factors:
    """Along half a cosine, from start (share 0) to end (share 1)."""
    return end + (start - end) * (1 + np.cos(math.pi * np.clip(share, 0, 1))) / 2
