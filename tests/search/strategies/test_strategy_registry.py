"""The table of strategies: it resolves, lists itself, corrects a mistaken name, and loads no more than is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import archsearch.search.strategies
from archsearch import SpecError
from archsearch.search.strategies import STRATEGIES, strategy


def test_each_name_gives_the_strategy_with_its_defaults() -> None:
    classes = {name: type(strategy(name)) for name in STRATEGIES}
    assert {kind.__name__ for kind in classes.values()} == set(archsearch.search.strategies.__all__) - {
        "STRATEGIES",
        "strategy",
    }
    assert {name: strategy(name) for name in STRATEGIES} == {name: kind() for name, kind in classes.items()}
    assert {name: kind.__name__.lower() for name, kind in classes.items()} == {name: name for name in STRATEGIES}


def test_a_mistaken_name_is_corrected() -> None:
    with pytest.raises(SpecError, match=r"unknown strategy 'tbe'; known: asha, .*, tpe; did you mean 'tpe'"):
        strategy("tbe")


def test_the_package_names_what_it_holds() -> None:
    assert set(archsearch.search.strategies.__all__) <= set(dir(archsearch.search.strategies))
    with pytest.raises(AttributeError, match="has no attribute 'Annealing'"):
        archsearch.search.strategies.Annealing  # noqa: B018


def test_declaring_a_strategy_loads_no_library() -> None:
    code = (
        "import sys; from archsearch.search.strategies import STRATEGIES, strategy; list(map(strategy, STRATEGIES));"
        "heavy = ('optuna', 'skopt', 'sklearn', 'scipy', 'cmaes', 'torch', 'ray');"
        "print([name for name in heavy if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
