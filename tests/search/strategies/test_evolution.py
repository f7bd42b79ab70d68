"""Evolution: the contract, who may be a parent, and that it searches architectures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsearch import SpecError
from archsearch.search.strategies.evolution import Evolution
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import CELLS, best_losses, cells
from archsearch.search.testing.simulation import SPACES, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Failed, Pruned, Trial


class TestEvolution(StrategyContract):
    make = staticmethod(lambda: Evolution(population=4, sample=3))


@pytest.mark.parametrize("wrong", [{"population": 0}, {"sample": 2.5}, {"population": True}, {"crossover": 1.5}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"Evolution {min(wrong)} must be a .*, got"):
        Evolution(**wrong)


def test_it_evolves_once_the_population_is_full() -> None:
    asks = list(simulate(Evolution(6, sample=3), study_of(SPACES["mixed"]), trials=20, faults=True))[:-1]
    for ask in asks:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.proposer for p in ask.proposals} == {"evolution" if valued >= 6 else "random"}


def parents(history: History, strategy: Evolution, asks: int = 200) -> set[int]:
    proposals = strategy.ask(history, asks, np.random.default_rng(0))
    return {number for proposal in proposals for number in proposal.state["parents"]}


def test_the_old_are_nobody_s_parents_however_good() -> None:
    history = simulated_history(Random(), study_of(CELLS, budget=1), lambda config, step: 0.0, trials=30)
    assert parents(history, Evolution(population=8, sample=1)) == set(range(22, 30))


def test_the_best_of_the_sample_is_the_parent() -> None:
    history = simulated_history(Random(), study_of(CELLS, budget=1), cells, trials=30)
    best = min(history.trials[-8:], key=lambda trial: cells(trial.config))
    assert parents(history, Evolution(population=8, sample=200), asks=50) == {best.number}


def test_failed_trials_are_not_in_the_population_and_pruned_ones_rank_behind() -> None:
    history = simulated_history(Random(), study_of(CELLS, budget=3), cells, trials=30)

    def ended(trial: Trial) -> Trial:
        if trial.number % 3 == 0:
            return replace(trial, state="failed", outcome=Failed("NaN"))
        if trial.number == 29:  # a finished one, and the worst
            return replace(trial, reports=tuple(replace(r, metrics={"loss": 1e9}) for r in trial.reports))
        steps = 2 if trial.number in (25, 26) else 1
        return replace(trial, state="pruned", outcome=Pruned("behind"), reports=trial.reports[:steps])

    history = replace(history, trials=tuple(map(ended, history.trials)))
    assert parents(history, Evolution(population=8, sample=1)) == {19, 20, 22, 23, 25, 26, 28, 29}
    assert parents(history, Evolution(population=8, sample=200), asks=50) == {29}
    without = replace(history, trials=history.trials[:29])
    further = min((without.trials[25], without.trials[26]), key=lambda trial: cells(trial.config))
    assert parents(without, Evolution(population=7, sample=200), asks=50) == {further.number}


@pytest.mark.parametrize("crossover", [0.0, 1.0])
def test_a_child_differs_from_its_parents_in_one_parameter(crossover: float) -> None:
    history = simulated_history(Random(), study_of(SPACES["mixed"], budget=1), trials=30)
    proposals = Evolution(20, 5, crossover).ask(history, 50, np.random.default_rng(0))
    strange = []
    for proposal in proposals:
        configs = [history.trials[number].config for number in proposal.state["parents"]]
        assert len(configs) == 1 + crossover
        strange.append(sum(all(proposal.config[name] != c[name] for c in configs) for name in proposal.config))
    # What mutation leads back to a parent, or to another child, is mutated again.
    assert strange.count(1) >= 45 - 10 * crossover
    assert max(strange) <= 3


def test_it_beats_random_on_architectures() -> None:
    # Margin: two of random's deviations (1.9), and better on four seeds of five.
    ours, random = (best_losses(s, trials=100, seeds=6, curve=cells, space=CELLS) for s in (Evolution(), Random()))
    assert np.mean(ours) < np.mean(random) - 3.8
    assert np.mean(np.less(ours, random)) >= 0.8
