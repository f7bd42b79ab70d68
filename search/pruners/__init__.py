"""When a trial is stopped early: one file per pruner, and the one table of their names.

Pruners are values: `Study(pruner=SuccessiveHalving(eta=4))`. The table is for the command line and for lists.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from search.protocols import Pruner
from spaces.errors import SpecError, unknown

if TYPE_CHECKING:
    from search.pruners.halving import SuccessiveHalving
    from search.pruners.median import Median
    from search.pruners.never import Never

__all__ = ["PRUNERS", "Median", "Never", "SuccessiveHalving", "pruner"]

PRUNERS = {
    "halving": "search.pruners.halving:SuccessiveHalving",
    "median": "search.pruners.median:Median",
    "none": "search.pruners.never:Never",
}


def pruner(name: str) -> Pruner:
    """The pruner of that name with its defaults; SpecError when there is none."""
    if name not in PRUNERS:
        raise SpecError(unknown("pruner", name, PRUNERS))
    return cast(Pruner, _load(PRUNERS[name])())


def __getattr__(name: str) -> object:
    for place in PRUNERS.values():
        if place.endswith(f":{name}"):
            return _load(place)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load(place: str) -> type:
    module, _, attribute = place.partition(":")
    return cast(type, getattr(import_module(module), attribute))
