"""How configurations are chosen: one file per strategy, and the one table of their names.

Strategies are values: `Study(strategy=TPE(startup_trials=20))`. The table is for the command line and for lists.
Nothing is imported before it is asked for: every worker imports the spec file, and only the driver needs optuna and
scikit-optimize, which take 0.1 and 1.5 s.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from search.protocols import Strategy
from spaces.errors import SpecError, unknown

if TYPE_CHECKING:
    from search.strategies.bayes import Bayes
    from search.strategies.random import Random
    from search.strategies.tpe import TPE

__all__ = ["STRATEGIES", "TPE", "Bayes", "Random", "strategy"]

STRATEGIES = {
    "bayes": "search.strategies.bayes:Bayes",
    "random": "search.strategies.random:Random",
    "tpe": "search.strategies.tpe:TPE",
}


def strategy(name: str) -> Strategy:
    """The strategy of that name with its defaults; SpecError when there is none."""
    if name not in STRATEGIES:
        raise SpecError(unknown("strategy", name, STRATEGIES))
    return cast(Strategy, _load(STRATEGIES[name])())


def __getattr__(name: str) -> object:
    for place in STRATEGIES.values():
        if place.endswith(f":{name}"):
            return _load(place)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load(place: str) -> type:
    module, _, attribute = place.partition(":")
    return cast(type, getattr(import_module(module), attribute))
