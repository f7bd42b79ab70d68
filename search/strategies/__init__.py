"""Search strategies, one per file, and the registry of their names.

In Python, pass an instance: `Study(strategy=TPE(startup_trials=20))`. The names are for the command line and messages.
"""

from __future__ import annotations

from typing import cast

from archsearch.search.protocols import Strategy
from archsearch.search.registry import Registry

STRATEGIES = Registry(
    "strategy",
    {
        "asha": "archsearch.search.strategies.asha:ASHA",
        "auto": "archsearch.search.strategies.auto:Auto",
        "bayes": "archsearch.search.strategies.bayes:Bayes",
        "cmaes": "archsearch.search.strategies.cma_es:CmaEs",
        "evolution": "archsearch.search.strategies.evolution:Evolution",
        "gp": "archsearch.search.strategies.gp:GP",
        "grid": "archsearch.search.strategies.grid:Grid",
        "hyperband": "archsearch.search.strategies.hyperband:Hyperband",
        "nsga2": "archsearch.search.strategies.nsga2:NSGA2",
        "quasirandom": "archsearch.search.strategies.quasirandom:QuasiRandom",
        "random": "archsearch.search.strategies.random:Random",
        "topk": "archsearch.search.strategies.top_k:TopK",
        "tpe": "archsearch.search.strategies.tpe:TPE",
    },
)


def strategy(name: str) -> Strategy:
    """Create the strategy of this name with its default settings.

    Raises:
        SpecError: No strategy has this name.
    """
    return cast(Strategy, STRATEGIES.make(name))
