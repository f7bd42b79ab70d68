"""Choice, the domain that lists its values. Values are plain, so that they can be written as JSON and hashed."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.errors import SpaceError

Value = int | float | str | bool | None | tuple[Any, ...]


@dataclass(frozen=True, slots=True, init=False)
class Choice(ArgumentHints):
    """A categorical domain: one of the given values.

    Args:
        *values: The values, at least one and each once: numbers, strings, booleans, None, or tuples of these. Values
            that are equal in Python, such as 1 and True, count as one, since no condition could distinguish them.
        ordered: Whether neighbouring values are similar, as in `Choice(32, 64, 128, ordered=True)`. Models and local
            search then treat the values as points on a line; otherwise all values are equally far apart.
        prior: One positive weight for each value. With `Choice("adam", "sgd", prior=(3, 1))`, three random draws in
            four are "adam". None draws uniformly.

    Raises:
        SpaceError: There are no values, two values are equal or one is not plain, or the weights do not fit the values.

    Example:
        >>> from archsearch import Choice
        >>> units = Choice(32, 64, 128, ordered=True)
        >>> 64 in units, 65 in units
        (True, False)
        >>> units.from_unit(0.9)
        128
    """

    values: tuple[Value, ...]
    ordered: bool
    prior: tuple[float, ...] | None
    _indices: dict[object, int] = field(init=False)
    _ends: tuple[float, ...] = field(init=False)

    def __init__(self, *values: Value, ordered: bool = False, prior: Sequence[float] | None = None) -> None:
        if not values:
            raise SpaceError("Choice has no values; name at least one, e.g. Choice('relu', 'gelu')")
        plain = tuple(_plain(value) for value in values)
        if not isinstance(ordered, bool):
            raise SpaceError(f"Choice ordered must be True or False, got {ordered!r}")
        first: dict[Value, Value] = {}
        for value in plain:
            if value in first:
                _refuse_equal(first[value], value)
            first[value] = value
        indices = {_key(value): index for index, value in enumerate(plain)}
        weights = None if prior is None else _weights(prior, len(plain))
        object.__setattr__(self, "values", plain)
        object.__setattr__(self, "ordered", ordered)
        object.__setattr__(self, "prior", weights)
        object.__setattr__(self, "_indices", indices)
        ends = [end / sum(weights) for end in accumulate(weights)] if weights else []
        object.__setattr__(self, "_ends", tuple(ends[:-1]))

    def __repr__(self) -> str:
        prior = "" if self.prior is None else f", prior={self.prior}"
        return f"Choice({', '.join(map(repr, self.values))}{', ordered=True' if self.ordered else ''}{prior})"

    # By repr: 1, 1.0 and True are equal in Python, but are different declarations.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __contains__(self, value: object) -> bool:
        return _key(value) in self._indices

    def size(self) -> float:
        """The number of values."""
        return len(self.values)

    def sample(self, rng: np.random.Generator) -> Value:
        """A random value, drawn by the prior."""
        return self.draw(rng.random())

    def draw(self, uniform: float) -> Value:
        """Maps a uniform number in [0, 1) to a value that is distributed by the prior (inverse transform sampling)."""
        return self.from_unit(uniform) if self.prior is None else self.values[bisect(self._ends, uniform)]

    def prior_density(self, value: Value) -> float:
        """The probability of the value under the prior, divided by its probability under a uniform draw."""
        return 1.0 if self.prior is None else self.prior[self.index(value)] * len(self.prior) / sum(self.prior)

    def index(self, value: Value) -> int:
        """The value's position in `values`. Raises SpaceError if it is not one of them."""
        index = self._indices.get(_key(value))
        if index is None:
            raise SpaceError(f"{value!r} is not one of the values of {self}")
        return index

    def to_unit(self, value: Value) -> float:
        """The middle of the value's share of the unit interval."""
        return (self.index(value) + 0.5) / len(self.values)

    def from_unit(self, unit: float) -> Value:
        """The value whose share of the unit interval holds this number."""
        index = int(unit * len(self.values))
        if not 0 <= index < len(self.values):  # 1.0, or a number outside of [0, 1]
            index = 0 if index < 0 else -1
        return self.values[index]

    def to_json(self) -> dict[str, Any]:
        body = {"type": "choice", "values": list(self.values), "ordered": self.ordered}
        return body if self.prior is None else {**body, "prior": list(self.prior)}


def _refuse_equal(first: Value, again: Value) -> NoReturn:
    if _key(first) == _key(again):
        raise SpaceError(f"Choice has the value {again!r} twice; list each value once")
    raise SpaceError(
        f"Choice has {first!r} and {again!r}, which are equal in Python, so that no condition could distinguish them; "
        "keep one of them, or name both, e.g. Choice('on', 'one')"
    )


def tupled(value: Any) -> Any:
    """Turns lists read from JSON back into tuples."""
    return tuple(tupled(item) for item in value) if isinstance(value, list) else value


def _plain(value: Any) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Enum):
        raise SpaceError(f"a value must be plain, got the Enum member {value!r}; use {value!r}.value")
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list | set | frozenset | range):
        listed = ", ".join(map(repr, value))
        raise SpaceError(
            f"a value must be plain, got {value!r}; write Choice({listed}) if these are the values to choose from, or "
            "a tuple if it is one value"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"Choice values must be finite, got {value!r}; use None or a string instead")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    named = callable(value) or isinstance(value, ModuleType)
    hint = "its name, and look the object up in your objective" if named else "a tuple or a name"
    raise SpaceError(f"a value must be plain (a number, string, None or tuple), got {value!r}; use {hint}")


def _key(value: object) -> object:
    """A key that tells True from 1, also inside tuples, while 1 and 1.0 share one; None if not plain."""
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
        raise SpaceError(f"Choice prior must have one positive weight for each of the {values} values, got {prior!r}")
    return tuple(map(float, given))


def _positive(weight: Any) -> bool:
    number = isinstance(weight, int | float | np.integer | np.floating) and not isinstance(weight, bool)
    return number and bool(0 < weight < math.inf)
