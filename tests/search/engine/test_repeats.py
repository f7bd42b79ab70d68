"""Repeats: who may become the best is trained under further seeds, and the best is chosen by its mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from archsearch import ASHA, Patience
from archsearch.search.engine.engine import trial_seed
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import RunCompleted, Started

RUNS = {
    0: [5.0, 7.0, 6.0],  # the first, so promising: mean 6
    1: [8.0, 8.0, 8.0],  # worse than 6 at once
    2: [2.0, 9.0, 9.0],  # lucky: 2, then 5.5, then 20 / 3, which is worse than 6
    3: [4.0, 5.0, 6.0],  # mean 5: the best
    4: [5.5, 5.5, 5.5],
}


class Noisy:
    """Its loss depends on how often the trial was trained; each run reports twice."""

    def __init__(self, runs: dict[int, list[float]]) -> None:
        self.runs = runs
        self.seeds: dict[int, list[int]] = {number: [] for number in runs}

    def __call__(self, trial: Any) -> Iterator[dict[str, float]]:
        seeds = self.seeds[trial.number]
        if trial.seed not in seeds:
            seeds.append(trial.seed)
        loss = self.runs[trial.number][seeds.index(trial.seed)]
        yield {"loss": loss + 1}
        yield {"loss": loss}


@pytest.fixture
def noisy(session: Any) -> Any:
    session.record = replace(session.record, repeats=3, budget=2)
    return session


@pytest.mark.parametrize("capacity", [1, 3])
def test_the_best_is_that_of_the_best_mean(noisy: Any, capacity: int) -> None:
    history = noisy.run(Noisy(RUNS), trials=5, capacity=capacity)
    assert history.counts() == {"finished": 5}
    assert history.best.number == 3
    assert history.value(history.best) == 5.0
    if capacity == 1:
        assert [1 + len(trial.repeats) for trial in history.trials] == [3, 1, 3, 3, 1]
        assert [history.value(trial) for trial in history.trials] == [6.0, 8.0, 20 / 3, 5.0, 5.5]
    assert 1 + len(history.best.repeats) == 3


def test_each_run_has_a_seed_of_its_own(noisy: Any) -> None:
    objective = Noisy(RUNS)
    noisy.run(objective, trials=2)
    assert objective.seeds[0] == [trial_seed(7, 0, run=run) for run in range(3)]
    assert len(set(objective.seeds[0])) == 3
    assert trial_seed(7, 0) == trial_seed(7, 0, run=0)


def test_it_counts_configurations_and_not_runs(noisy: Any) -> None:
    history = noisy.run(Noisy(RUNS), trials=1)
    assert len(history.trials) == 1
    assert [report.step for report in history.trials[0].reports] == [1, 2]
    assert [[report.step for report in run] for run in history.trials[0].repeats] == [[1, 2], [1, 2]]
    assert history.trials[0].attempt == 3


def test_a_study_with_repeats_cut_anywhere_ends_as_if_it_had_not_been(noisy: Any) -> None:
    whole = noisy.run(Noisy(RUNS), trials=5)
    batches = list(noisy.batches)
    for cut in range(1, len(batches)):
        noisy.batches[:] = batches[:cut]
        history = noisy.run(Replayed(RUNS), trials=5)
        assert [history.value(trial) for trial in history.trials] == [whole.value(trial) for trial in whole.trials]
        assert history == History.from_events(noisy.record, noisy.events)


class Replayed(Noisy):
    """Knows a run by its seed, and not by how often it was asked."""

    def __call__(self, trial: Any) -> Iterator[dict[str, float]]:
        self.seeds[trial.number] = [trial_seed(7, trial.number, run=run) for run in range(3)]
        return super().__call__(trial)


def test_a_failure_under_a_further_seed_fails_the_trial(noisy: Any) -> None:
    def fragile(trial: Any) -> dict[str, float]:
        if trial.number == 0 and trial.seed != trial_seed(7, 0):
            raise ValueError("diverged")
        return {"loss": 1.0 + trial.number}

    history = noisy.run(fragile, trials=2)
    assert history.trials[0].reason.startswith("under its seed 2: ValueError: diverged (test_repeats.py, line ")
    assert history.best.number == 1


def test_a_repeat_is_not_judged(noisy: Any) -> None:
    noisy.record = replace(noisy.record, budget=4)

    def flat(trial: Any) -> Iterator[dict[str, float]]:
        for step in range(4):
            yield {"loss": 1.0 if trial.seed != trial_seed(7, trial.number) else 1.0 - step}

    history = noisy.run(flat, trials=1, pruner=Patience(steps=1))
    assert history.trials[0].state == "finished"
    assert len(history.trials[0].repeats) == 2


def test_only_what_came_to_its_full_budget_is_repeated(noisy: Any) -> None:
    history = noisy.run(Noisy({n: [float(n)] * 3 for n in range(4)}), trials=4, strategy=ASHA(eta=2))
    repeated = {event.trial for event in noisy.events if isinstance(event, RunCompleted)}
    assert repeated
    assert all(history.trials[number].proposal.budget == 2 for number in repeated)
    assert sum(isinstance(event, Started) for event in noisy.events) == sum(t.attempt for t in history.trials)


def test_with_several_goals_the_front_is_repeated(noisy: Any) -> None:
    noisy.record = replace(noisy.record, goals=(Goal("loss", False), Goal("size", False)), repeats=2, budget=1)

    def two(trial: Any) -> dict[str, float]:
        return {"loss": (4.0, 5.0, 1.0)[trial.number], "size": (2.0, 3.0, 9.0)[trial.number]}

    history = noisy.run(two, trials=3)
    assert [len(trial.repeats) for trial in history.trials] == [1, 0, 1]
    assert [trial.number for trial in history.front] == [0, 2]
    assert history.best.number == 2
