"""The engine: exact counts, every decision committed before it acts, and nothing lost wherever it is cut."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsearch import (
    TPE,
    Bayes,
    CmaEs,
    ExecutionError,
    Grid,
    Pruner,
    QuasiRandom,
    Random,
    SpecError,
    Strategy,
    StudyFailed,
    SuccessiveHalving,
)
from archsearch.search.executors.inline import InlineExecutor
from archsearch.search.protocols import Continue, Stop
from archsearch.studies.goals import OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Failed,
    Finished,
    Lost,
    Proposed,
    Pruned,
    Reported,
    SessionEnded,
    SessionStarted,
    Started,
)
from archsearch.studies.stopping_criteria import StoppingCriteria


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_trials_is_the_exact_total_whatever_the_capacity(session: Any, capacity: int) -> None:
    history = session.run(trials=7, capacity=capacity)
    assert [trial.number for trial in history.trials] == list(range(7))
    assert history.counts() == {"finished": 7}
    assert all(trial.step == 3 for trial in history.trials)
    assert session.events[-1] == SessionEnded(0.0, "every trial is done")
    assert session.history == history


def test_a_trial_is_started_in_the_same_commit_that_proposes_it(session: Any) -> None:
    session.run(trials=2)
    first = session.batches[0]
    assert [type(event) for event in first] == [SessionStarted, Proposed, Started]


def test_an_objective_that_raises_fails_its_trial_and_the_study_goes_on(session: Any) -> None:
    def sometimes(trial: Any) -> Iterator[dict[str, float]]:
        print("about to", trial.number)
        if trial.number % 2:
            raise ValueError(f"bad\nluck {trial.number}")
        yield {"loss": 1.0}

    history = session.run(sometimes, trials=6)
    assert history.counts() == {"finished": 3, "failed": 3}
    line = sometimes.__code__.co_firstlineno + 3
    assert history.trials[1].outcome == Failed(f"ValueError: bad luck 1 (test_engine.py, line {line})")
    log = "".join(event.text for event in session.events if type(event).__name__ == "Logged" and event.trial == 1)
    assert "about to 1" in log
    assert "Traceback" in log


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"loss": float("nan")}, "metric 'loss' is nan at step 1"),
        ({"loss": float("-inf"), "other": float("inf")}, "metric 'loss' is -inf at step 1"),
        ({"loss": "low"}, "metric 'loss' is 'low' at step 1; it must be a number"),
        ([0.5, 0.4], "the objective gave [0.5, 0.4] at step 1; it must yield, report or return a mapping"),
        (
            True,
            "the objective gave True at step 1; it must yield, report or return a mapping of metric names to numbers",
        ),
        ("0.5", "the objective gave '0.5' at step 1"),
        (None, "the objective gave None at step 1"),
        ({}, "the objective gave {} at step 1"),
    ],
)
def test_a_report_that_is_no_finite_number_fails_the_trial_with_its_reason(
    session: Any, given: Any, reason: str
) -> None:
    def objective(trial: Any) -> Any:
        return given if trial.number == 0 else {"loss": 1.0}

    history = session.run(objective, trials=3)
    assert history.counts() == {"failed": 1, "finished": 2}
    assert history.trials[0].reason.startswith(reason)


def test_other_metrics_that_are_not_finite_are_missing(session: Any) -> None:
    def objective(trial: Any) -> Iterator[dict[str, float]]:
        yield {"loss": 3.0, "auc": float("nan"), "ratio": np.float32("inf")}
        yield {"auc": float("nan")}
        yield {"loss": 1.0, "auc": 0.5}

    (trial,) = session.run(objective, trials=1).trials
    assert trial.state == "finished"
    assert [report.metrics for report in trial.reports] == [{"loss": 3.0}, {}, {"loss": 1.0, "auc": 0.5}]


def test_the_metric_of_a_constraint_must_be_finite(session: Any) -> None:
    session.record = replace(session.record, outcome_constraints=(OutcomeConstraint.from_text("size < 9"),))
    history = session.run(lambda trial: {"loss": 1.0, "size": float("nan"), "auc": float("nan")}, trials=1)
    assert history.trials[0].reason == "metric 'size' is nan at step 1"


def test_five_first_trials_that_fail_alike_stop_the_study(session: Any) -> None:
    def broken(trial: Any) -> dict[str, float]:
        raise RuntimeError("no such column")

    with pytest.raises(StudyFailed, match=r"the first 5 trials all failed with: RuntimeError: no such column"):
        session.run(broken, trials=50)
    assert session.history.counts() == {"failed": 5}
    assert session.history.session_ended is not None


def test_failures_are_alike_whatever_the_shapes_in_their_messages(session: Any) -> None:
    def broken(trial: Any) -> dict[str, float]:
        width = 8 + trial.number
        weights = np.zeros((width, 4) if trial.number % 2 else (width, 2, 4))
        return {"loss": float((np.zeros((3, 5)) @ weights).sum())}

    line = broken.__code__.co_firstlineno + 3
    place = rf"\(test_engine\.py, line {line}\)$"  # of the user's file, though numpy raises
    with pytest.raises(
        StudyFailed, match=r"^the first 5 trials all failed alike, the last one with: ValueError.*" + place
    ):
        session.run(broken, trials=50)
    assert session.history.counts() == {"failed": 5}


def test_failures_at_different_places_are_not_alike(session: Any) -> None:
    def broken(trial: Any) -> dict[str, float]:
        if trial.number % 2:
            raise KeyError("data")
        raise KeyError("data")

    assert session.run(broken, trials=6).counts() == {"failed": 6}


def test_trials_that_diverge_at_different_steps_do_not_end_the_study(session: Any) -> None:
    def diverging(trial: Any) -> Iterator[dict[str, float]]:
        for step in range(3):
            yield {"loss": float("nan") if step == trial.number % 3 else 1.0}

    assert session.run(diverging, trials=6).counts() == {"failed": 6}


def test_five_different_failures_do_not(session: Any) -> None:
    def unlucky(trial: Any) -> dict[str, float]:
        if trial.number < 7:
            raise RuntimeError(("no memory", "no data")[trial.number % 2])
        return {"loss": 1.0}

    assert session.run(unlucky, trials=9).counts() == {"failed": 7, "finished": 2}


def test_a_metric_that_nobody_reports_is_a_mistake_in_the_spec(session: Any) -> None:
    with pytest.raises(SpecError, match=r"unknown metric 'loss'; known: losses, time; did you mean 'losses'\?"):
        session.run(lambda trial: {"losses": 1.0, "time": 2.0}, trials=9, capacity=3)
    history = session.history
    assert history.counts() == {"failed": 1, "waiting": 2}
    (failed,) = history.in_state("failed")
    assert "never reported" in failed.reason


def test_a_trial_alone_without_the_metric_fails_and_the_study_goes_on(session: Any) -> None:
    history = session.run(lambda trial: {"loss": 1.0} if trial.number != 2 else {"other": 1.0}, trials=4)
    assert history.counts() == {"finished": 3, "failed": 1}


class StopAt(Pruner):
    """A pruner that stops the even trials at step 2."""

    def judge(self, trial: Any, history: History) -> Any:
        assert history.trials[trial.number] is trial
        return Stop("even") if trial.number % 2 == 0 and trial.step == 2 else Continue()


def test_a_verdict_is_committed_with_the_report_that_it_judges(session: Any) -> None:
    cleaned: list[int] = []

    def objective(trial: Any) -> Iterator[dict[str, float]]:
        try:
            for _ in range(trial.budget):
                yield {"loss": 1.0}
        finally:
            cleaned.append(trial.number)

    history = session.run(objective, trials=5, capacity=2, pruner=StopAt())
    assert [trial.state for trial in history.trials] == ["pruned", "finished"] * 2 + ["pruned"]
    assert history.trials[0].outcome == Pruned("even")
    assert sorted(cleaned) == list(range(5))  # `finally` ran for each, also for the stopped ones
    for batch in session.batches:
        for before, after in itertools.pairwise(batch):
            if isinstance(after, Ended) and isinstance(after.outcome, Pruned):
                assert isinstance(before, Reported)
                assert before.report.step == 2


def test_the_last_report_of_a_budget_is_not_judged(session: Any) -> None:
    class Always(Pruner):
        def judge(self, trial: Any, history: History) -> Any:
            return Stop("always") if trial.step == 3 else Continue()

    assert session.run(trials=3, pruner=Always()).counts() == {"finished": 3}


class Dying:
    """An executor whose worker dies at the first report of a trial, `times` times."""

    capacity = 1

    def __init__(self, times: int) -> None:
        self.left = times
        self.job: Any = None

    def submit(self, job: Any) -> str:
        self.job = job
        return "w"

    def wait(self, timeout_s: float | None) -> list[Any]:
        job, self.job = self.job, None
        if self.left:
            self.left -= 1
            return [Lost(0.0, job.number, "killed", "worker")]
        executor = InlineExecutor(lambda trial: {"loss": float(trial.attempt)})
        executor.submit(job)
        return executor.wait(None)

    def stop(self, trial: int) -> None: ...

    def close(self) -> None: ...


def test_a_trial_whose_worker_dies_is_run_again(session: Any) -> None:
    history = session.run(executor=Dying(2), trials=2)
    assert history.counts() == {"finished": 2}
    assert history.trials[0].attempt == 3
    assert history.trials[0].value("loss") == 3.0


def test_a_trial_that_kills_its_workers_fails_in_the_end(session: Any) -> None:
    history = session.run(executor=Dying(3), trials=2)
    assert history.trials[0].outcome == Failed("its worker died 3 times; last: killed")
    assert history.trials[1].outcome == Finished()


def test_ctrl_c_leaves_nothing_running_and_resume_finishes(session: Any) -> None:
    def interrupted(trial: Any) -> Iterator[dict[str, float]]:
        yield {"loss": 1.0}
        if trial.number == 2 and trial.attempt == 1:
            raise KeyboardInterrupt
        yield {"loss": 2.0}

    with pytest.raises(KeyboardInterrupt):
        session.run(interrupted, trials=5)
    assert session.history.counts() == {"finished": 2, "waiting": 1}
    assert session.history.session_ended == SessionEnded(0.0, "interrupted")
    history = session.run(interrupted, trials=5)
    assert history.counts() == {"finished": 5}
    assert history.trials[2].attempt == 2
    assert history.trials[2].workers_lost == 0


def test_the_time_out_counts_work_over_all_sessions(session: Any) -> None:
    now = [1000.0]

    def slow(trial: Any) -> dict[str, float]:
        now[0] += 10.0
        return {"loss": 1.0}

    history = session.run(slow, trials=None, timeout_s=35.0, clock=lambda: now[0])
    assert len(history.trials) == 4
    assert history.session_ended == SessionEnded(1040.0, "the time is used up")
    now[0] = 9000.0  # the gap is nobody's work
    history = session.run(slow, trials=None, timeout_s=55.0, clock=lambda: now[0])
    assert len(history.trials) == 6


def test_a_strategy_with_nothing_left_ends_the_study(session: Any) -> None:
    class Two(Random):
        def ask(self, history: History, n: int, rng: np.random.Generator) -> Any:
            return super().ask(history, min(n, 2 - len(history.trials)), rng) if len(history.trials) < 2 else []

    history = session.run(trials=9, strategy=Two())
    assert len(history.trials) == 2
    assert history.session_ended == SessionEnded(0.0, "the strategy has nothing left to try")


STRATEGIES: dict[str, Callable[[], Any]] = {
    "random": Random,
    "tpe": lambda: TPE(startup_trials=3),
    "bayes": lambda: Bayes(startup_trials=3, candidates=50),
    "cmaes": lambda: CmaEs(population=4),
    "grid": lambda: Grid(points=3),
    "quasirandom": QuasiRandom,
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_study_cut_at_any_commit_ends_as_if_it_had_not_been(session: Any, name: str) -> None:
    """What kill -9 can leave is a prefix of the commits; one worker, so the study is determined by its seed."""
    make = STRATEGIES[name]
    whole = session.run(trials=6, strategy=make(), pruner=SuccessiveHalving(min_steps=1, eta=2))
    batches = list(session.batches)
    for cut in range(1, len(batches), 3 if name == "bayes" else 1):
        session.batches[:] = batches[:cut]
        resumed = session.run(trials=6, strategy=make(), pruner=SuccessiveHalving(min_steps=1, eta=2))
        assert [trial.config for trial in resumed.trials] == [trial.config for trial in whole.trials], cut
        assert [trial.outcome for trial in resumed.trials] == [trial.outcome for trial in whole.trials], cut
        reported = [[report.metrics for report in trial.reports] for trial in resumed.trials]
        assert reported == [[report.metrics for report in trial.reports] for trial in whole.trials], cut
        assert not resumed.unfinished


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_parallel_study_cut_at_any_commit_ends_with_the_exact_count(session: Any, name: str) -> None:
    make = STRATEGIES[name]
    session.run(trials=7, strategy=make(), capacity=3)
    batches = list(session.batches)
    for cut in range(1, len(batches), 4 if name == "bayes" else 1):
        session.batches[:] = batches[:cut]
        history = session.run(trials=7, strategy=make(), capacity=3)
        assert history.counts() == {"finished": 7}
        proposed = [event.trial for event in session.events if isinstance(event, Proposed)]
        assert proposed == list(range(7))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_proposal_can_be_replayed_from_what_it_had_seen(session: Any, name: str) -> None:
    make = STRATEGIES[name]
    session.run(trials=9, strategy=make(), capacity=3, pruner=SuccessiveHalving(min_steps=1, eta=2))
    events = session.events
    asks: dict[int, list[Proposed]] = {}
    for event in events:
        if isinstance(event, Proposed):
            asks.setdefault(event.seen, []).append(event)
    assert len(asks) > 3
    for seen, proposed in asks.items():
        history = History.from_events(session.record, events[:seen])
        rng = np.random.default_rng([session.record.seed, proposed[0].trial])
        again = make().ask(history, len(proposed), rng)
        assert [p.config for p in again] == [event.proposal.config for event in proposed]


def test_notes_are_json(session: Any) -> None:
    history = session.run(trials=4, strategy=TPE(startup_trials=2))
    for trial in history.trials:
        assert json.loads(json.dumps(dict(trial.proposal.state))) == dict(trial.proposal.state)


def test_extending_a_finished_study_goes_on_with_new_numbers(session: Any) -> None:
    session.run(trials=3)
    history = session.run(trials=5)
    assert [trial.number for trial in history.trials] == [0, 1, 2, 3, 4]
    assert history.session_started == replace(session.events[0], stopping=StoppingCriteria(trials=5))


class Breaks(Strategy):
    """A strategy that goes wrong at its fourth trial."""

    def __init__(self, how: Callable[[list[Any]], Any]) -> None:
        self.how = how

    def ask(self, history: History, n: int, rng: np.random.Generator) -> Any:
        proposals = Random().ask(history, n, rng)
        return self.how(proposals) if len(history.trials) >= 3 else proposals

    def __repr__(self) -> str:
        return "Breaks()"


def fail(proposals: list[Any]) -> Any:
    raise RuntimeError("no model")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (fail, r"the strategy Breaks\(\) failed: RuntimeError: no model \(test_engine.py, line \d+\)"),
        (lambda ps: [*ps, *ps], r"it returned 2 proposals, but at most 1 may be returned"),
        (
            lambda ps: [replace(ps[0], config={**ps[0].config, "lr": 99})],
            r"parameter 'lr' is 99, which is not in Float",
        ),
        (
            lambda ps: [replace(ps[0], state={"score": float("nan")})],
            r"Proposal.state must be JSON data: Out of range float values",
        ),
    ],
)
def test_a_strategy_that_breaks_ends_the_session_in_good_order(session: Any, how: Any, message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        session.run(trials=6, strategy=Breaks(how))
    assert session.history.counts() == {"finished": 3}
    assert session.history.session_ended is not None
    assert "Breaks()" in session.history.session_ended.reason
    assert session.run(trials=6).counts() == {"finished": 6}


def test_a_pruner_that_breaks_loses_nothing_of_the_batch(session: Any) -> None:
    class Broken(Pruner):
        def judge(self, trial: Any, history: History) -> Any:
            raise ZeroDivisionError("no curves")

    with pytest.raises(ExecutionError, match="no curves"):
        session.run(trials=4, pruner=Broken())
    history = session.history
    assert history.counts() == {"waiting": 1}
    assert history.trials[0].step == 1
    assert session.run(trials=4).counts() == {"finished": 4}


def test_an_executor_that_breaks_leaves_its_trials_waiting(session: Any) -> None:
    class Gone(Dying):
        def wait(self, timeout_s: float | None) -> list[Any]:
            raise ExecutionError("the cluster is gone")

    with pytest.raises(ExecutionError, match="the cluster is gone"):
        session.run(executor=Gone(0), trials=2)
    assert session.history.counts() == {"waiting": 1}
    assert session.history.session_ended == SessionEnded(0.0, "the cluster is gone")
