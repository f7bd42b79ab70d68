"""What strategies and pruners check of their own settings, and what a study checks of the objects that it is given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from archsearch.search.protocols import Observer
from archsearch.spaces import SpecError

ALIKE = 0.8  # names of which so much is the same are taken for a slip


def check_int(owner: Any, name: str, *, least: int, allow_none: bool = False) -> None:
    """Raises SpecError unless that field of a dataclass is a whole number of at least so much; its default is usual.

    allow_none: None means something too.
    """
    value = getattr(owner, name)
    if allow_none and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        usual = next(field.default for field in fields(owner) if field.name == name)
        raise SpecError(
            f"{type(owner).__name__} {name} must be a whole number of at least {least}, got {value!r}; {usual} is usual"
        )


def check_extends(what: str, value: object, base: type) -> None:
    """Check that what an object has of the names of `base` is meant, and will be used.

    Raises:
        SpecError: It derives from `base`, and has a name that is nearly one of its; or it does not derive from it, and
            has one of its names, which nothing would ask for.
    """
    names = _public(vars(base))
    own = type(value).__name__
    if not isinstance(value, base):
        if taken := [name for name in names if hasattr(value, name)]:
            raise SpecError(
                f"{what} {own} has `{taken[0]}` but is not an {base.__name__}, so nothing would use it; write class "
                f"{own}({base.__name__}), with from archsearch import {base.__name__}"
            )
        return
    for each in type(value).__mro__[: type(value).__mro__.index(base)]:
        for name in _public(vars(each)):
            alike = [other for other in names if callable(getattr(base, other)) == callable(getattr(each, name))]
            _refuse_slip(f"{what} {own}", name, names, alike)


def check_observer(value: object) -> None:
    """Check that an observer can be told something, whether or not it derives from Observer.

    Raises:
        SpecError: It is a class, has none of an Observer's methods, or one whose name is nearly one of theirs.
    """
    if isinstance(value, type):
        raise SpecError(f"Study observers has the class {value.__name__}; write {value.__name__}()")
    names = _public(vars(Observer))
    for name in _public(dir(value)):
        if name.startswith("on"):
            _refuse_slip(f"observer {type(value).__name__}", name, names, names)
    if not any(callable(getattr(value, name, None)) for name in names):
        raise SpecError(f"an observer needs one of the methods {', '.join(names)}; got {value!r}")


def _public(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def _refuse_slip(what: str, name: str, names: list[str], alike: list[str]) -> None:
    close = [] if name in names else difflib.get_close_matches(name, alike, n=1, cutoff=ALIKE)
    if close:
        raise SpecError(f"{what} has `{name}`, which nothing would use; did you mean `{close[0]}`?")
