"""The domains of parameters: Int, Float and Choice. They are immutable, hashable, and can be written as JSON.

Each domain maps its values to the unit interval and back (`to_unit`, `from_unit`): models and plots work there. To
sample, `draw` maps a uniform number to a value that is distributed by the prior; without a prior it equals `from_unit`.
The round trip is exact for up to about 2**44 values; with more, floats cannot distinguish neighbours, and the result
may be a value nearby.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeGuard

import numpy as np

from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.choices import Choice, Value, tupled
from archsearch.spaces.errors import SpaceError, unknown
from archsearch.spaces.priors import Prior, TruncatedNormal

__all__ = ["Choice", "Domain", "Float", "Int", "Value", "domain_from_json", "tupled"]

_INTS = (int, np.integer)
_NUMBERS = (int, float, np.integer, np.floating)


@dataclass(frozen=True, slots=True)
class Int(ArgumentHints):
    """Integers from `low` to `high`, both included.

    Args:
        low: The smallest value.
        high: The largest value. With `step`, the largest is the last of low, low + step, … that does not exceed it.
        log: Whether to sample and model the logarithm, for sizes and counts that span orders of magnitude. Needs
            `low` above 0.
        step: The distance between two values. Not together with `log`.
        prior: The value that you expect to be good; see `Prior`. None draws uniformly.

    Raises:
        SpaceError: A bound is not an integer of 64 bits, `low` is above `high`, `log` and `step` are combined, or the
            prior's value is not in the domain.

    Example:
        >>> from archsearch import Int
        >>> 48 in Int(16, 64, step=16)
        True
        >>> Int(1, 1024, log=True).from_unit(0.5)
        23
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int = 1
    prior: Prior | None = None
    _count: int = field(init=False, repr=False, compare=False)
    _density: TruncatedNormal | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if not _is_int(value):
                raise SpaceError(f"Int {name} must be a whole number, got {value!r}; use Float for real numbers")
            if not -(2**63) <= value < 2**63:
                raise SpaceError(f"Int {name} must fit into 64 bits, got {value}; search the logarithm with a Float")
            object.__setattr__(self, name, int(value))
        _check_bounds(self, self.low, self.high, self.log)
        if self.step < 1:
            raise SpaceError(f"{self}: step must be at least 1, got {self.step}")
        if self.log and self.step != 1:
            raise SpaceError(f"{self}: log and step cannot be combined; leave out one of them")
        object.__setattr__(self, "_count", (self.high - self.low) // self.step + 1)
        object.__setattr__(self, "_density", _density_of(self))

    def __repr__(self) -> str:
        return _shown(self)

    def __contains__(self, value: object) -> bool:
        return _is_int(value) and self.low <= int(value) <= self.high and (int(value) - self.low) % self.step == 0

    def size(self) -> float:
        """The number of values."""
        return self._count

    def sample(self, rng: np.random.Generator) -> int:
        """A random value, drawn by the prior."""
        return self.draw(rng.random())

    def draw(self, uniform: float) -> int:
        """Maps a uniform number in [0, 1) to a value that is distributed by the prior (inverse transform sampling)."""
        return self.from_unit(uniform if self._density is None else self._density.quantile(uniform))

    def prior_density(self, value: Value) -> float:
        """The probability of the value under the prior, divided by its probability under a uniform draw."""
        return 1.0 if self._density is None else self._density.density(*self._share(_number(self, value)))

    def to_unit(self, value: Value) -> float:
        """The middle of the value's share of the unit interval."""
        number = _number(self, value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            middle = (math.log(number - 0.5) + math.log(number + 0.5)) / 2
            return (middle - low) / (high - low)
        return ((number - self.low) / self.step + 0.5) / self._count

    def from_unit(self, unit: float) -> int:
        """The value whose share of the unit interval holds this number."""
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(low + unit * (high - low))), self.low), self.high)
        index = int(unit * self._count)
        if not 0 <= index < self._count:  # 1.0, or a number outside of [0, 1]
            index = 0 if index < 0 else self._count - 1
        return self.low + index * self.step

    def _share(self, number: float) -> tuple[float, float]:
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return (math.log(number - 0.5) - low) / (high - low), (math.log(number + 0.5) - low) / (high - low)
        index = (number - self.low) / self.step
        return index / self._count, (index + 1) / self._count

    def to_json(self) -> dict[str, Any]:
        return {"type": "int", "low": self.low, "high": self.high, "log": self.log, "step": self.step, **_prior(self)}


@dataclass(frozen=True, slots=True)
class Float(ArgumentHints):
    """Real numbers from `low` to `high`, both included.

    Args:
        low: The smallest value.
        high: The largest value. With `step`, the largest is the last of low, low + step, … that does not exceed it.
        log: Whether to sample and model the logarithm, for learning rates and penalties that span orders of magnitude.
            Needs `low` above 0.
        step: The distance between two values; None for all real numbers. Not together with `log`.
        prior: The value that you expect to be good; see `Prior`. None draws uniformly.

    Raises:
        SpaceError: A bound is not a finite number, `low` is above `high`, `log` and `step` are combined, or the prior's
            value is not in the domain.

    Example:
        >>> from archsearch import Float
        >>> round(Float(1e-4, 1e-2, log=True).from_unit(0.5), 6)
        0.001
        >>> Float(0.0, 0.5, step=0.1).size()
        6
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    step: float | None = None
    prior: Prior | None = None
    _count: float = field(init=False, repr=False, compare=False)
    _density: TruncatedNormal | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if name == "step" and value is None:
                continue
            if not _is_number(value) or not abs(value) < math.inf:
                raise SpaceError(f"Float {name} must be a finite number, got {value!r}")
            object.__setattr__(self, name, _finite(name, value))
        _check_bounds(self, self.low, self.high, self.log)
        if not math.isfinite(self.high - self.low):
            raise SpaceError(f"{self}: the range is too wide for a float; use log=True")
        if self.step is not None:
            if not self.step > 0:
                raise SpaceError(f"{self}: step must be above 0, got {self.step!r}")
            if self.log:
                raise SpaceError(f"{self}: log and step cannot be combined; leave out one of them")
            if (self.high - self.low) / self.step > 2**53:
                raise SpaceError(f"{self}: step is too small for floats to distinguish the values; leave it out")
        object.__setattr__(self, "_count", self._counted())
        object.__setattr__(self, "_density", _density_of(self))
        if self.prior is not None:
            object.__setattr__(self, "prior", replace(self.prior, value=float(self.prior.value)))

    def __repr__(self) -> str:
        return _shown(self)

    def __contains__(self, value: object) -> bool:
        if not _is_number(value):
            return False
        number = _number(self, value)
        if self.step is None or not self.low <= number <= self.high:
            return self.low <= number <= self.high
        nearest = self._at(round((number - self.low) / self.step))
        return abs(nearest - number) <= _rounding_error(self.low, self.high, self.step)

    def size(self) -> float:
        """The number of values: infinite, unless there is a step or `low` equals `high`."""
        return self._count

    def sample(self, rng: np.random.Generator) -> float:
        """A random value, drawn by the prior."""
        return self.draw(rng.random())

    def draw(self, uniform: float) -> float:
        """Maps a uniform number in [0, 1) to a value that is distributed by the prior (inverse transform sampling)."""
        return self.from_unit(uniform if self._density is None else self._density.quantile(uniform))

    def prior_density(self, value: Value) -> float:
        """The density of the prior at the value, divided by that of a uniform draw."""
        if self._density is None:
            return 1.0
        unit, half = self.to_unit(value), 0.5 / self._count
        return self._density.density(unit - half, unit + half)

    def to_unit(self, value: Value) -> float:
        """The value's position between `low` and `high`, in the logarithm if `log`; 0.5 if there is one value."""
        number = _number(self, value)
        if self.low == self.high:
            return 0.5
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(number) - low) / (high - low) if low < high else 0.5
        if self.step is not None:
            return (round((number - self.low) / self.step) + 0.5) / self._count
        return (number - self.low) / (self.high - self.low)

    def from_unit(self, unit: float) -> float:
        """The value at this position between `low` and `high`."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            number = math.exp(min(low + unit * (high - low), high))
        elif self.step is not None:
            number = self._at(min(max(int(unit * self._count), 0), int(self._count) - 1))
        else:
            number = self.low + unit * (self.high - self.low)
        return self.low if number < self.low else self.high if number > self.high else number

    def _counted(self) -> float:
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else _last_index(self.low, self.high, self.step) + 1

    def _at(self, index: int) -> float:
        return self.low if self.step is None else _stepped(self.low, self.high, self.step, index)

    def to_json(self) -> dict[str, Any]:
        return {"type": "float", "low": self.low, "high": self.high, "log": self.log, "step": self.step, **_prior(self)}


Domain = Int | Float | Choice


def domain_from_json(body: Mapping[str, Any]) -> Domain:
    """The domain that `to_json` wrote."""
    given = body.get("prior")
    prior = Prior(**given) if isinstance(given, dict) else None
    match body["type"]:
        case "int":
            return Int(body["low"], body["high"], log=body["log"], step=body["step"], prior=prior)
        case "float":
            return Float(body["low"], body["high"], log=body["log"], step=body["step"], prior=prior)
        case "choice":
            return Choice(*(tupled(value) for value in body["values"]), ordered=body["ordered"], prior=given)
        case other:
            raise SpaceError(unknown("domain type", str(other), ("choice", "float", "int")))


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, _INTS) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _number(domain: Int | Float, value: Value) -> float:
    if not _is_number(value):
        raise SpaceError(f"{domain} holds numbers, got {value!r}")
    return int(value) if _is_int(value) else float(value)


def _finite(name: str, value: float) -> float:
    try:
        return float(value) + 0.0  # turns -0.0 into 0.0: they are equal, but their repr differs
    except OverflowError as error:
        raise SpaceError(f"Float {name} is an integer too large for a float; search its logarithm") from error


def _check_bounds(domain: Int | Float, low: float, high: float, log: bool) -> None:
    if not isinstance(log, bool):
        raise SpaceError(f"{type(domain).__name__} log must be True or False, got {log!r}")
    if low > high:
        raise SpaceError(f"{domain}: low is above high; swap them")
    if log and low <= 0:
        raise SpaceError(f"{domain}: log=True needs low above 0, got {low}")


def _last_index(low: float, high: float, step: float) -> int:
    """How many steps lead from `low` to the last value; a value that rounding puts above `high` counts as `high`."""
    error = _rounding_error(low, high, step)
    return int((Decimal(repr(high)) + Decimal(error) - Decimal(repr(low))) // Decimal(repr(step)))


def _rounding_error(low: float, high: float, step: float) -> float:
    """How far rounding may move a value between `low` and `high`, as in 0.3 + 1.9 = 2.1999999999999997."""
    largest = max(abs(low), abs(high))  # where floats are farthest apart
    return min(max(1e-15 * largest, 1e-9 * step), step / 4)  # never so much that neighbours are confused


@lru_cache(maxsize=2**14)
def _stepped(low: float, high: float, step: float, index: int) -> float:
    # In decimal arithmetic, so that 0.1 + 2 * 0.1 is 0.3, in reports and in conditions.
    number = float(Decimal(repr(low)) + index * Decimal(repr(step)))
    return high if index and abs(high - number) <= _rounding_error(low, high, step) else number


def _density_of(domain: Int | Float) -> TruncatedNormal | None:
    prior = domain.prior
    if prior is None:
        return None
    if not isinstance(prior, Prior):
        raise SpaceError(f"{domain}: prior must be Prior(value, width=…), got {prior!r}")
    if prior.value not in domain:
        raise SpaceError(f"{domain}: the prior's value {prior.value!r} is not in the domain; choose a value that is")
    return TruncatedNormal(domain.to_unit(prior.value), prior.width)


def _prior(domain: Int | Float) -> dict[str, Any]:
    """The prior's entry in the domain's JSON; nothing without a prior."""
    return {"prior": {"value": domain.prior.value, "width": domain.prior.width}} if domain.prior else {}


def _shown(domain: Int | Float) -> str:
    shown = [f"{f.name}={getattr(domain, f.name)!r}" for f in fields(domain) if f.repr]
    return f"{type(domain).__name__}({', '.join(shown if domain.prior else shown[:-1])})"
