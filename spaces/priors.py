"""What a person expects before anything was tried: `Float(1e-5, 1e-1, log=True, prior=Prior(1e-3))`.

A prior leans draws towards a value and excludes none: one draw in five stays even, so that a wrong guess costs some
trials and not the study.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from archsearch.spaces.errors import SpaceError

UNIFORM_SHARE = 0.2  # the share of draws that no prior moves
_POINT = 1e-6  # a share of the unit interval narrower than this is as good as a point


@dataclass(frozen=True, slots=True)
class Prior:
    """The value that is expected to be good, and how sure that is.

    width: the standard deviation, as a share of the domain's unit interval, in (0, 1]. A fifth, the default, puts two
    draws in three within a fifth of the range on either side.
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
            raise SpaceError(f"Prior width must be in (0, 1], a share of the domain's range, got {self.width!r}")


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """A prior's density over the unit interval: a normal one cut off at 0 and 1, mixed with an even one."""

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

    def place(self, even: float) -> float:
        """Where an even number of [0, 1) falls, so that places have this density."""
        if even < UNIFORM_SHARE:
            return even / UNIFORM_SHARE
        chance = self._below + (even - UNIFORM_SHARE) / (1 - UNIFORM_SHARE) * self._within
        if not 0 < chance < 1:
            return min(max(chance, 0.0), 1.0)
        return min(max(self._normal.inv_cdf(chance), 0.0), 1.0)

    def density(self, low: float, high: float) -> float:
        """The mean over a share of the unit interval, or at a point; 1 over the whole of it."""
        if high - low > _POINT:
            peak = (self._normal.cdf(high) - self._normal.cdf(low)) / (high - low)
        else:
            peak = self._normal.pdf((low + high) / 2)
        return UNIFORM_SHARE + (1 - UNIFORM_SHARE) * peak / self._within
