"""Learning rate schedules: a factor for each step, by which the learning rate of the recipe is multiplied.

- constant: 1
- step: multiplied by `decay` every `decay_epochs` epochs
- exponential: multiplied by `decay` every epoch
- cosine: cosine annealing from 1 to 0 (Loshchilov and Hutter, 2017, "SGDR", eq. 5, without restarts)
- one_cycle: from 1/25 up to 1 over the first 30 % of the steps, then down to 1/250,000, both with cosine annealing
  (Smith and Topin, 2019, "Super-convergence", section 2; the constants are those of torch)
- plateau: multiplied by `decay` when the validation loss has not decreased for more than `decay_epochs` epochs
- a custom function, `schedule(epoch, epochs)`: `epoch` is fractional, such as 2.5 in the middle of the third epoch

With warm-up, the factor first increases linearly, over the warm-up epochs, to the schedule's initial factor (Goyal et
al., 2017, "Accurate, large minibatch SGD", section 2.2), and the schedule covers the remaining epochs. Apart from that,
each schedule matches the scheduler of that name in torch.
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

_RISE, _START, _END = 0.3, 1 / 25, 1e-4  # one_cycle: fraction of rising steps, first factor, last factor / first
_FALL = 1e-4  # plateau: the minimum relative decrease of the loss that counts as an improvement, as in torch


@dataclass(slots=True)
class Schedule:
    """The schedule of one trial: `factors(epoch)` returns the factors of an epoch's steps.

    Args:
        name: One of SCHEDULES, or the name of `own`.
        epochs: The number of epochs of the trial, at least 1.
        steps: The number of steps per epoch, at least 1.
        warmup_epochs: The number of warm-up epochs, at least 0.
        decay: The factor of each decay of "step", "plateau" and "exponential". 0.1 is torch's default for the first
            two; 0.95 is common for "exponential".
        decay_epochs: For "step", the epochs between two decays; for "plateau", the epochs without improvement that are
            allowed. At least 1; the default of 10 is torch's for "plateau".
        own: A custom function, `own(epoch, epochs)`, which returns the factor at a fractional epoch. Both arguments
            count the epochs after the warm-up.
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
        """The factors of the steps of an epoch, (steps,). Epochs are counted from 0."""
        step = np.arange(epoch * self.steps, (epoch + 1) * self.steps)
        warmup = self.warmup_epochs * self.steps
        if epoch < self.warmup_epochs:
            return self._after(np.zeros(self.steps)) * (step + 1) / (warmup + 1)
        return self._after((step - warmup).astype(np.float64))

    def epoch_ends(self, val_loss: float) -> None:
        """Update the schedule with the validation loss of the epoch, which only "plateau" uses."""
        if self.name != "plateau":
            return
        if val_loss < self._best * (1 - _FALL):
            self._best, self._waited = val_loss, 0
            return
        self._waited += 1
        if self._waited > self.decay_epochs:
            self._reduced, self._waited = self._reduced * self.decay, 0

    def state(self) -> tuple[float, int, float]:
        """The state between two epochs, for `restore`."""
        return self._best, self._waited, self._reduced

    def restore(self, state: tuple[float, int, float]) -> None:
        self._best, self._waited, self._reduced = state

    def _after(self, step: Factors) -> Factors:
        """The factors at the given steps, counted from the end of the warm-up."""
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
        """Call the custom function. Raises SpecError if it does not return a finite number of at least 0."""
        factor: Any = own(epoch, max(1, self.epochs - self.warmup_epochs))
        try:
            number = float(factor)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise SpecError(
                f"Recipe schedule {self.name} must return a finite factor of at least 0 for the learning rate, got "
                f"{factor!r} at epoch {epoch:g} of {self.epochs}; return 1.0 to leave the rate unchanged"
            )
        return number


class Schedules(Technique):
    """Sets the learning rates of every epoch, from one schedule per row."""

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
    """Cosine annealing from start (share 0) to end (share 1)."""
    return end + (start - end) * (1 + np.cos(math.pi * np.clip(share, 0, 1))) / 2
