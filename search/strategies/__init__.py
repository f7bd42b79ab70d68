"""How configurations are chosen: one file per strategy, and the one table of their names.

Strategies are values: `Study(strategy=TPE(startup_trials=20))`. The table is for the command line and for lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from search.names import NameTable
from search.protocols import Strategy

if TYPE_CHECKING:
    from search.strategies.asha import ASHA
    from search.strategies.auto import Auto
    from search.strategies.bayes import Bayes
    from search.strategies.cma_es import CmaEs
    from search.strategies.evolution import Evolution
    from search.strategies.gp import GP
    from search.strategies.grid import Grid
    from search.strategies.hyperband import Hyperband
    from search.strategies.nsga2 import NSGA2
    from search.strategies.quasirandom import QuasiRandom
    from search.strategies.random import Random
    from search.strategies.top_k import TopK
    from search.strategies.tpe import TPE

__all__ = [
    "ASHA",
    "GP",
    "NSGA2",
    "STRATEGIES",
    "TPE",
    "Auto",
    "Bayes",
    "CmaEs",
    "Evolution",
    "Grid",
    "Hyperband",
    "QuasiRandom",
    "Random",
    "TopK",
    "strategy",
]

STRATEGIES = NameTable(
    "strategy",
    {
        "asha": "search.strategies.asha:ASHA",
        "auto": "search.strategies.auto:Auto",
        "bayes": "search.strategies.bayes:Bayes",
        "cmaes": "search.strategies.cma_es:CmaEs",
        "evolution": "search.strategies.evolution:Evolution",
        "gp": "search.strategies.gp:GP",
        "grid": "search.strategies.grid:Grid",
        "hyperband": "search.strategies.hyperband:Hyperband",
        "nsga2": "search.strategies.nsga2:NSGA2",
        "quasirandom": "search.strategies.quasirandom:QuasiRandom",
        "random": "search.strategies.random:Random",
        "topk": "search.strategies.top_k:TopK",
        "tpe": "search.strategies.tpe:TPE",
    },
)


def strategy(name: str) -> Strategy:
    """The strategy of that name with its defaults; SpecError when there is none."""
    return cast(Strategy, STRATEGIES.make(name))


def __getattr__(name: str) -> object:
    return STRATEGIES.attribute(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
