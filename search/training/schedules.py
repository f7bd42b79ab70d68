"""How the learning rate changes over a trial: a factor for each step, by which the recipe's rate is multiplied.

- constant: 1
- step: times `decay` after every `decay_epochs` epochs
- exponential: times `decay` after every epoch
- cosine: from 1 to 0 along half a cosine (Loshchilov and Hutter, 2017, "SGDR", eq. 5, without restarts)
- one_cycle: up to 1 over the first 30 % of the steps, from a 25th, then down to a 10,000th of that start, both along
  half a cosine (Smith and Topin, 2019, "Super-convergence", section 2; torch's constants)
- plateau: times `decay` when the validation loss has not fallen for `decay_epochs` epochs
- a function of your own: `schedule(epoch, epochs)`, where epoch is 2.5 in the middle of the third

Warm-up comes before: over its epochs the factor rises evenly to where the schedule begins (Goyal et al., 2017,
"Accurate, large minibatch SGD", section 2.2), and the schedule runs over the epochs that are left. Each is what the
scheduler of torch with that name does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archsearch.search.training.optimizers import Rates, rate_scales
from archsearch.search.training.technique import Technique, Training
from archsearch.spaces import SpecError

SCHEDULES = ("constant", "cosine", "exponential", "one_cycle", "plateau", "step")

Factors = NDArray[np.float64]

_RISE, _START, _END = 0.3, 1 / 25, 1e-4  # of one_cycle
_FALL = 1e-4  # plateau: a loss has fallen when it is lower by more than this share, as in torch


@dataclass(slots=True)
class Schedule:
    """The schedule of one trial: `factors(epoch)` are those of an epoch's steps, and `epoch_ends` takes its loss.

    Args:
        name: One of SCHEDULES, or that of `own`.
        epochs: Of the trial, at least 1.
        steps: Of an epoch, at least 1.
        warmup_epochs: From 0.
        decay: 0.1 for step and plateau and 0.95 for exponential are usual.
        decay_epochs: At least 1.
        own: The user's function, `own(epoch, epochs)`: the factor after so many epochs, a fraction, of so many.
    """

    name: str
    epochs: int
    steps: int
    warmup_epochs: int = 0
    decay: float = 0.1
    decay_epochs: int = 10
    own: Callable[[float, int], float] | None = None
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

    def epoch_ends(self, val_loss: float) -> None:
        """The validation loss after the epoch, which only plateau uses."""
        if self.name != "plateau":
            return
        if val_loss < self._best * (1 - _FALL):
            self._best, self._waited = val_loss, 0
            return
        self._waited += 1
        if self._waited > self.decay_epochs:
            self._reduced, self._waited = self._reduced * self.decay, 0

    def state(self) -> tuple[float, int, float]:
        """What `restore` needs between two epochs."""
        return self._best, self._waited, self._reduced

    def restore(self, state: tuple[float, int, float]) -> None:
        self._best, self._waited, self._reduced = state

    def _after(self, step: Factors) -> Factors:
        """The factors at these steps after the warm-up."""
        total = max(1, self.epochs - self.warmup_epochs) * self.steps
        epoch = step // self.steps
        if self.own is not None:
            return np.array([self._owns(self.own, each / self.steps) for each in step.tolist()])
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

    def _owns(self, own: Callable[[float, int], float], epoch: float) -> float:
        """The user's factor. Raises SpecError for what is no finite number of at least 0."""
        factor: Any = own(epoch, max(1, self.epochs - self.warmup_epochs))
        try:
            number = float(factor)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise SpecError(
                f"Recipe schedule {self.name} must return a finite factor of at least 0 for the learning rate, got "
                f"{factor!r} at epoch {epoch:g} of {self.epochs}"
            )
        return number


class Schedules(Technique):
    """The schedules of a stack, one of each row, which make the learning rates of every epoch."""

    def __init__(self, schedules: Sequence[Schedule]) -> None:
        self._schedules = schedules

    def training_begins(self, training: Training) -> None:
        self._base = np.array([config["learning_rate"] for config in training.configs])
        self._scales = rate_scales(training.model, training.weights)

    def epoch_begins(self, training: Training) -> None:
        factors = np.stack([schedule.factors(training.epoch) for schedule in self._schedules], axis=1)  # (steps, K)
        rates = torch.from_numpy(factors * self._base).unsqueeze(-1)
        training.rates = Rates(rates.to(training.device), self._scales)

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        for schedule, row in zip(self._schedules, metrics, strict=True):
            schedule.epoch_ends(row["val_loss"])

    def state(self) -> Any:
        return [schedule.state() for schedule in self._schedules]

    def restore(self, state: Any) -> None:
        for schedule, kept in zip(self._schedules, state, strict=True):
            schedule.restore(kept)


def _one_cycle(step: Factors, total: int) -> Factors:
    top, last = _RISE * total - 1, total - 1
    rising = _between(_START, 1.0, step / top if top > 0 else np.ones_like(step))
    falling = _between(1.0, _START * _END, (step - top) / (last - top))
    return np.where(step <= top, rising, falling)


def _between(start: float, end: float, share: Factors) -> Factors:
    """Along half a cosine, from start (share 0) to end (share 1)."""
    return end + (start - end) * (1 + np.cos(math.pi * np.clip(share, 0, 1))) / 2
