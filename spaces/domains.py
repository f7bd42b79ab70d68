"""The domains that a parameter may range over: Int, Float, Choice. Frozen, hashable, JSON-able.

Each domain maps its values onto the unit interval and back (`to_unit`, `from_unit`), which is what samplers, models
and plots work in: equal widths in the unit interval are equally likely when the domain is sampled. Up to some 2**44
values the round trip is exact; beyond, floats cannot tell neighbours apart, and it lands nearby.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeGuard

import numpy as np

from spaces.errors import SpaceError, unknown

Value = int | float | str | bool | None | tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers from `low` to `high`, both included, every `step`; `log` spreads them evenly in the logarithm."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if not _is_int(value):
                raise SpaceError(f"Int {name} must be a whole number, got {value!r}; use Float for real numbers")
            if not -(2**63) <= value < 2**63:
                raise SpaceError(f"Int {name} does not fit into 64 bits; search its logarithm with Float")
            object.__setattr__(self, name, int(value))
        _check_bounds(self, self.low, self.high, self.log)
        if self.step < 1:
            raise SpaceError(f"{self}: step must be at least 1, got {self.step}")
        if self.log and self.step != 1:
            raise SpaceError(f"{self}: log and step exclude each other; drop one")

    def __contains__(self, value: object) -> bool:
        return _is_int(value) and self.low <= int(value) <= self.high and (int(value) - self.low) % self.step == 0

    def size(self) -> float:
        """How many values there are."""
        return (self.high - self.low) // self.step + 1

    def sample(self, rng: np.random.Generator) -> int:
        return self.from_unit(rng.random())

    def to_unit(self, value: Value) -> float:
        """The middle of the value's share of the unit interval."""
        number = _number(self, value)
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            middle = (math.log(number - 0.5) + math.log(number + 0.5)) / 2
            return (middle - low) / (high - low)
        return ((number - self.low) / self.step + 0.5) / self.size()

    def from_unit(self, unit: float) -> int:
        if self.log:
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return min(max(round(math.exp(low + unit * (high - low))), self.low), self.high)
        index = min(max(int(unit * self.size()), 0), int(self.size()) - 1)
        return self.low + index * self.step

    def to_json(self) -> dict[str, Any]:
        return {"type": "int", "low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True, slots=True)
class Float:
    """Real numbers from `low` to `high`, both included; `log` spreads them evenly in the logarithm.

    With `step`, only low, low + step, … up to high.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

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
            raise SpaceError(f"{self}: the range is too wide for floats; search its logarithm with log=True")
        if self.step is not None:
            if not self.step > 0:
                raise SpaceError(f"{self}: step must be above 0, got {self.step!r}")
            if self.log:
                raise SpaceError(f"{self}: log and step exclude each other; drop one")
            if (self.high - self.low) / self.step > 2**53:
                raise SpaceError(f"{self}: step is too fine for floats to tell its values apart; drop it")

    def __contains__(self, value: object) -> bool:
        if not _is_number(value) or not self.low <= (number := float(value)) <= self.high:
            return False
        if self.step is None:
            return True
        nearest = self._at(round((number - self.low) / self.step))
        return math.isclose(nearest, number, rel_tol=1e-15, abs_tol=1e-9 * self.step)

    def size(self) -> float:
        """How many values there are: infinitely many, unless there is a step or a single point."""
        if self.low == self.high:
            return 1
        return math.inf if self.step is None else math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def sample(self, rng: np.random.Generator) -> float:
        return self.from_unit(rng.random())

    def to_unit(self, value: Value) -> float:
        number = _number(self, value)
        if self.low == self.high:
            return 0.5
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(number) - low) / (high - low) if low < high else 0.5
        if self.step is not None:
            return (round((number - self.low) / self.step) + 0.5) / self.size()
        return (number - self.low) / (self.high - self.low)

    def from_unit(self, unit: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            number = math.exp(min(low + unit * (high - low), high))
        elif self.step is not None:
            number = self._at(min(max(int(unit * self.size()), 0), int(self.size()) - 1))
        else:
            number = self.low + unit * (self.high - self.low)
        return min(max(number, self.low), self.high)

    def _at(self, index: int) -> float:
        if self.step is None:
            return self.low
        # In decimals, so that 0.1 + 2 * 0.1 reads 0.3 in the report and equals it in a condition.
        number = float(Decimal(repr(self.low)) + index * Decimal(repr(self.step)))
        return self.high if index and abs(self.high - number) <= 1e-9 * self.step else number

    def to_json(self) -> dict[str, Any]:
        return {"type": "float", "low": self.low, "high": self.high, "log": self.log, "step": self.step}


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of the given plain values; `ordered` says that neighbours in the list are alike (32, 64, 128)."""

    values: tuple[Value, ...]
    ordered: bool

    def __init__(self, *values: Value, ordered: bool = False) -> None:
        if not values:
            raise SpaceError("Choice has no values; name at least one, e.g. Choice('relu', 'gelu')")
        plain = tuple(_plain(value) for value in values)
        for index, value in enumerate(plain):
            if any(_same(value, other) for other in plain[:index]):
                raise SpaceError(f"Choice names {value!r} twice; each value once")
        object.__setattr__(self, "values", plain)
        object.__setattr__(self, "ordered", ordered)

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))}{', ordered=True' if self.ordered else ''})"

    # By what they show: 1, 1.0 and True are equal in Python, and are different declarations.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __contains__(self, value: object) -> bool:
        return any(_same(value, known) for known in self.values)

    def size(self) -> float:
        return len(self.values)

    def sample(self, rng: np.random.Generator) -> Value:
        return self.from_unit(rng.random())

    def index(self, value: Value) -> int:
        """The value's place in the list; SpaceError when it has none."""
        for index, known in enumerate(self.values):
            if _same(value, known):
                return index
        raise SpaceError(f"{value!r} is not one of {self}")

    def to_unit(self, value: Value) -> float:
        return (self.index(value) + 0.5) / len(self.values)

    def from_unit(self, unit: float) -> Value:
        return self.values[min(max(int(unit * len(self.values)), 0), len(self.values) - 1)]

    def to_json(self) -> dict[str, Any]:
        return {"type": "choice", "values": list(self.values), "ordered": self.ordered}


Domain = Int | Float | Choice


def domain_from_json(body: Mapping[str, Any]) -> Domain:
    """The domain that `to_json` wrote."""
    match body["type"]:
        case "int":
            return Int(body["low"], body["high"], log=body["log"], step=body["step"])
        case "float":
            return Float(body["low"], body["high"], log=body["log"], step=body["step"])
        case "choice":
            return Choice(*(tupled(value) for value in body["values"]), ordered=body["ordered"])
        case other:
            raise SpaceError(unknown("domain type", str(other), ("choice", "float", "int")))


def tupled(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"Choice value {value!r} is not finite; use None or a string for such a case")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    hint = "a name for it, and look the object up in your objective" if callable(value) else "a tuple or a name"
    raise SpaceError(f"a parameter's value must be plain (number, string, None, tuple), got {value!r}; use {hint}")


def _same(value: object, known: Value) -> bool:
    """Equal, and of one kind, also inside tuples: True is not 1. Anything but a plain value is never the same."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple) and isinstance(known, tuple):
        return len(value) == len(known) and all(map(_same, value, known))
    plain = value is None or isinstance(value, bool | int | float | str)
    return plain and value == known and isinstance(value, bool) == isinstance(known, bool)


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _number(domain: Int | Float, value: Value) -> float:
    if not _is_number(value):
        raise SpaceError(f"{value!r} is not a number of {domain}")
    return int(value) if _is_int(value) else float(value)


def _finite(name: str, value: float) -> float:
    try:
        return float(value) + 0.0  # no -0.0, which equals 0.0 and reads differently
    except OverflowError as error:
        raise SpaceError(f"Float {name} is a whole number too large for a float; search its logarithm") from error


def _check_bounds(domain: Int | Float, low: float, high: float, log: bool) -> None:
    if low > high:
        raise SpaceError(f"{domain}: low is above high; swap them")
    if log and low <= 0:
        raise SpaceError(f"{domain}: log needs low above 0, got {low}")
