"""Choice, the domain that lists its values; and what a value may be: plain, so that JSON and a digest can hold it."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from types import ModuleType
from typing import Any

import numpy as np

from archsearch.spaces.errors import SpaceError

Value = int | float | str | bool | None | tuple[Any, ...]


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of the given plain values; `ordered` says that neighbours in the list are alike (32, 64, 128).

    prior: one positive weight a value: of `Choice("adam", "sgd", prior=(3, 1))` three draws in four are "adam".
    """

    values: tuple[Value, ...]
    ordered: bool
    prior: tuple[float, ...] | None
    _places: dict[object, int] = field(init=False)
    _ends: tuple[float, ...] = field(init=False)

    def __init__(self, *values: Value, ordered: bool = False, prior: Sequence[float] | None = None) -> None:
        if not values:
            raise SpaceError("Choice has no values; name at least one, e.g. Choice('relu', 'gelu')")
        plain = tuple(_plain(value) for value in values)
        places: dict[object, int] = {}
        for index, value in enumerate(plain):
            if places.setdefault(_key(value), index) != index:
                raise SpaceError(f"Choice names {value!r} twice; each value once")
        weights = None if prior is None else _weights(prior, len(plain))
        object.__setattr__(self, "values", plain)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "prior", weights)
        object.__setattr__(self, "_places", places)
        ends = [end / sum(weights) for end in accumulate(weights)] if weights else []
        object.__setattr__(self, "_ends", tuple(ends[:-1]))

    def __repr__(self) -> str:
        prior = "" if self.prior is None else f", prior={self.prior}"
        return f"Choice({', '.join(map(repr, self.values))}{', ordered=True' if self.ordered else ''}{prior})"

    # By what they show: 1, 1.0 and True are equal in Python, and are different declarations.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __contains__(self, value: object) -> bool:
        return _key(value) in self._places

    def size(self) -> float:
        return len(self.values)

    def sample(self, rng: np.random.Generator) -> Value:
        return self.draw(rng.random())

    def draw(self, even: float) -> Value:
        """The value that an even number of [0, 1) stands for, by the prior."""
        return self.from_unit(even) if self.prior is None else self.values[bisect(self._ends, even)]

    def prior_density(self, value: Value) -> float:
        """How many times likelier the value is by the prior than by an even draw."""
        return 1.0 if self.prior is None else self.prior[self.index(value)] * len(self.prior) / sum(self.prior)

    def index(self, value: Value) -> int:
        """The value's place in the list; SpaceError when it has none."""
        place = self._places.get(_key(value))
        if place is None:
            raise SpaceError(f"{value!r} is not one of {self}")
        return place

    def to_unit(self, value: Value) -> float:
        return (self.index(value) + 0.5) / len(self.values)

    def from_unit(self, unit: float) -> Value:
        index = int(unit * len(self.values))
        if not 0 <= index < len(self.values):  # 1.0, or a place outside
            index = 0 if index < 0 else -1
        return self.values[index]

    def to_json(self) -> dict[str, Any]:
        body = {"type": "choice", "values": list(self.values), "ordered": self.ordered}
        return body if self.prior is None else {**body, "prior": list(self.prior)}


def tupled(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        raise SpaceError(f"a parameter's value must be plain, got the Enum member {value!r}; use {value!r}.value")
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list | set | frozenset | range):
        one_each = ", ".join(map(repr, value))
        raise SpaceError(
            f"a parameter's value must be plain, got {value!r}; if these are its values, write Choice({one_each}), "
            "and a tuple if it is one value"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"Choice value {value!r} is not finite; use None or a string for such a case")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    named = callable(value) or isinstance(value, ModuleType)
    hint = "a name for it, and look the object up in your objective" if named else "a tuple or a name"
    raise SpaceError(f"a parameter's value must be plain (number, string, None, tuple), got {value!r}; use {hint}")


def _key(value: object) -> object:
    """The same for equal values of one kind, also inside tuples: True is not 1. None for what is not plain."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple):
        keys = tuple(map(_key, value))
        return None if None in keys else keys
    plain = value is None or isinstance(value, (int, float, str))
    return (isinstance(value, bool), value) if plain else None


def _weights(prior: Sequence[float], values: int) -> tuple[float, ...]:
    given = tuple(prior) if isinstance(prior, Sequence) else ()
    if len(given) != values or not all(map(_positive, given)):
        raise SpaceError(f"Choice prior must be one positive weight for each of its {values} values, got {prior!r}")
    return tuple(map(float, given))


def _positive(weight: Any) -> bool:
    number = isinstance(weight, int | float | np.integer | np.floating) and not isinstance(weight, bool)
    return number and bool(0 < weight < math.inf)
