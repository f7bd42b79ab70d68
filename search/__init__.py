"""How it happens: studies, strategies, pruners, executors, training.

    from search import Study, TPE, SuccessiveHalving
    from search.training import Supervised, Recipe, digits

Names are loaded when they are asked for: `archsearch --help` needs neither torch nor ray, and who searches with
Optuna's TPE need not wait for scikit-optimize.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.driver import resume
    from search.pruners import Extrapolation, Median, Never, Patience, Percentile, SuccessiveHalving
    from search.session import Session
    from search.strategies import (
        ASHA,
        GP,
        NSGA2,
        TPE,
        Auto,
        Bayes,
        CmaEs,
        Evolution,
        Grid,
        Hyperband,
        QuasiRandom,
        Random,
        TopK,
    )
    from search.study import Study

__all__ = [
    "ASHA",
    "GP",
    "NSGA2",
    "TPE",
    "Auto",
    "Bayes",
    "CmaEs",
    "Evolution",
    "Extrapolation",
    "Grid",
    "Hyperband",
    "Median",
    "Never",
    "Patience",
    "Percentile",
    "QuasiRandom",
    "Random",
    "Session",
    "Study",
    "SuccessiveHalving",
    "TopK",
    "resume",
]

_HOME = {
    "ASHA": "search.strategies",
    "Auto": "search.strategies",
    "Bayes": "search.strategies",
    "CmaEs": "search.strategies",
    "Evolution": "search.strategies",
    "Extrapolation": "search.pruners",
    "GP": "search.strategies",
    "Grid": "search.strategies",
    "Hyperband": "search.strategies",
    "Median": "search.pruners",
    "Never": "search.pruners",
    "NSGA2": "search.strategies",
    "Patience": "search.pruners",
    "Percentile": "search.pruners",
    "QuasiRandom": "search.strategies",
    "Random": "search.strategies",
    "resume": "search.driver",
    "Session": "search.session",
    "Study": "search.study",
    "SuccessiveHalving": "search.pruners",
    "TopK": "search.strategies",
    "TPE": "search.strategies",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
