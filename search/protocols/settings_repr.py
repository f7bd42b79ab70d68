"""The default repr of strategies and pruners, which is recorded in the store and compared when a study is continued."""

from __future__ import annotations

import inspect


def settings_repr(part: object) -> str:
    """The class, and the arguments of its constructor that are attributes of the same names, as in scikit-learn.

    Other attributes are left out: a cache changes while the study runs.
    """
    parameters = inspect.signature(type(part)).parameters.values()
    names = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    settings = ((name, getattr(part, name)) for name in names if hasattr(part, name))
    return f"{type(part).__name__}({', '.join(f'{name}={_stable(value)}' for name, value in settings)})"


def _stable(value: object) -> str:
    """The repr, but with the elements of a set in the same order in every process."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}([{', '.join(sorted(map(repr, value)))}])"
    return repr(value)
