"""When a trial is stopped early: one file per pruner, and the one list of their names.

Pruners are values: `Study(pruner=SuccessiveHalving(eta=4))`. The list is for spec files that give a name.
"""

from __future__ import annotations

from typing import cast

from archsearch.search.protocols import Pruner
from archsearch.search.registry import Registry

PRUNERS = Registry(
    "pruner",
    {
        "extrapolation": "archsearch.search.pruners.extrapolation:Extrapolation",
        "halving": "archsearch.search.pruners.halving:SuccessiveHalving",
        "median": "archsearch.search.pruners.median:Median",
        "none": "archsearch.search.pruners.never:Never",
        "patience": "archsearch.search.pruners.patience:Patience",
        "percentile": "archsearch.search.pruners.percentile:Percentile",
    },
)


def pruner(name: str) -> Pruner:
    """The pruner of that name with its defaults; SpecError when there is none."""
    return cast(Pruner, PRUNERS.make(name))
