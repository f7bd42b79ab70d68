"""The history of a study: an immutable value, computed from the study's events.

Strategies, pruners, the engine and the reports all read it. `apply` returns the history after one more event;
`from_events` processes all events of a store at once, with the same result as applying them one by one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np

from archsearch.spaces import Config
from archsearch.studies.best import best_of, summary, value_of_best
from archsearch.studies.goals import ObjectiveVector, OutcomeConstraint
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Outcome,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
    State,
    StudyRecord,
    Trial,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class History:
    """A study after its first `seq` events.

    Attributes:
        study: The record of the study's declaration.
        trials: All trials; `trials[n]` is trial number n.
        seq: The number of events.
        session_started: The start of the latest session, with its settings; None before the first session.
        session_ended: The end of that session; None if it is still running or was killed.
        unfinished: The numbers of the trials that are waiting, running or paused.
        best_number: The number of the trial `best`; None if there is none.
        front_numbers: The numbers of the trials in `front`.
        unimproved: How many trials have ended since the front last improved.
        worked_s: The wall-clock time of all earlier sessions, in seconds.
        trained_s: The time that trials have spent on workers, summed over all trials, in seconds.
        last_at: The time of the last event, in seconds since the epoch.
    """

    study: StudyRecord
    trials: tuple[Trial, ...] = ()
    seq: int = 0
    session_started: SessionStarted | None = None
    session_ended: SessionEnded | None = None
    unfinished: tuple[int, ...] = ()
    best_number: int | None = None
    front_numbers: tuple[int, ...] = ()
    unimproved: int = 0
    worked_s: float = 0.0
    trained_s: float = 0.0
    last_at: float = 0.0

    @classmethod
    def from_events(cls, study: StudyRecord, events: Iterable[Event]) -> History:
        """The history after all of these events; equals `History(study).apply_all(events)`.

        Args:
            study: The record of the study.
            events: All events of the study, in order.
        """
        fold = Fold(cls(study))
        for event in events:
            fold.add(event)
        return fold.history()

    def apply(self, event: Event) -> History:
        """The history after one more event."""
        fold = Fold(self)
        fold.add(event)
        return fold.history()

    def apply_all(self, events: Iterable[Event]) -> History:
        """The history after more events, in order."""
        fold = Fold(self)
        for event in events:
            fold.add(event)
        return fold.history()

    def with_proposals(self, proposals: Sequence[Proposal]) -> History:
        """The history with these proposals as additional waiting trials.

        Args:
            proposals: A proposal without a budget gets the budget of the study.
        """
        if not proposals:
            return self
        first = len(self.trials)
        return self.apply_all(
            Proposed(self.last_at, first + k, self.study.completed(each), self.seq) for k, each in enumerate(proposals)
        )

    def generators(self, n: int, rng: np.random.Generator) -> list[np.random.Generator]:
        """The random generators of the next `n` trials.

        Each trial has its own generator, so that its configuration depends on its number and not on how many workers
        were free when it was proposed.

        Args:
            n: The number of trials.
            rng: The generator of the first of them, as passed to `Strategy.ask`.
        """
        number = len(self.trials)
        return [rng, *(self.study.generator(number + offset) for offset in range(1, n))][:n]

    def in_state(self, *states: State) -> list[Trial]:
        """The trials in any of these states, sorted by number."""
        return [trial for trial in self.trials if trial.state in states]

    def open_trials(self, *states: State) -> list[Trial]:
        """Like `in_state` for the states waiting, running and paused, but without a scan of all trials."""
        return [self.trials[n] for n in self.unfinished if self.trials[n].state in states]

    def counts(self) -> dict[State, int]:
        """The number of trials in each state. States without trials are omitted."""
        return dict(Counter(trial.state for trial in self.trials))

    @property
    def settled(self) -> int:
        """The number of trials that are neither waiting nor running: paused, finished, pruned or failed."""
        return len(self.trials) - len(self.open_trials("waiting", "running"))

    @property
    def ended(self) -> int:
        """The number of trials that are finished, pruned or failed."""
        return len(self.trials) - len(self.unfinished)

    @property
    def best(self) -> Trial | None:
        """The feasible finished trial with the best value; None if there is none.

        Pruned trials do not count, as they reached their values at smaller budgets. With several goals, the first goal
        decides, and the following ones break ties, so the best trial is on the Pareto front. If several trials are
        equal, the oldest one is the best.
        """
        return None if self.best_number is None else self.trials[self.best_number]

    @property
    def best_value(self) -> float:
        """The value of the best trial for the first goal: the last reported value of its metric.

        Raises:
            ArchsearchError: There is no best trial.
        """
        return value_of_best(self, f"study '{self.study.name}'")

    @property
    def best_config(self) -> Config:
        """The configuration of the best trial: the values of its active parameters.

        Raises:
            ArchsearchError: There is no best trial.
        """
        return best_of(self, f"study '{self.study.name}'").config

    @property
    def front(self) -> list[Trial]:
        """The Pareto front: the feasible finished trials that no other such trial dominates, sorted by number.

        If several trials are equal, only the oldest one is included. With one goal, the front is the best trial.
        """
        return [self.trials[number] for number in self.front_numbers]

    def value(self, trial: Trial) -> float | None:
        """The trial's value for the first goal, as `Trial.value`; None if it has not reported the metric."""
        return trial.value(self.study.goal.metric)

    def loss(self, trial: Trial) -> float | None:
        """The trial's value for the first goal, negated if it is maximized, so that lower is better."""
        value = self.value(trial)
        return None if value is None else self.study.goal.loss(value)

    def objectives(self, trial: Trial) -> ObjectiveVector | None:
        """The trial's objective vector; None if it has not reported the metrics of all goals."""
        return self._objectives({metric: trial.value(metric) for metric in self.study.metrics})

    def metrics_at(self, trial: Trial, step: int) -> dict[str, float]:
        """The latest values of the study's metrics up to a step of the trial's first run.

        Args:
            trial: A trial of this history.
            step: The step, from 1.

        Returns:
            The values by name, without the metrics that the trial has not reported up to this step.
        """
        missing = self.study.metrics
        values: dict[str, float] = {}
        for place in range(_reports_up_to(trial, step) - 1, -1, -1):
            metrics = trial.reports[place].metrics
            values |= {metric: metrics[metric] for metric in missing if metric in metrics}
            if not (missing := [metric for metric in missing if metric not in metrics]):
                break
        return values

    def objectives_at(self, trial: Trial, step: int) -> ObjectiveVector | None:
        """The trial's objective vector at one step of its first run, by the latest values up to this step.

        So a metric that is reported at every fifth step has a value at each step from the fifth on.

        Args:
            trial: A trial of this history.
            step: The step, from 1.

        Returns:
            None if the trial has not reached the step, or had not reported the metrics of all goals by then.
        """
        if trial.step < step or not (place := _reports_up_to(trial, step)):
            return None
        if not self.study.outcome_constraints:  # most reports have the metrics of all goals: then look no further
            vector = self._objectives(trial.reports[place - 1].metrics)
            if vector is not None:
                return vector
        return self._objectives(self.metrics_at(trial, step))

    def objectives_from(self, trial: Trial, step: int) -> tuple[int, ObjectiveVector] | None:
        """The trial's objective vector at the first new value of a goal at or after a step of its first run.

        Args:
            trial: A trial of this history.
            step: The step, from 1.

        Returns:
            The step of the new value, and the objective vector there; None if there is none yet.
        """
        goals = {goal.metric for goal in self.study.goals}
        for place in range(_reports_up_to(trial, step - 1), len(trial.reports)):
            report = trial.reports[place]
            if not goals.isdisjoint(report.metrics) and (vector := self.objectives_at(trial, report.step)) is not None:
                return report.step, vector
        return None

    def curve(self, trial: Trial) -> list[tuple[int, ObjectiveVector]]:
        """The learning curve of the trial's first run.

        Args:
            trial: A trial of this history.

        Returns:
            Each step with a new value of a goal, and the objective vector there; from the first step on at which all
            goals have a value.
        """
        metrics, goals = self.study.metrics, {goal.metric for goal in self.study.goals}
        latest: dict[str, float] = {}
        found: list[tuple[int, ObjectiveVector]] = []
        for report in trial.reports:
            latest |= {metric: report.metrics[metric] for metric in metrics if metric in report.metrics}
            if not goals.isdisjoint(report.metrics) and (vector := self._objectives(latest)) is not None:
                found.append((report.step, vector))
        return found

    def broken(self, trial: Trial) -> list[OutcomeConstraint]:
        """The outcome constraints that the trial's values violate."""
        values = ((each, trial.value(each.metric)) for each in self.study.outcome_constraints)
        return [each for each, value in values if value is not None and each.excess(value)]

    def _objectives(self, values: Mapping[str, float | None]) -> ObjectiveVector | None:
        """A constraint counts as satisfied until its metric is reported."""
        losses = [goal.loss(value) for goal in self.study.goals if (value := values.get(goal.metric)) is not None]
        if len(losses) < len(self.study.goals):
            return None
        if not self.study.outcome_constraints:
            return ObjectiveVector(0.0, tuple(losses))
        excesses = [
            each.excess(value)
            for each in self.study.outcome_constraints
            if (value := values.get(each.metric)) is not None
        ]
        return ObjectiveVector(math.fsum(excesses), tuple(losses))

    @property
    def elapsed_s(self) -> float:
        """The wall-clock time of all sessions in seconds, without the gaps between them."""
        return self.worked_s + (self.last_at - self.session_started.at if self.session_started else 0.0)

    def __repr__(self) -> str:
        return f"<History of {summary(self)}>"

    def _repr_html_(self) -> str:
        from archsearch.studies.notebook import history_html  # imported here, as only notebooks need it

        return history_html(self)

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas DataFrame, one row per trial; see `StoredStudy.frame` for the columns."""
        from archsearch.studies.dataframe import trials_frame

        return trials_frame(self)


def _reports_up_to(trial: Trial, step: int) -> int:
    """The number of reports up to this step."""
    reports = trial.reports
    # Steps count from 1 and rarely have gaps, so the report of a step is nearly always at this place.
    if 1 <= step <= len(reports) and reports[step - 1].step == step:
        return step
    return bisect_right(reports, step, key=attrgetter("step"))


_STATE: dict[type[Outcome], State] = {Finished: "finished", Pruned: "pruned", Failed: "failed"}


class Fold:
    """A mutable builder of a history: n events take O(n) time, as no intermediate history is copied."""

    def __init__(self, start: History) -> None:
        self.start = start
        self.trials = list(start.trials)
        self.seq = start.seq
        self.session_started, self.session_ended = start.session_started, start.session_ended
        self.unfinished = dict.fromkeys(start.unfinished)
        self.best_number, self.front_numbers = start.best_number, start.front_numbers
        self.unimproved = start.unimproved
        self.running = sum(self.trials[number].state == "running" for number in self.unfinished)
        self.worked_s, self.trained_s, self.last_at = start.worked_s, start.trained_s, start.last_at

    def history(self) -> History:
        return History(
            study=self.start.study,
            trials=tuple(self.trials),
            seq=self.seq,
            session_started=self.session_started,
            session_ended=self.session_ended,
            unfinished=tuple(self.unfinished),
            best_number=self.best_number,
            front_numbers=self.front_numbers,
            unimproved=self.unimproved,
            worked_s=self.worked_s,
            trained_s=self.trained_s,
            last_at=self.last_at,
        )

    def add(self, event: Event) -> None:
        self.seq += 1
        if not isinstance(event, SessionStarted):
            self.trained_s += self.running * max(0.0, event.at - self.last_at)
        match event:
            case SessionStarted():
                # The gap between the last event of the previous session and this one is not counted.
                self.worked_s += self.last_at - self.session_started.at if self.session_started else 0.0
                self.session_started, self.session_ended, self.last_at = event, None, event.at
            case SessionEnded():
                self.session_ended = event
            case Proposed(at, number, proposal):
                self.trials.append(Trial(number, proposal, "waiting", proposed_at=at))
                self.unfinished[number] = None
            case Logged():
                pass  # too large for the history; `Store.log` reads it
            case _:
                before = self.trials[event.trial]
                self.trials[event.trial] = after = self._next(before, event)
                self.running += (after.state == "running") - (before.state == "running")
        self.last_at = max(self.last_at, event.at)

    def _next(self, trial: Trial, event: Event) -> Trial:
        match event:
            case Reported(_, _, report):
                return _with_run(trial, _joined(trial.run, report))
            case Started(at, _, attempt, worker, from_step):
                trial = _with_run(trial, tuple(report for report in trial.run if report.step <= from_step))
                trial = replace(trial, state="running", attempt=attempt, worker=worker, from_step=from_step)
                return replace(trial, started_at=at, ended_at=None)
            case RunCompleted(at):
                return replace(trial, state="waiting", repeats=(*trial.repeats, ()), from_step=0, ended_at=at)
            case Ended(at, number, outcome):
                self.unfinished.pop(number, None)
                trial = replace(trial, state=_STATE[type(outcome)], outcome=outcome, ended_at=at)
                self._rank(trial)
                return trial
            case Lost(at, _, _, blame):
                lost = trial.workers_lost + (blame == "worker")
                # If a worker dies before its first report, the checkpoint that it loaded may be the cause.
                last_step = trial.run[-1].step if trial.run else 0
                if blame == "checkpoint" or (blame == "worker" and last_step == trial.from_step):
                    trial = _with_run(trial, tuple(replace(report, checkpoint="") for report in trial.run))
                return replace(trial, state="waiting", workers_lost=lost, ended_at=at)
            case Paused(at):
                return replace(trial, state="paused", ended_at=at)
            case Extended(budget=budget):
                return replace(trial, state="waiting", proposal=replace(trial.proposal, budget=budget))
            case _:
                raise TypeError(f"not an event of a trial: {event!r}")

    def _rank(self, trial: Trial) -> None:
        """Add a trial that has ended to the front, unless a trial of the front is as good or better."""
        self.unimproved += 1
        vector = self.start.objectives(trial) if trial.state == "finished" else None
        if vector is None or vector.violation:
            return
        members = ((self.start.objectives(self.trials[number]), number) for number in self.front_numbers)
        front = [(other, number) for other, number in members if other is not None]
        if any(
            other.weakly_dominates(vector) and (other != vector or number < trial.number) for other, number in front
        ):
            return
        # An equal trial that is older takes the place of a younger one. That is not an improvement.
        if all(other != vector for other, _ in front):
            self.unimproved = 0
        front = [(other, number) for other, number in front if not vector.weakly_dominates(other)]
        front.append((vector, trial.number))
        self.front_numbers = tuple(sorted(number for _, number in front))
        self.best_number = min(front)[1]


def _joined(run: tuple[Report, ...], report: Report) -> tuple[Report, ...]:
    """The run with one more report. A second report of the same step, as `Session.tell` allows, adds its metrics."""
    if not run or run[-1].step != report.step:
        return (*run, report)
    return (*run[:-1], replace(report, metrics={**run[-1].metrics, **report.metrics}))


def _with_run(trial: Trial, reports: tuple[Report, ...]) -> Trial:
    """The trial with these reports as its current run."""
    if trial.repeats:
        return replace(trial, repeats=(*trial.repeats[:-1], reports))
    return replace(trial, reports=reports)
