"""What strategies and pruners check of their own settings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from archsearch.spaces import SpecError


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
