"""Pruners, one per file, and the registry of their names.

In Python, pass an instance: `Study(pruner=SuccessiveHalving(eta=4))`. The names are for spec files and messages.
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
    """Create the pruner of this name with its default settings.

    Raises:
        SpecError: No pruner has this name.
    """
    return cast(Pruner, PRUNERS.make(name))
