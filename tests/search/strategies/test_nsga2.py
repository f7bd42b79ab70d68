"""NSGA-II: the contract, who its parents are, and that it searches with several goals and with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsearch import SpecError
from archsearch.search.strategies.evolution import Evolution
from archsearch.search.strategies.nsga2 import NSGA2
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import CELLS, VALLEY, best_losses, cells, hypervolumes, sized
from archsearch.search.testing.simulation import SPACES, bowls, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Failed, Pruned, Trial


class TestNSGA2(StrategyContract):
    make = staticmethod(lambda: NSGA2(population=6))


@pytest.mark.parametrize("wrong", [{"population": 1}, {"population": 2.5}, {"crossover": -0.1}, {"crossover": True}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"NSGA2 {min(wrong)} must be a .*, got"):
        NSGA2(**wrong)


def test_it_evolves_once_the_population_is_full() -> None:
    study = study_of(SPACES["mixed"], goals=["loss", "size"])
    for ask in list(simulate(NSGA2(6), study, bowls, trials=20, faults=True))[:-1]:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.proposer for p in ask.proposals} == {"nsga2" if valued >= 6 else "random"}


def parents(history: History, strategy: NSGA2, asks: int = 300) -> list[int]:
    proposals = strategy.ask(history, asks, np.random.default_rng(0))
    return [number for proposal in proposals for number in proposal.state["parents"]]


def test_the_parents_are_the_fronts_and_then_what_breaks_the_constraint_least() -> None:
    study = study_of(VALLEY, budget=1, goals=["loss", "size"], outcome_constraints=["cost <= 1"])
    #        the first front         the second        beyond           the worst of all, though best in both goals
    told = iter([(1, 3, 0), (3, 1, 0), (2, 4, 0), (4, 2, 0), (0, 0, 2), (-1, -1, 3)])
    history = simulated_history(
        Random(), study, lambda *_: dict(zip(("loss", "size", "cost"), next(told), strict=True)), trials=6
    )
    assert {*parents(history, NSGA2(5))} == {0, 1, 2, 3, 4}
    assert {*parents(history, NSGA2(4))} == {0, 1, 2, 3}
    assert {*parents(history, NSGA2(2))} == {0, 1}
    chosen = parents(history, NSGA2(6), asks=2000)
    # Of two drawn the better: place p of six wins with the chance (2 (6 - p) - 1) / 36.
    shares = [chosen.count(number) / len(chosen) for number in range(6)]
    assert shares == pytest.approx([11 / 36, 9 / 36, 7 / 36, 5 / 36, 3 / 36, 1 / 36], abs=0.025)


def test_the_old_stay_parents_while_they_are_good() -> None:
    history = simulated_history(Random(), study_of(CELLS, budget=1), cells, trials=60)
    best = sorted(history.trials, key=lambda trial: cells(trial.config))[:8]
    assert {*parents(history, NSGA2(8))} == {trial.number for trial in best}


def test_failed_trials_are_no_parents_and_pruned_ones_rank_behind() -> None:
    history = simulated_history(Random(), study_of(VALLEY, budget=3, goals=["loss", "size"]), sized, trials=12)

    def ended(trial: Trial) -> Trial:
        if trial.number in (0, 1):
            return replace(trial, state="failed", outcome=Failed("NaN"))
        if trial.number in (2, 3):
            return replace(trial, state="pruned", outcome=Pruned("behind"), reports=trial.reports[: trial.number - 1])
        return trial

    history = replace(history, trials=tuple(map(ended, history.trials)))
    assert {*parents(history, NSGA2(8))} == {*range(4, 12)}
    assert {*parents(history, NSGA2(9))} == {*range(3, 12)}  # it came further
    assert {*parents(history, NSGA2(10))} == {*range(2, 12)}


def test_it_beats_random_on_two_goals() -> None:
    # Margin: half of what random leaves of the largest hypervolume, and better on four seeds of five.
    ours, random = (hypervolumes(s, trials=120, seeds=10) for s in (NSGA2(), Random()))
    assert np.mean(np.greater(ours, random)) >= 0.8
    assert max(ours) - np.mean(ours) < (max(ours) - np.mean(random)) / 2


def test_it_beats_random_on_one() -> None:
    # Margin: one of random's deviations.
    ours, random = (best_losses(s, trials=100, seeds=6, curve=cells, space=CELLS) for s in (NSGA2(), Random()))
    assert np.mean(ours) < np.mean(random) - 1.9


def test_evolution_beats_random_on_two_goals() -> None:
    ours, random = (hypervolumes(s, trials=80, seeds=6) for s in (Evolution(), Random()))
    assert np.mean(np.greater(ours, random)) >= 0.8
    assert max(ours) - np.mean(ours) < (max(ours) - np.mean(random)) / 2
