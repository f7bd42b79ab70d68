"""Calls the methods of an objective, a strategy or a pruner outside of a trial, where a mistake ends the command.

An exception, or a return value that the caller cannot use, becomes a SpecError that names the method.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from archsearch.search.engine.stopping import StopSession, attribute_errors
from archsearch.search.protocols import Objective, Pruner, Strategy
from archsearch.spaces import ArchsearchError, SpecError


def call_hook(part: Objective | Strategy | Pruner, method: str, *args: Any) -> Any:
    """Call a method of an objective, a strategy or a pruner.

    Args:
        part: The object, which may be of a user's own class.
        method: The name of the method.
        *args: Its arguments.

    Returns:
        What the method returns.

    Raises:
        SpecError: The method raised an exception, which is the cause, or its result has the wrong type.
        ArchsearchError: The method raised one, whose message says what is wrong.
    """
    base = next(base for base in (Objective, Strategy, Pruner) if isinstance(part, base))
    name = _Name(f"{type(part).__name__}.{method}()")
    told: ArchsearchError | None = None
    result = None
    try:
        with attribute_errors(f"{base.__name__.lower()}'s method", name):
            try:
                result = getattr(part, method)(*args)
            except ArchsearchError as error:
                told = error
    except StopSession as stopped:
        raise SpecError(stopped.reason) from stopped.__cause__
    if told is not None:
        raise told
    wanted, fits = _RESULTS.get(method, ("anything", lambda value: True))
    if not fits(result):
        raise SpecError(f"{name!r} must return {wanted}, got {result!r}; fix the {base.__name__.lower()}")
    return result


class _Name(str):
    """A name that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and all(isinstance(each, str) for each in value)


def _are_names(value: object) -> bool:
    return value is None or _are_texts(value)


_RESULTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "warnings_for": ("a list of texts", _are_texts),
    "data_warnings": ("a list of texts", _are_texts),
    "known_metrics": ("a list of names, or None", _are_names),
    "peek_metrics": ("a list of names, or None", _are_names),
    "metrics_of": ("a list of names, or None", _are_names),
    "fingerprint_of": ("a text, or None", _is_text),
    "summary_of": ("a text, or None", _is_text),
}
