"""Priors: which values a user expects to be good, `Float(1e-5, 1e-1, log=True, prior=Prior(1e-3))`.

A prior makes values near the expected one more likely, and excludes none: one draw in five stays uniform, so that a
wrong prior costs some trials but does not ruin the study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.errors import SpaceError

UNIFORM_SHARE = 0.2  # the share of draws that ignore the prior
_POINT = 1e-6  # part of the unit interval; a narrower interval is treated as a point


@dataclass(frozen=True, slots=True)
class Prior(ArgumentHints):
    """The value of an Int or Float that you expect to be good, and how sure you are.

    Random draws follow a normal distribution around the value, truncated to the domain and mixed with a uniform one
    (a fifth of all draws). `Bayes`, `GP`, `TPE`, `Evolution` and `NSGA2` weight their proposals by the prior, less with
    each trial (πBO: Hvarfner et al., 2022, "πBO: Augmenting acquisition functions with user beliefs for Bayesian
    optimization"). A Choice takes weights instead, `Choice("sgd", "adam", prior=(1, 3))`.

    Args:
        value: The expected value, in the domain.
        width: The standard deviation, as a fraction of the domain's range (for `log`, of its logarithm), in (0, 1].
            With 0.2, two draws in three lie within a fifth of the range on either side. Smaller if you are sure.

    Raises:
        SpaceError: A number is not finite, or `width` is not in (0, 1].

    Example:
        >>> from archsearch import Float, Prior
        >>> rate = Float(1e-5, 1e-1, log=True, prior=Prior(1e-3))
        >>> rate.prior_density(1e-3) > 1 > rate.prior_density(1e-5)
        True
    """

    value: float
    width: float = 0.2

    def __post_init__(self) -> None:
        for name in ("value", "width"):
            number = getattr(self, name)
            if isinstance(number, np.generic):
                number = number.item()
            if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < math.inf:
                raise SpaceError(f"Prior {name} must be a finite number, got {number!r}")
            object.__setattr__(self, name, number if name == "value" else float(number))
        if not 0 < self.width <= 1:
            raise SpaceError(f"Prior width must be in (0, 1], as a fraction of the range, got {self.width!r}")


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """A prior's density on the unit interval: a normal one truncated to [0, 1], mixed with a uniform one."""

    middle: float
    width: float
    _normal: NormalDist = field(init=False, repr=False, compare=False)
    _below: float = field(init=False, repr=False, compare=False)
    _within: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        normal = NormalDist(self.middle, self.width)
        object.__setattr__(self, "_normal", normal)
        object.__setattr__(self, "_below", normal.cdf(0))
        object.__setattr__(self, "_within", normal.cdf(1) - normal.cdf(0))

    def quantile(self, uniform: float) -> float:
        """Maps a uniform number in [0, 1) to a point of the unit interval, such that the points have this density."""
        if uniform < UNIFORM_SHARE:
            return uniform / UNIFORM_SHARE
        probability = self._below + (uniform - UNIFORM_SHARE) / (1 - UNIFORM_SHARE) * self._within
        if not 0 < probability < 1:
            return min(max(probability, 0.0), 1.0)
        return min(max(self._normal.inv_cdf(probability), 0.0), 1.0)

    def density(self, low: float, high: float) -> float:
        """The mean density between two points of the unit interval, or at one; 1 over the whole interval."""
        if high - low > _POINT:
            peak = (self._normal.cdf(high) - self._normal.cdf(low)) / (high - low)
        else:
            peak = self._normal.pdf((low + high) / 2)
        return UNIFORM_SHARE + (1 - UNIFORM_SHARE) * peak / self._within
