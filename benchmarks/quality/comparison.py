"""What the results say: paired differences with intervals, and ranks.

Seeds are pairs: all strategies saw the same worlds. So the interval of a difference is that of its mean over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and the interval that holds it with a probability of `LEVEL`."""

    value: float
    low: float
    high: float

    @property
    def below_zero(self) -> bool:
        return self.high < 0

    @property
    def above_zero(self) -> bool:
        return self.low > 0


def mean(values: Sequence[float] | NDArray[np.float64]) -> Mean:
    """The mean of some values, one for each seed (or problem), and its bootstrap interval; the same each time.

    By the expanded percentile bootstrap (Hesterberg 2015, "What Teachers Should Know about the Bootstrap", section
    5.2): of n values the plain one is too narrow by what a t interval allows for and a normal one does not. Below some
    6 values the interval is their whole range, and still too narrow; one value has none.
    """
    given = np.asarray(values, dtype=np.float64)
    n = len(given)
    if n == 1:
        return Mean(float(given[0]), -math.inf, math.inf)
    tail = norm.cdf(math.sqrt(n / (n - 1)) * t.ppf((1 - LEVEL) / 2, n - 1))
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    low, high = np.quantile(given[drawn].mean(axis=1), [tail, 1 - tail])
    return Mean(float(given.mean()), float(low), float(high))


def ranks(regrets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each strategy's mean rank on each problem, (problems, strategies), of regrets (problems, worlds, strategies).

    1 is the lowest regret; equal ones share the mean of their ranks.
    """
    return np.asarray(rankdata(regrets, axis=2).mean(axis=1))


def tied_with_best(regrets: NDArray[np.float64]) -> list[bool]:
    """Of regrets (worlds, strategies): which strategies cannot be told from the one with the lowest mean?"""
    best = int(np.argmin(regrets.mean(axis=0)))
    return [not mean(regrets[:, k] - regrets[:, best]).above_zero for k in range(regrets.shape[1])]
