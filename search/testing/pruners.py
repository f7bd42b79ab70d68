"""The contract of a pruner as a class of tests. Subclass it and set `make`:

class TestPatient(PrunerContract):
    make = staticmethod(lambda: Patient(steps=5))
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import ClassVar

import numpy as np

from archsearch.search.protocols import Continue, Pruner, Stop
from archsearch.search.testing.simulation import study_of
from archsearch.spaces.domains import Float
from archsearch.spaces.space import Space
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Finished,
    Metrics,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    Trial,
)

_SPACE = Space(x=Float(0.0, 1.0))


class PrunerContract:
    """Tests that every pruner must pass: equal arguments give equal verdicts, the history is not changed, and so on.

    Use it to test a pruner of your own: subclass it in a test file of pytest, and set `make`.

    Attributes:
        make: A function without arguments that creates the pruner.
        looks_alone: Set it to True if the pruner may stop a trial without comparing it with others, as `Patience` does.
    """

    make: Callable[[], Pruner]
    looks_alone: ClassVar[bool] = False

    def test_equal_arguments_give_equal_verdicts(self) -> None:
        used = self.make()
        for trial, history in _judged_trials():
            verdict = used.judge(trial, history)
            assert isinstance(verdict, Continue | Stop)
            assert self.make().judge(*pickle.loads(pickle.dumps((trial, history)))) == verdict

    def test_a_single_trial_continues(self) -> None:
        for losses in (range(12, 0, -1), *([] if self.looks_alone else [range(12)])):
            history = history_from_curves([list(losses)])
            for step in range(1, 13):
                trial = _up_to_step(history.trials[0], step)
                assert self.make().judge(trial, replace(history, trials=(trial,))) == Continue()

    def test_a_trial_without_the_metric_continues(self) -> None:
        for trial, history in _judged_trials():
            bare = replace(trial, reports=tuple(replace(r, metrics={"other": 1e9}) for r in trial.reports))
            assert self.make().judge(bare, _with(history, bare)) == Continue()
            assert self.make().judge(replace(trial, reports=()), history) == Continue()

    def test_other_trials_may_lack_the_metric(self) -> None:
        for trial, history in _judged_trials():
            others = tuple(
                replace(t, reports=tuple(replace(r, metrics={}) for r in t.reports)) if t.number % 2 else t
                for t in history.trials
            )
            assert isinstance(self.make().judge(trial, _with(replace(history, trials=others), trial)), Continue | Stop)

    def test_a_metric_may_come_with_every_third_report_only(self) -> None:
        def stops(every: int) -> bool:
            verdicts = [self.make().judge(trial, history) for trial, history in _judged_trials(every)]
            assert all(isinstance(verdict, Continue | Stop) for verdict in verdicts)
            return any(isinstance(verdict, Stop) for verdict in verdicts)

        assert stops(every=3) == stops(every=1)

    def test_maximising_mirrors_minimising(self) -> None:
        for trial, history in _judged_trials():
            mirrored = tuple(_negated(t) for t in history.trials)
            study = replace(
                history.study, goals=tuple(Goal(goal.metric, maximize=True) for goal in history.study.goals)
            )
            verdict = self.make().judge(_negated(trial), replace(history, study=study, trials=mirrored))
            assert type(verdict) is type(self.make().judge(trial, history))

    def test_a_stop_has_a_reason_of_one_line(self) -> None:
        for trial, history in _judged_trials():
            match self.make().judge(trial, history):
                case Stop(reason):
                    assert reason.strip() == reason != ""
                    assert "\n" not in reason
                case Continue():
                    pass

    def test_the_last_step_is_never_stopped(self) -> None:
        for trial, history in _judged_trials():
            ending = replace(trial, proposal=replace(trial.proposal, budget=trial.step))
            assert self.make().judge(ending, _with(history, ending)) == Continue()

    def test_the_history_is_not_changed(self) -> None:
        for trial, history in islice(_judged_trials(), 20):
            before = pickle.dumps((trial, history))
            self.make().judge(trial, history)
            assert pickle.dumps((trial, history)) == before


def history_from_curves(
    curves: Sequence[Sequence[float | Metrics]],
    *,
    budget: int | None = None,
    maximize: bool = False,
    goals: Sequence[str] = ("loss",),
    outcome_constraints: Sequence[str] = (),
) -> History:
    """A history with one finished trial per learning curve.

    Args:
        curves: For each trial, its reports: values of the metric "loss", or mappings of all metrics.
        budget: The study's budget.
        maximize: Whether the goals are maximized.
        goals: The metrics of the goals.
        outcome_constraints: The study's outcome constraints, such as "cost <= 1".
    """
    study = study_of(_SPACE, maximize=maximize, budget=budget, goals=goals, outcome_constraints=outcome_constraints)
    history = History(study)
    for number, curve in enumerate(curves):
        history = history.apply_all(
            [Proposed(0.0, number, Proposal({"x": 0.5}, budget), history.seq), Started(0.0, number, 1, "worker")]
        )
        for step, value in enumerate(curve, start=1):
            metrics = {"loss": value} if isinstance(value, int | float) else value
            history = history.apply(Reported(0.0, number, Report(step, metrics, 0.0)))
        history = history.apply(Ended(0.0, number, Finished()))
    return history


def _judged_trials(every: int = 1) -> Iterator[tuple[Trial, History]]:
    """Trials at each of their steps, in a study in which a third was pruned and the last four run in parallel.

    First with a single goal, then with two goals and an outcome constraint that some of the trials violate.

    Args:
        every: The metrics come with every how many reports.
    """
    rng = np.random.default_rng(0)
    starts = rng.random(24)
    curves = [list(start + rng.random(12) / 4 - np.arange(12) / 40) for start in starts]
    yield from _judged_trials_of(history_from_curves([_stretched(curve, every) for curve in curves]), every)
    several = [
        [{"loss": loss, "size": size, "cost": cost} for loss in curve]
        for curve, size, cost in zip(curves, rng.random(24), rng.random(24) * 1.4, strict=True)
    ]
    stretched = [_stretched(curve, every) for curve in several]
    constrained = history_from_curves(stretched, goals=["loss", "size"], outcome_constraints=["cost <= 1"])
    yield from _judged_trials_of(constrained, every)


def _stretched(curve: Sequence[float | Metrics], every: int) -> list[float | Metrics]:
    """The reports of the curve, with reports without the metrics before each of them."""
    between: list[float | Metrics] = [{"other": 0.0}] * (every - 1)
    return [report for value in curve for report in (*between, value)]


def _judged_trials_of(history: History, every: int) -> Iterator[tuple[Trial, History]]:
    trials = tuple(
        replace(_up_to_step(t, 4 * every), state="pruned", outcome=Pruned("behind")) if t.number % 3 == 1 else t
        for t in history.trials
    )
    for step in range(1, 12 * every + 1):
        running = tuple(replace(_up_to_step(t, step), state="running", outcome=None) for t in history.trials[20:])
        now = replace(history, trials=(*trials[:20], *running), unfinished=(20, 21, 22, 23))
        for trial in running:
            yield trial, now


def _up_to_step(trial: Trial, step: int) -> Trial:
    return replace(trial, reports=trial.reports[:step])


def _with(history: History, trial: Trial) -> History:
    return replace(history, trials=tuple(trial if t.number == trial.number else t for t in history.trials))


def _negated(trial: Trial) -> Trial:
    return replace(
        trial,
        reports=tuple(
            replace(r, metrics={name: value if name == "cost" else -value for name, value in r.metrics.items()})
            for r in trial.reports
        ),
    )
