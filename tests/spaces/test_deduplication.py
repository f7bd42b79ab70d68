"""No config twice while another is left."""

from __future__ import annotations

import pytest

from archsearch import Bayes, Choice, CmaEs, Evolution, Float, Int, QuasiRandom, Random, Space, When, constraint
from archsearch.search.protocols import Strategy
from archsearch.search.testing.simulation import simulated_history, study_of
from archsearch.spaces.deduplication import untried

SMALL = Space(depth=Int(1, 4), kind=Choice("a", "b", "c"), flag=Choice(True, False))


def test_the_first_new_candidate_is_taken() -> None:
    configs = [{"x": 1}, {"x": 2}, {"x": 3}]
    assert untried(Space(x=Int(1, 9)), configs[:1], configs) == {"x": 2}


def test_where_all_candidates_are_known_the_list_is_searched_and_then_the_first_comes_back() -> None:
    space = Space(constraint("x != 2"), x=Int(1, 3))
    assert untried(space, [{"x": 1}], [{"x": 1}, {"x": 1}]) == {"x": 3}
    assert untried(space, [{"x": 3}, {"x": 1}], [{"x": 3}, {"x": 1}]) == {"x": 3}
    assert untried(Space(x=Float(0.0, 1.0)), [{"x": 0.5}], [{"x": 0.5}]) == {"x": 0.5}


@pytest.mark.parametrize(
    "strategy",
    [Random(), QuasiRandom(), Evolution(population=3, sample=2), Bayes(startup_trials=3), CmaEs(population=4)],
    ids=repr,
)
@pytest.mark.parametrize("workers", [1, 5])
def test_a_small_space_is_gone_through_and_then_repeated(strategy: Strategy, workers: int) -> None:
    history = simulated_history(strategy, study_of(SMALL, budget=1), trials=26, workers=workers)
    shown = [repr(trial.config) for trial in history.trials]
    assert len(shown) == 26
    assert len(set(shown[:24])) == 24 == SMALL.size()


def test_a_branch_without_a_continuum_is_not_drawn_twice() -> None:
    space = Space(kind=Choice("a", "b", "c"), rate=When("kind == 'a'", Float(0.0, 1.0)))
    kinds = [t.config["kind"] for t in simulated_history(Random(), study_of(space, budget=1), trials=40).trials]
    assert (kinds.count("b"), kinds.count("c")) == (1, 1)
