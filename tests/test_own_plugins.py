"""The plug-ins of the examples pass the kits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from archsearch.search.testing.pruners import PrunerContract
from archsearch.search.testing.strategies import StrategyContract

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def example(name: str) -> Any:
    """The example's module, under a name by which a fresh process finds it too."""
    if str(EXAMPLES) not in sys.path:
        sys.path.append(str(EXAMPLES))
    return importlib.import_module(name)


class TestTheStrategyOfTheExample(StrategyContract):
    make = staticmethod(lambda: example("own_strategy").Annealing())


class TestThePrunerOfTheExample(PrunerContract):
    make = staticmethod(lambda: example("own_pruner").FarFromBest())


@pytest.mark.parametrize("name", ["own_strategy", "own_pruner"])
def test_a_plugin_takes_at_most_forty_lines(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(text[text.index("@dataclass") : text.index("study = ")].splitlines()) <= 40
