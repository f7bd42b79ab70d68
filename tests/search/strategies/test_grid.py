"""Grid: the contract, that each point comes once, and what it says of a grid that cannot be listed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archsearch import Choice, Float, Int, Space, SpecError, constraint
from archsearch.search.strategies.grid import Grid
from archsearch.search.testing.simulation import SPACES, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, Proposed


class TestGrid(StrategyContract):
    make = staticmethod(lambda: Grid(points=3))
    ends = True


@pytest.mark.parametrize("wrong", [0, 1, True, 2.5, "3"])
def test_settings_are_checked(wrong: Any) -> None:
    with pytest.raises(SpecError, match="Grid points must be a whole number of at least 2, got"):
        Grid(points=wrong)


@pytest.mark.parametrize("name", ["conditional", "constrained"])
@pytest.mark.parametrize("workers", [1, 7])
def test_each_config_of_the_grid_comes_once_and_then_none(name: str, workers: int) -> None:
    history = simulated_history(Grid(points=3), study_of(SPACES[name], budget=1), trials=10_000, workers=workers)
    assert sorted(repr(t.config) for t in history.trials) == sorted(map(repr, SPACES[name].grid(points=3)))
    assert len(history.trials) > 100
    assert Grid(points=3).ask(history, 2, np.random.default_rng(0)) == []


def test_values_that_look_alike_are_distinguished() -> None:
    history = simulated_history(Grid(), study_of(Space(flag=Choice(True, "True", "1")), budget=1), trials=9)
    assert sorted(repr(t.config["flag"]) for t in history.trials) == ["'1'", "'True'", "True"]


def test_what_another_has_proposed_is_not_proposed_again() -> None:
    study = study_of(Space(depth=Int(1, 4), kind=Choice("a", "b")))
    known = Proposal({"kind": "b", "depth": 2}, None)  # in another order, as a person may write it
    history = History(study).apply(Proposed(0.0, 0, known, 0))
    configs = [p.config for p in Grid().ask(history, 99, np.random.default_rng(0))]
    assert len(configs) == 7
    assert known.config not in configs


def test_the_first_part_of_a_study_has_seen_all_of_the_space() -> None:
    study = study_of(Space({f"p{k}": Int(0, 4) for k in range(4)}), budget=1)
    early = simulated_history(Grid(), study, trials=40).trials  # of 625; a listing in order would leave p0 and p1 at 0
    assert all({t.config[f"p{k}"] for t in early} == {0, 1, 2, 3, 4} for k in range(4))


@pytest.mark.parametrize(
    ("space", "points", "said"),
    [
        (
            Space(x=Float(0, 1)),
            None,
            r"infinitely many values of 'x'.* a step, take fewer values of each number, as Grid\(points=3\)",
        ),
        (Space({f"p{k}": Int(0, 9) for k in range(6)}), None, r"has 1,000,000 configs, .* at most 100,000"),
        (Space({f"p{k}": Float(0, 1) for k in range(9)}), 4, r"has 262,144 configs, .* fewer values of each number"),
        (Space(constraint("x > 0.6"), constraint("x < 0.9"), x=Float(0, 1)), 3, r"no config of the grid satisfies"),
    ],
    ids=["infinite", "large", "fine", "between"],
)
def test_a_grid_that_cannot_be_listed_says_what_to_do(space: Space, points: int | None, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Grid(points).ask(History(study_of(space)), 1, np.random.default_rng(0))
