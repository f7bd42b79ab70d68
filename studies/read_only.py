"""A dict that cannot be changed."""

from __future__ import annotations

from typing import Any, NoReturn


class ReadOnlyDict(dict[str, Any]):
    """A dict that is created once: the configurations and metrics of a history, which plug-ins receive.

    A subclass of dict, so that it equals, prints and serializes as one. `dict(...)` and `copy` make a plain copy.
    """

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("the history of a study cannot be changed; make a copy first: dict(...)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return ReadOnlyDict, (dict(self),)
