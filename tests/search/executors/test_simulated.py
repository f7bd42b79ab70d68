"""The simulated executor: the real engine in virtual time, in order, overlapping, and the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import ASHA, TPE, ExecutionError, Float, Never, Pruner, Random, Space
from archsearch.search.engine.engine import Engine
from archsearch.search.executors.simulated import Curve, SimulatedExecutor
from archsearch.search.protocols import Continue, Job, Stop
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Metrics,
    Reported,
    SessionStarted,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

RECORD = StudyRecord(
    "simulated", Space(x=Float(1.0, 2.0)), (Goal("loss", maximize=False),), 4, 7, "Random()", "Never()"
)


def paced(job: Job) -> Iterator[tuple[float, Metrics]]:
    """A report takes x seconds, of which no two trials have the same; and the curve goes on for ever."""
    step = 0
    while True:
        step += 1
        yield job.config["x"], {"loss": job.config["x"] / step}


def run(
    curve: Curve = paced,
    *,
    capacity: int = 3,
    trials: int | None = 8,
    timeout_s: float | None = None,
    strategy: Any = None,
    pruner: Any = None,
) -> tuple[History, list[Event]]:
    executor = SimulatedExecutor(curve, capacity)
    events: list[Event] = []
    history = Engine(
        History(RECORD),
        SessionStarted(
            executor.clock(), StoppingCriteria(trials=trials, timeout_s=timeout_s), capacity, "simulated", "host", 1
        ),
        strategy=strategy or Random(),
        pruner=pruner or Never(),
        executor=executor,
        commit=lambda _, batch: events.extend(batch),
        retries=0,
        clock=executor.clock,
    ).run()
    return history, events


def job(number: int = 0, x: float = 1.0, budget: int | None = 4, from_step: int = 0) -> Job:
    return Job(number, 1, {"x": x}, budget, 0, from_step=from_step, worked_s=from_step * x)


def test_a_study_runs_to_its_end_in_virtual_time() -> None:
    history, _ = run(capacity=1)
    assert history.counts() == {"finished": 8}
    assert [[report.step for report in trial.reports] for trial in history.trials] == [[1, 2, 3, 4]] * 8
    # One worker, so the study takes as long as all of its reports together.
    assert history.last_at == pytest.approx(sum(4 * trial.config["x"] for trial in history.trials))
    assert history.session_ended is not None
    assert history.session_ended.reason == "every trial is done"


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_events_come_in_the_order_of_virtual_time(capacity: int) -> None:
    history, events = run(capacity=capacity)
    moments = [event.at for event in events]
    assert moments == sorted(moments)
    for event in events:  # each at its own moment: not before the work is done, and not later
        if isinstance(event, Reported):
            assert event.at == history.trials[event.trial].started_at + event.report.seconds


def test_workers_overlap_and_each_has_one_trial_at_a_time() -> None:
    history, _ = run(capacity=3)
    spans = [(trial.worker, trial.started_at, trial.ended_at) for trial in history.trials]
    assert {worker for worker, _, _ in spans} == {"worker-0", "worker-1", "worker-2"}
    assert [trial.started_at for trial in history.trials[:3]] == [0.0, 0.0, 0.0]
    for worker in {worker for worker, _, _ in spans}:
        mine = sorted((begin, end) for name, begin, end in spans if name == worker)
        # The next begins at the very moment at which the one before it ends.
        assert [begin for begin, _ in mine[1:]] == [end for _, end in mine[:-1]]
    longest = max(4 * trial.config["x"] for trial in history.trials)
    assert history.last_at < 8 / 3 * longest + longest


@pytest.mark.parametrize("strategy", [Random(), TPE(startup_trials=3)], ids=["random", "tpe"])
def test_a_study_is_the_same_each_time(strategy: Any) -> None:
    assert run(strategy=strategy)[1] == run(strategy=strategy)[1]


def test_a_pruned_trial_frees_its_slot_at_once() -> None:
    class Second(Pruner):
        def judge(self, trial: Any, history: History) -> Any:
            return Stop("enough") if trial.number == 0 and trial.step == 2 else Continue()

    history, _ = run(capacity=1, trials=2, pruner=Second())
    assert [trial.state for trial in history.trials] == ["pruned", "finished"]
    assert history.trials[0].step == 2
    assert history.trials[0].ended_at == pytest.approx(2 * history.trials[0].config["x"])
    assert history.trials[1].started_at == history.trials[0].ended_at


def test_the_time_out_is_one_of_virtual_time() -> None:
    history, _ = run(trials=None, timeout_s=20.5, capacity=2)
    assert history.session_ended is not None
    assert (history.session_ended.at, history.session_ended.reason) == (20.5, "the time is used up")
    assert history.counts()["waiting"] == 2
    assert all(trial.ended_at is not None and trial.ended_at <= 20.5 for trial in history.trials)


def test_trials_of_one_moment_are_told_together_in_the_order_of_submission() -> None:
    executor = SimulatedExecutor(paced, capacity=3)
    for number in (2, 0, 1):
        executor.submit(job(number, x=1.0 if number else 2.0))
    assert [event.trial for event in executor.wait(None) if isinstance(event, Reported)] == [2, 1]
    assert executor.clock() == 1.0
    assert [event.trial for event in executor.wait(None) if isinstance(event, Reported)] == [2, 0, 1]
    assert executor.clock() == 2.0


@given(from_step=st.integers(0, 3))
def test_a_trial_that_goes_on_reports_what_it_would_have_reported(from_step: int) -> None:
    def reports(first: Job) -> list[Any]:
        executor = SimulatedExecutor(paced)
        executor.submit(first)
        events = [event for _ in range(4 - first.from_step) for event in executor.wait(None)]
        assert executor.wait(None) == []
        assert isinstance(events[-1], Ended)
        assert executor.clock() == 4 - first.from_step
        return [event.report for event in events if isinstance(event, Reported)]

    assert reports(job(from_step=from_step)) == reports(job())[from_step:]


def test_a_trial_that_stands_at_its_budget_ends_at_once() -> None:
    executor = SimulatedExecutor(paced)
    executor.submit(job(from_step=4))
    assert executor.wait(None) == [Ended(0.0, 0, Finished())]
    assert executor.clock() == 0.0


def test_trials_that_pause_go_on_where_they_were() -> None:
    history, events = run(strategy=ASHA(Random(), eta=2), trials=12)
    assert any(isinstance(event, Extended) for event in events)
    for trial in history.trials:
        assert [report.step for report in trial.reports] == list(range(1, trial.step + 1))
        assert trial.reports[-1].seconds == pytest.approx(trial.step * trial.config["x"])
    # Nobody trains a step twice.
    steps = [(event.trial, event.report.step) for event in events if isinstance(event, Reported)]
    assert len(set(steps)) == len(steps)


def test_a_metric_that_is_not_finite_fails_the_trial() -> None:
    def diverging(job: Job) -> Iterator[tuple[float, Metrics]]:
        yield 1.0, {"loss": 1.0}
        yield 1.0, {"loss": float("nan")}

    history, _ = run(lambda job: diverging(job) if job.number == 1 else paced(job), trials=3)
    assert history.trials[1].outcome == Failed("metric 'loss' of trial 1 is nan at step 2")
    assert history.counts() == {"finished": 2, "failed": 1}


def test_a_curve_may_end_before_the_budget() -> None:
    history, _ = run(lambda job: [(1.0, {"loss": 1.0}), (1.0, {"loss": 0.5})], trials=2)
    assert [(trial.state, trial.step) for trial in history.trials] == [("finished", 2)] * 2


def test_a_slot_that_is_taken_and_a_time_that_is_none_are_refused() -> None:
    executor = SimulatedExecutor(paced)
    executor.submit(job(0))
    with pytest.raises(ExecutionError, match="no worker is free; the capacity is 1"):
        executor.submit(job(1))
    executor.stop(0)
    with pytest.raises(ExecutionError, match=r"step 1 of trial 1 takes -1.0 s; the curve must give a finite"):
        executor.submit(replace(job(1), config={"x": -1.0}))
    with pytest.raises(ExecutionError, match="capacity must be at least 1, got 0"):
        SimulatedExecutor(paced, capacity=0)
