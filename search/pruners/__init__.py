"""When a trial is stopped early: one file per pruner, and the one table of their names.

Pruners are values: `Study(pruner=SuccessiveHalving(eta=4))`. The table is for spec files that say it with a name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from search.names import NameTable
from search.protocols import Pruner

if TYPE_CHECKING:
    from search.pruners.extrapolation import Extrapolation
    from search.pruners.halving import SuccessiveHalving
    from search.pruners.median import Median
    from search.pruners.never import Never
    from search.pruners.patience import Patience
    from search.pruners.percentile import Percentile

__all__ = ["PRUNERS", "Extrapolation", "Median", "Never", "Patience", "Percentile", "SuccessiveHalving", "pruner"]

PRUNERS = NameTable(
    "pruner",
    {
        "extrapolation": "search.pruners.extrapolation:Extrapolation",
        "halving": "search.pruners.halving:SuccessiveHalving",
        "median": "search.pruners.median:Median",
        "none": "search.pruners.never:Never",
        "patience": "search.pruners.patience:Patience",
        "percentile": "search.pruners.percentile:Percentile",
    },
)


def pruner(name: str) -> Pruner:
    """The pruner of that name with its defaults; SpecError when there is none."""
    return cast(Pruner, PRUNERS.make(name))


def __getattr__(name: str) -> object:
    return PRUNERS.attribute(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
