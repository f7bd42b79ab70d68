"""The registry of strategies: it resolves, lists itself, corrects a mistaken name, and loads no library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archsearch import SpecError
from archsearch.search.strategies import STRATEGIES, strategy


def test_each_name_gives_the_strategy_with_its_defaults() -> None:
    classes = {name: type(strategy(name)) for name in STRATEGIES}
    assert {name: strategy(name) for name in STRATEGIES} == {name: kind() for name, kind in classes.items()}
    assert {name: kind.__name__.lower() for name, kind in classes.items()} == {name: name for name in STRATEGIES}


@pytest.mark.parametrize("name", ["TPE", "Tpe", "CMA-ES", "cma_es", "CmaEs", "NSGA2", "top_k", "QuasiRandom"])
def test_a_name_is_known_in_any_case_and_spelling(name: str) -> None:
    assert type(strategy(name)).__name__.lower() == name.lower().replace("-", "").replace("_", "")


def test_a_mistaken_name_is_corrected() -> None:
    with pytest.raises(SpecError, match=r"unknown strategy 'tbe'; known: asha, .*, tpe; did you mean 'tpe'"):
        strategy("tbe")


def test_declaring_a_strategy_loads_no_library() -> None:
    code = (
        "import sys; from archsearch.search.strategies import STRATEGIES, strategy; list(map(strategy, STRATEGIES));"
        "heavy = ('optuna', 'skopt', 'sklearn', 'scipy', 'cmaes', 'torch', 'ray');"
        "print([name for name in heavy if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
