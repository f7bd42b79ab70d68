"""What a Gaussian process is told: every trial that ended, as a loss that does not drown the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studies.history import History
from studies.records import Trial

_TOLD = 300  # a fit is cubic in the trials; so many take it some seconds


def observed(history: History) -> tuple[list[Trial], list[float]]:
    """The trials that ended, each with its loss: a pruned one with its last, a failed one with the worst seen.

    Without them the model would go there again. Empty when none has a value. Of more than 300, half of so many are the
    best, and half the newest.
    """
    losses = {t.number: loss for t in history.in_state("finished", "pruned") if (loss := history.loss(t)) is not None}
    if not losses:
        return [], []
    worst = max(losses.values())
    told = [t for t in history.trials if t.state == "failed" or t.number in losses]
    if len(told) > _TOLD:
        best = sorted(told, key=lambda t: losses.get(t.number, worst))[: _TOLD // 2]
        kept = {t.number for t in (*best, *told[-_TOLD // 2 :])}
        told = [t for t in told if t.number in kept]
    return told, [losses.get(t.number, worst) for t in told]


def cut(losses: Sequence[float]) -> NDArray[np.float64]:
    """Losses worse than the median by more than three times what the best is better count as that much worse.

    So one diverged run does not flatten all differences between good ones. (losses,)
    """
    given = np.asarray(losses, dtype=np.float64)
    median = np.median(given)
    reach = 3 * (median - given.min())
    return np.minimum(given, median + reach) if reach > 0 else given
