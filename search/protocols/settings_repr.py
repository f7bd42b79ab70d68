"""The repr of parts that are recorded in the store by it."""

from __future__ import annotations


def settings_repr(part: object) -> str:
    settings = (f"{name}={value!r}" for name, value in getattr(part, "__dict__", {}).items() if name[0] != "_")
    return f"{type(part).__name__}({', '.join(settings)})"
