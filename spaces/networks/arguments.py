"""Arguments of families and recipes, each a fixed value or a domain, and the checks that they share.

A check looks at the extreme values of a domain, so that a domain that is too wide is refused at the declaration, and
not by the trial that first draws a bad value. All checks raise SpaceError.

To keep configs readable, an optional argument that is left at its default is not a parameter (`non_default`), and what
a config does not hold has the default of the signature (`with_defaults`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any

from archsearch.spaces.domains import Choice, Domain, Float, Int, Value
from archsearch.spaces.errors import SpaceError, unknown

Argument = Domain | Value


def extremes(argument: Argument) -> tuple[Value, ...]:
    """The ends of an Int or Float, all values of a Choice, or the fixed value."""
    if isinstance(argument, Choice):
        return argument.values
    if isinstance(argument, Int | Float):
        return (argument.from_unit(0.0), argument.from_unit(1.0))  # a step may not reach the upper bound
    return (argument,)


def non_default(family: Any, *names: str) -> dict[str, Argument]:
    """The arguments, among those named, that are not left at their defaults."""
    defaults = _defaults(type(family))
    given: dict[str, Argument] = {name: getattr(family, name) for name in names}
    return {name: argument for name, argument in given.items() if argument != defaults[name]}


def with_defaults(family: type, config: Mapping[str, Value]) -> dict[str, Any]:
    """The config's values, completed by the defaults of the family's arguments."""
    return {**_defaults(family), **config}


def check_int(what: str, argument: Argument, low: int, *, allow_none: bool = False) -> None:
    """Checks that every value is an integer of at least `low`, or None if `allow_none`."""
    for value in extremes(argument):
        if allow_none and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise SpaceError(
                f"{what} must be a whole number of at least {low}{' or None' if allow_none else ''}, "
                f"got {_shown(value, argument)}; give such a number, Int(low, high) or Choice(...)"
            )


def check_number(
    what: str,
    argument: Argument,
    bounds: str,
    *,
    above: float = -math.inf,
    low: float = -math.inf,
    high: float = math.inf,
    below: float = math.inf,
    allow_none: bool = False,
) -> None:
    """Checks that every value is a number within the limits, or None if `allow_none`.

    The limits are `above` < value < `below` and `low` <= value <= `high`; `bounds` describes them in the message.
    """
    for value in extremes(argument):
        if allow_none and value is None:
            continue
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else value
        if not (above < number < below and low <= number <= high):
            raise SpaceError(
                f"{what} must be a number {bounds}{' or None' if allow_none else ''}, got {_shown(value, argument)}; "
                f"give such a number, Float(low, high) or Choice(...)"
            )


def check_name(what: str, argument: Argument, known: Collection[str]) -> None:
    """Checks that every value is one of the known names."""
    for value in extremes(argument):
        if value not in known:
            raise SpaceError(unknown(what, str(value), known))


def check_flag(what: str, argument: Argument) -> None:
    """Checks that every value is True or False."""
    for value in extremes(argument):
        if not isinstance(value, bool):
            raise SpaceError(f"{what} must be True, False or Choice(True, False), got {_shown(value, argument)}")


def _defaults(family: type) -> dict[str, Any]:
    return {argument.name: argument.default for argument in fields(family) if argument.default is not MISSING}


def _shown(value: Value, argument: Argument) -> str:
    return repr(value) if value is argument else f"{value!r} from {argument}"
