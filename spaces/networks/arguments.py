"""Settings: arguments of a family or a recipe that are a fixed value or a domain, and the checks that they share.

Every check looks at the outermost values that a setting can take, so a domain that reaches too far fails where it is
declared, and not in the trial that first draws the bad value. All of them raise SpaceError: what, got, fix.

A config says what its reader wants to know. So an argument that is an addition, and is left at its default, need not be
a parameter (`asked_for`), and whatever a config does not hold has the default of the signature (`filled`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any

from archsearch.spaces.domains import Choice, Domain, Float, Int, Value
from archsearch.spaces.errors import SpaceError, unknown

Setting = Domain | Value


def outermost(setting: Setting) -> tuple[Value, ...]:
    """The ends of an interval, the values of a choice, or the fixed value alone."""
    if isinstance(setting, Choice):
        return setting.values
    if isinstance(setting, Int | Float):
        return (setting.from_unit(0.0), setting.from_unit(1.0))  # a step may not reach the upper bound
    return (setting,)


def asked_for(family: Any, *names: str) -> dict[str, Setting]:
    """Those of the arguments that are not left at their defaults."""
    defaults = _defaults(type(family))
    given: dict[str, Setting] = {name: getattr(family, name) for name in names}
    return {name: setting for name, setting in given.items() if setting != defaults[name]}


def filled(family: type, config: Mapping[str, Value]) -> dict[str, Any]:
    """The config's values, and the family's defaults where it has none."""
    return {**_defaults(family), **config}


def check_int(what: str, setting: Setting, low: int, *, allow_none: bool = False) -> None:
    """Every value is a whole number of at least `low`; or None, where that is allowed."""
    for value in outermost(setting):
        if allow_none and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise SpaceError(
                f"{what} must be a whole number of at least {low}{' or None' if allow_none else ''}, "
                f"got {_shown(value, setting)}; give such a number, Int(low, high) or Choice(...)"
            )


def check_number(
    what: str,
    setting: Setting,
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
    for value in outermost(setting):
        if allow_none and value is None:
            continue
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else value
        if not (above < number < below and low <= number <= high):
            raise SpaceError(
                f"{what} must be a number {bounds}{' or None' if allow_none else ''}, got {_shown(value, setting)}; "
                f"give such a number, Float(low, high) or Choice(...)"
            )


def check_name(what: str, setting: Setting, known: Collection[str]) -> None:
    """Every value is one of the known names."""
    for value in outermost(setting):
        if value not in known:
            raise SpaceError(unknown(what, str(value), known))


def check_flag(what: str, setting: Setting) -> None:
    """Every value is True or False."""
    for value in outermost(setting):
        if not isinstance(value, bool):
            raise SpaceError(
                f"{what} must be True, False or Choice(True, False), got {_shown(value, setting)}; give one of these"
            )


def _defaults(family: type) -> dict[str, Any]:
    return {argument.name: argument.default for argument in fields(family) if argument.default is not MISSING}


def _shown(value: Value, setting: Setting) -> str:
    return repr(value) if value is setting else f"{value!r} from {setting}"
