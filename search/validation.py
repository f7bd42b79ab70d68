"""Checks of the parts that a study is made of: strategies, pruners, objectives, observers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import fields
from inspect import getattr_static
from typing import Any

from archsearch.search.protocols import Executor, Observer
from archsearch.spaces import SpecError
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.errors import ArgumentError, unknown

# The difflib ratio from which a name counts as another one misspelt: `metric_of` and `metrics_of` have 0.95, `judges`
# and `judge` 0.91; `shape` and `space`, two different words, 0.8.
_SIMILAR = 0.85


def check_int(owner: Any, name: str, *, least: int, allow_none: bool = False) -> None:
    """Checks a field of a frozen dataclass that must be a whole number, and makes it a plain int.

    Args:
        owner: The dataclass; the field's default is recommended in the message.
        name: The field's name.
        least: The lowest value that is allowed.
        allow_none: None has a meaning too.

    Raises:
        SpecError: The field is no whole number, or below `least`.
    """
    value = getattr(owner, name)
    if allow_none and value is None:
        return
    try:
        object.__setattr__(owner, name, whole_number(value, name, least=least))
    except ArgumentError as error:
        usual = next(field.default for field in fields(owner) if field.name == name)
        raise SpecError(f"{type(owner).__name__} {error}; {usual} is usual") from None


def check_part(role: str, part: Any, base: type, *, required: Collection[str], example: str) -> None:
    """Checks that an object of the user's own is what the engine will use, before anything is trained.

    Args:
        role: The object's name as an argument of `Study`: "strategy".
        part: The object.
        base: The class that it must derive from, whose public members are the names of the seam.
        required: The methods of the base of which it must implement at least one.
        example: Something that would do, for the message: "TPE()".

    Raises:
        SpecError: It is a class, does not derive from the base, implements no required method, has a method that cannot
            be called, or a member whose name is nearly one of the base's and which would therefore never be called.
    """
    if isinstance(part, type):
        raise SpecError(f"{role} is the class {part.__name__}; write {part.__name__}()")
    who = stable_repr(part)
    if not isinstance(part, base):
        raise SpecError(
            f"{role} must be a {base.__name__}, got {who}; try {example}, or derive its class from "
            f"archsearch.{base.__name__}"
        )
    names, implemented = _public(vars(base)), _overridden(part, base)
    _refuse_near_misses(f"{role} {who}", part, base)
    for name in names:
        if callable(getattr(base, name)) and not callable(getattr(part, name)):
            raise SpecError(f"`{name}` of the {role} {who} must be a method, got {getattr(part, name)!r}")
    if not any(name in implemented for name in required):
        wanted = " or ".join(f"`{name}`" for name in required)
        raise SpecError(f"{role} must have a method {wanted}, and {who} has none; see archsearch.{base.__name__}")


def check_extends(what: str, value: object, base: type) -> None:
    """Checks an object that may derive from `base`, but need not.

    Args:
        what: What the object is given as, for the message: "Study objective".
        value: The object.
        base: The class, whose public members are the names of the seam.

    Raises:
        SpecError: It derives from `base` and has a member whose name is nearly one of the base's; or it does not derive
            from it and has a member with one of its names, which would never be called.
    """
    own = type(value).__name__
    if isinstance(value, base):
        _refuse_near_misses(f"{what} {own}", value, base)
    elif taken := [name for name in _public(vars(base)) if hasattr(value, name)]:
        raise SpecError(
            f"{what} {own} has `{taken[0]}` but is not an {base.__name__}, so it would never be used; write class "
            f"{own}({base.__name__}), with from archsearch import {base.__name__}"
        )


def check_executor(value: object) -> None:
    """Checks an executor of the user's own.

    Raises:
        SpecError: It is no Executor, its capacity is not a whole number of at least 1, or a name of a member is nearly
            one of Executor's.
    """
    if not isinstance(value, Executor):
        got = f"the class {value.__name__}; write {value.__name__}()" if isinstance(value, type) else repr(value)
        raise SpecError(f"executor must be a name or an Executor, got {got}")
    _refuse_near_misses(f"executor {type(value).__name__}", value, Executor)
    try:
        whole_number(getattr(value, "capacity", None), "capacity", least=1)
    except ArgumentError as error:
        raise SpecError(f"the {error.argument} of the executor {type(value).__name__} {error.problem}") from None


def check_observer(value: object) -> None:
    """Checks that an object can be an observer, whether or not it derives from Observer.

    Raises:
        SpecError: It is a class, has none of an Observer's methods, or one whose name is nearly one of theirs.
    """
    if isinstance(value, type):
        raise SpecError(f"Study observers has the class {value.__name__}; write {value.__name__}()")
    _refuse_near_misses(f"observer {type(value).__name__}", value, Observer, only="on")
    names = _public(vars(Observer))
    if not any(callable(getattr(value, name, None)) for name in names):
        raise SpecError(f"an observer needs one of the methods {', '.join(names)}; got {value!r}")


def _refuse_near_misses(who: str, part: object, base: type, *, only: str = "") -> None:
    """Refuses a public member that the base lacks, but whose name is nearly that of a member which is not overridden.

    Args:
        who: The object, for the message: "strategy Annealing()".
        part: The object.
        base: The class whose members are meant.
        only: How the names begin that are looked at.

    Raises:
        SpecError: It has one.
    """
    # A method is compared with methods, anything else with the rest. `getattr_static` computes no properties.
    inherited = [name for name in _public(vars(base)) if name not in _overridden(part, base)]
    for name in _public(dir(part)):
        if hasattr(base, name) or not name.startswith(only):
            continue
        alike = [other for other in inherited if callable(getattr(base, other)) == _is_method(part, name)]
        if close := difflib.get_close_matches(name, alike, n=1, cutoff=_SIMILAR):
            raise SpecError(
                f"unknown member `{name}` of the {who}; did you mean `{close[0]}`? If not, begin its name with an "
                "underscore"
            )


def _overridden(part: object, base: type) -> list[str]:
    """The public members of the base that the object has, and that are not the base's own."""
    missing = object()
    found = {name: getattr_static(part, name, missing) for name in _public(vars(base))}
    return [name for name, value in found.items() if value is not missing and value is not getattr_static(base, name)]


def _is_method(part: object, name: str) -> bool:
    found = getattr_static(part, name)
    return callable(found) or isinstance(found, classmethod | staticmethod)


def _public(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def check_metrics(wanted: Iterable[str], known: Collection[str], objective: Any) -> None:
    """Checks that the objective yields the metrics that a study needs.

    Args:
        wanted: The metrics of the study's goals and outcome constraints.
        known: The metrics that the objective yields.
        objective: The objective; its `optional_metrics` are what it would yield if its argument `metrics` named them,
            and its `explain_metric` says why it does not yield another one.

    Raises:
        SpecError: One of them is not known.
    """
    for metric in wanted:
        if metric in known:
            continue
        if metric in (getattr(objective, "optional_metrics", None) or ()):
            call = type(objective).__name__
            raise SpecError(
                f"metric '{metric}' is reported only where it is named; write {call}(..., metrics=('{metric}',))"
            )
        explain = getattr(objective, "explain_metric", None)
        why = None if explain is None else explain(metric, known)
        raise SpecError(unknown("metric", metric, known, why=why))


def stable_repr(part: object) -> str:
    """The repr of an object without addresses in memory, so that it is the same in every process.

    An object without a `__repr__` of its own is the qualified name of its class.
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", re.sub(r"<([\w.<>]+) object at 0x[0-9a-fA-F]+>", r"\1", repr(part)))
