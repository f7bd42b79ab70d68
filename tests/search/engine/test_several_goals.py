"""Several goals and constraints on metrics, end to end: the engine in virtual time, strategies and pruners together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from archsearch import (
    ASHA,
    GP,
    NSGA2,
    TPE,
    Bayes,
    CmaEs,
    Evolution,
    Hyperband,
    Median,
    Never,
    Patience,
    Percentile,
    Random,
    SpecError,
    SuccessiveHalving,
    TopK,
)
from archsearch.search.engine.engine import Engine
from archsearch.search.executors.simulated import SimulatedExecutor
from archsearch.search.protocols import Job, Metrics
from archsearch.search.study import Study
from archsearch.search.testing.problems import VALLEY, sized
from archsearch.studies.goals import Goal, OutcomeConstraint, ranks
from archsearch.studies.history import History
from archsearch.studies.records import SessionStarted, StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria

GOALS = (Goal("score", maximize=True), Goal("size", maximize=False))


def learning(job: Job) -> Iterator[tuple[float, Metrics]]:
    """A score that rises towards what the valley says, longer with more layers, and a size that stays."""
    found = sized(job.config)
    for step in range(1, 10):
        yield 1.0, {"score": -found["loss"] - 1 / min(step, 2 * job.config["layers"]), "size": found["size"]}


def run(
    strategy: Any,
    pruner: Any = None,
    *,
    trials: int = 40,
    capacity: int = 3,
    goals: Any = GOALS,
    bound: str = "size < 10",
) -> History:
    constraint = OutcomeConstraint.from_text(bound)
    record = StudyRecord("two", VALLEY, goals, 9, 0, repr(strategy), repr(pruner), outcome_constraints=(constraint,))
    executor = SimulatedExecutor(learning, capacity)
    return Engine(
        History(record),
        SessionStarted(executor.clock(), StoppingCriteria(trials=trials), capacity, "simulated", "host", 1),
        strategy=strategy,
        pruner=pruner or Never(),
        executor=executor,
        commit=lambda *_: None,
        retries=0,
        clock=executor.clock,
    ).run()


@pytest.mark.parametrize(
    "pruner",
    [Median(), Percentile(50), SuccessiveHalving(min_steps=1), Patience(steps=2)],
    ids=lambda pruner: type(pruner).__name__,
)
def test_a_pruner_stops_trials_and_leaves_a_front(pruner: Any) -> None:
    history = run(Random(), pruner)
    counts = history.counts()
    assert counts["pruned"] >= 5
    assert counts["finished"] >= 5
    assert {trial.step for trial in history.in_state("finished")} == {9}
    assert history.front
    for trial in history.front:
        value = trial.value("size")
        assert value is not None
        assert value < 10


@pytest.mark.parametrize(
    "strategy",
    [ASHA(Random()), Hyperband(Random(), brackets=1), TopK(Random(), keep=6), ASHA(NSGA2(population=8))],
    ids=["asha", "hyperband", "topk", "asha of nsga2"],
)
def test_rungs_promote_the_first_fronts(strategy: Any) -> None:
    history = run(strategy)
    came = [trial for trial in history.trials if trial.step >= 1]
    by_rank = ranks([point for trial in came if (point := history.objectives_at(trial, 1)) is not None])
    gone_on = [rank for trial, rank in zip(came, by_rank, strict=True) if trial.step > 1]
    held = [rank for trial, rank in zip(came, by_rank, strict=True) if trial.step == 1]
    assert len(held) >= 10
    # While others are still to come, chance has its say.
    assert sum(gone_on) / len(gone_on) < sum(held) / len(held) / 2
    assert history.best is not None
    assert history.best.step == 9


@pytest.mark.parametrize(
    "strategy",
    [Bayes(8), TPE(8), GP(8), NSGA2(8), Evolution(8, 6), CmaEs()],
    ids=lambda strategy: type(strategy).__name__,
)
def test_what_breaks_the_constraint_becomes_rare(strategy: Any) -> None:
    """The best score is beyond the bound, and so are two of three random trials."""
    trials = 60 if isinstance(strategy, TPE | NSGA2 | Evolution | CmaEs) else 24
    history = run(strategy, trials=trials, capacity=1, goals=GOALS[:1], bound="size < 7")
    broken = [point.violation > 0 for trial in history.trials if (point := history.objectives(trial)) is not None]
    assert sum(broken[trials // 2 :]) <= trials / 2 / 3


@pytest.mark.parametrize("strategy", [Bayes(), CmaEs(), ASHA(Bayes()), TopK(CmaEs()), Hyperband(Bayes())], ids=repr)
def test_who_serves_one_goal_refuses_several_before_there_is_a_store(strategy: Any) -> None:
    def declared(**aim: Any) -> Study:
        given = {"name": "s", "space": VALLEY, "objective": lambda trial: {}, "strategy": strategy, "budget": 9}
        return Study(**given, trials=20, **aim)

    declared(minimize="loss", outcome_constraints=["size < 10"])
    with pytest.raises(
        SpecError,
        match=r"(Bayes|CmaEs) supports a single goal, and this study has 2: maximize score, minimize size; use "
        r"NSGA2\(\), GP\(\) or TPE\(\), or make maximize score the only goal and bound the others by "
        r"outcome_constraints",
    ):
        declared(maximize="score", minimize=["size"])
