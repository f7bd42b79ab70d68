"""What is checked, and said, of the parts that a study is made of: strategies, pruners, objectives."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import fields
from difflib import SequenceMatcher
from inspect import getattr_static
from typing import Any

from archsearch.spaces import SpecError
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.errors import ArgumentError

# From which difflib ratio on a name is taken for another one misspelt: `metric_of` and `metrics_of` have 0.95, `shape`
# and `space`, which are not meant, 0.8. Where a required name is missing there is less to lose by a suggestion.
_SIMILAR = 0.85
_SIMILAR_REQUIRED = 0.6


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


def check_members(
    what: str,
    part: Any,
    *,
    required: Collection[str] = (),
    methods: Collection[str] = (),
    attributes: Collection[str] = (),
    example: str,
) -> None:
    """Checks that an object of the user's own fits its seam, before anything is trained.

    Args:
        what: Its role, which is the argument's name: "strategy".
        part: The object.
        required: The methods that it must have.
        methods: Those that it may have. A misspelt one would silently never be called, and is refused too.
        attributes: The attributes that it may have, likewise.
        example: Something that would do, for the message: "TPE()".

    Raises:
        SpecError: It is a class, a method is missing or cannot be called, or a member is misspelt.
    """
    if isinstance(part, type):
        raise SpecError(f"{what} is the class {part.__name__}; write {part.__name__}()")
    who = stable_repr(part)
    for name in required:
        if not hasattr(part, name):
            near = _misspelt(part, name, method=True, similarity=_SIMILAR_REQUIRED)
            hint = f"did you mean `{name}` by its `{near}`?" if near else f"try {example}"
            raise SpecError(f"{what} must have a method `{name}`, got {who}; {hint}")
    for name in (*required, *methods, *attributes):
        if hasattr(part, name):
            if name not in attributes and not callable(getattr(part, name)):
                raise SpecError(f"`{name}` of the {what} must be a method, got {getattr(part, name)!r} in {who}")
        elif (near := _misspelt(part, name, method=name not in attributes, similarity=_SIMILAR)) is not None:
            raise SpecError(
                f"unknown member `{near}` of the {what} {who}; did you mean `{name}`? Begin its name with an "
                "underscore if it is your own"
            )


def _misspelt(part: Any, name: str, *, method: bool, similarity: float) -> str | None:
    """The public member of the object that has nearly this name, and is a method or not as the name's owner should."""
    for mine in dir(part):
        if mine.startswith("_") or SequenceMatcher(None, mine.lower(), name).ratio() < similarity:
            continue
        found = getattr_static(part, mine)  # a property is not computed
        if (callable(found) or isinstance(found, classmethod)) == method:
            return mine
    return None


def stable_repr(part: object) -> str:
    """The repr of an object without addresses in memory, so that it is the same in every process.

    An object without a `__repr__` of its own is the qualified name of its class.
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", re.sub(r"<([\w.<>]+) object at 0x[0-9a-fA-F]+>", r"\1", repr(part)))
