"""Settings: arguments of a family or a recipe that are a fixed value or a domain, and the checks that they share.

Every check looks at the extremes values that a argument can take, so a domain that reaches too far fails where it is
declared, and not in the trial that first draws the bad value. All of them raise SpaceError: what, got, fix.

A config says what its reader wants to know. So an argument that is an addition, and is left at its default, need not be
a parameter (`non_default`), and whatever a config does not hold has the default of the signature (`with_defaults`).
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
    """The ends of an interval, the values of a choice, or the fixed value alone."""
    if isinstance(argument, Choice):
        return argument.values
    if isinstance(argument, Int | Float):
        return (argument.from_unit(0.0), argument.from_unit(1.0))  # a step may not reach the upper bound
    return (argument,)


def non_default(family: Any, *names: str) -> dict[str, Argument]:
    """Those of the arguments that are not left at their defaults."""
    defaults = _defaults(type(family))
    given: dict[str, Argument] = {name: getattr(family, name) for name in names}
    return {name: argument for name, argument in given.items() if argument != defaults[name]}


def with_defaults(family: type, config: Mapping[str, Value]) -> dict[str, Any]:
    """The config's values, and the family's defaults where it has none."""
    return {**_defaults(family), **config}


def check_int(what: str, argument: Argument, low: int, *, allow_none: bool = False) -> None:
    """Every value is a whole number of at least `low`; or None, where that is allowed."""
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
    """Every value is a finite number > `above`, >= `low`, <= `high` and < `below`; `bounds` says the same in words.

    none: None is a value too.
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
    """Every value is one of the known names."""
    for value in extremes(argument):
        if value not in known:
            raise SpaceError(unknown(what, str(value), known))


def check_flag(what: str, argument: Argument) -> None:
    """Every value is True or False."""
    for value in extremes(argument):
        if not isinstance(value, bool):
            raise SpaceError(
                f"{what} must be True, False or Choice(True, False), got {_shown(value, argument)}; give one of these"
            )


def _defaults(family: type) -> dict[str, Any]:
    return {argument.name: argument.default for argument in fields(family) if argument.default is not MISSING}


def _shown(value: Value, argument: Argument) -> str:
    return repr(value) if value is argument else f"{value!r} from {argument}"
