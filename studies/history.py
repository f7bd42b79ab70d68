"""History: the fold of a study's events, and every question that is asked of a study.

Strategies, pruners, the engine and the reports all read this one value. It is immutable: `apply` returns the next
history. Opening a store folds all events at once (`from_events`), which gives the same value as applying them one by
one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from archsearch.studies.best import summary
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
    """A study as of event number `seq`.

    Attributes:
        study: What the study declares.
        trials: All trials; `trials[n]` is trial number n.
        seq: How many events it folds.
        session_started: The settings of the latest session.
        session_ended: How that session ended; None while it goes on, or when it was killed.
        unfinished: The numbers of the trials that are waiting, running or paused.
        best_number: The number of `best`.
        front_numbers: The numbers of `front`.
        unimproved: How many trials have ended since the front last became better.
        worked_s: The wall-clock time of all earlier sessions.
        trained_s: The time that trials have spent on workers, summed over them.
        last_at: When the last event happened, in seconds since the epoch.
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
        """All events at once; equals `History(study).apply(e1).apply(e2)…`."""
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
        fold = Fold(self)
        for event in events:
            fold.add(event)
        return fold.history()

    def with_proposals(self, proposals: Sequence[Proposal]) -> History:
        """The history in which these proposals are waiting trials."""
        first = len(self.trials)
        return self.apply_all(
            Proposed(self.last_at, first + k, self.study.completed(each), self.seq) for k, each in enumerate(proposals)
        )

    def generators(self, n: int, rng: np.random.Generator) -> list[np.random.Generator]:
        """A generator for each of the next `n` trials: `rng`, which is that of the first, and the others' own.

        So a trial's configuration depends on its number, and not on how many workers were free when it was chosen.
        """
        number = len(self.trials)
        return [rng, *(self.study.generator(number + offset) for offset in range(1, n))][:n]

    def in_state(self, *states: State) -> list[Trial]:
        """Trials in any of these states, by number."""
        return [trial for trial in self.trials if trial.state in states]

    def open_trials(self, *states: State) -> list[Trial]:
        """Like `in_state` for waiting, running and paused, without a look at every trial."""
        return [self.trials[n] for n in self.unfinished if self.trials[n].state in states]

    def counts(self) -> dict[State, int]:
        """How many trials are in each state; states without one are left out."""
        return dict(Counter(trial.state for trial in self.trials))

    @property
    def settled(self) -> int:
        """How many trials are neither waiting nor running: what the study has of its trials, for now or for good."""
        return len(self.trials) - len(self.open_trials("waiting", "running"))

    @property
    def ended(self) -> int:
        """How many trials are finished, pruned or failed."""
        return len(self.trials) - len(self.unfinished)

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best value; the older one of equals. None before any has finished.

        A pruned trial is not in question: its value was reached at a smaller budget; nor is one that breaks an outcome
        constraint. With several goals the first of them decides, and the next among equals; so it is on the front.
        """
        return None if self.best_number is None else self.trials[self.best_number]

    @property
    def front(self) -> list[Trial]:
        """The finished trials that keep the outcome constraints and that no other such trial dominates, by number.

        Of equals the oldest; so with one goal it is the best alone.
        """
        return [self.trials[number] for number in self.front_numbers]

    def value(self, trial: Trial) -> float | None:
        """The trial's value: its last report of the study's metric."""
        return trial.value(self.study.goal.metric)

    def loss(self, trial: Trial) -> float | None:
        """The trial's value turned so that lower is better."""
        value = self.value(trial)
        return None if value is None else self.study.goal.loss(value)

    def objectives(self, trial: Trial) -> ObjectiveVector | None:
        """Where the trial stands by its values; None while it has none for one of the goals."""
        return self._objectives({metric: trial.value(metric) for metric in self.study.metrics})

    def objectives_at(self, trial: Trial, step: int) -> ObjectiveVector | None:
        """Where the trial stood at exactly this step; None where one of the goals' metrics was not reported then."""
        report = _report_at(trial, step)
        return None if report is None else self._objectives(report.metrics)

    def broken(self, trial: Trial) -> list[OutcomeConstraint]:
        """The outcome constraints that the trial's values break."""
        values = ((each, trial.value(each.metric)) for each in self.study.outcome_constraints)
        return [each for each, value in values if value is not None and each.excess(value)]

    def _objectives(self, values: Mapping[str, float | None]) -> ObjectiveVector | None:
        """A constraint whose metric is not there yet counts as kept."""
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
        """Wall-clock that the study was worked on, over all sessions, without the gaps between them."""
        return self.worked_s + (self.last_at - self.session_started.at if self.session_started else 0.0)

    def __repr__(self) -> str:
        return f"<History of {summary(self)}>"

    def _repr_html_(self) -> str:
        from archsearch.studies.notebook import history_html  # here: only a notebook asks for it

        return history_html(self)

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas DataFrame, one row each, as `StoredStudy.frame` gives them."""
        from archsearch.studies.dataframe import trials_frame

        return trials_frame(self)


def _report_at(trial: Trial, step: int) -> Report | None:
    """The report of exactly this step."""
    if trial.step < step:
        return None
    reports = trial.reports
    # Steps count from 1 and hardly ever have gaps, so the report is sought first where it would then be.
    report = reports[step - 1] if 1 <= step <= len(reports) else None
    if report is None or report.step != step:
        report = next((other for other in reports if other.step == step), None)
    return report


_STATE: dict[type[Outcome], State] = {Finished: "finished", Pruned: "pruned", Failed: "failed"}


class Fold:
    """A history that grows in place, so that folding n events costs n steps; `history` is its value at this moment."""

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
                # The gap since the last event of a killed or closed session is nobody's work.
                self.worked_s += self.last_at - self.session_started.at if self.session_started else 0.0
                self.session_started, self.session_ended, self.last_at = event, None, event.at
            case SessionEnded():
                self.session_ended = event
            case Proposed(at, number, proposal):
                self.trials.append(Trial(number, proposal, "waiting", proposed_at=at))
                self.unfinished[number] = None
            case Logged():
                pass  # kept in the store, too bulky for here
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
                # Where a worker dies before any report, it may be the checkpoint that it dies of.
                came = trial.run[-1].step if trial.run else 0
                if blame == "checkpoint" or (blame == "worker" and came == trial.from_step):
                    trial = _with_run(trial, tuple(replace(report, checkpoint="") for report in trial.run))
                return replace(trial, state="waiting", workers_lost=lost, ended_at=at)
            case Paused(at):
                return replace(trial, state="paused", ended_at=at)
            case Extended(budget=budget):
                return replace(trial, state="waiting", proposal=replace(trial.proposal, budget=budget))
            case _:
                raise TypeError(f"no event of a trial: {event!r}")

    def _rank(self, trial: Trial) -> None:
        """Enter a trial that ended into the front, if it belongs there."""
        self.unimproved += 1
        point = self.start.objectives(trial) if trial.state == "finished" else None
        if point is None or point.violation:
            return
        standing = ((self.start.objectives(self.trials[number]), number) for number in self.front_numbers)
        front = [(other, number) for other, number in standing if other is not None]
        if any(other.covers(point) and (other != point or number < trial.number) for other, number in front):
            return
        if all(other != point for other, _ in front):  # of equals the oldest is named, which is no improvement
            self.unimproved = 0
        front = [*((other, number) for other, number in front if not point.covers(other)), (point, trial.number)]
        self.front_numbers = tuple(sorted(number for _, number in front))
        self.best_number = min(front)[1]


def _joined(run: tuple[Report, ...], report: Report) -> tuple[Report, ...]:
    """The run with one more report; what is told of a step after its report, as by `Session.tell`, joins that one."""
    if not run or run[-1].step != report.step:
        return (*run, report)
    return (*run[:-1], replace(report, metrics={**run[-1].metrics, **report.metrics}))


def _with_run(trial: Trial, reports: tuple[Report, ...]) -> Trial:
    """With these reports of the run that goes on."""
    if trial.repeats:
        return replace(trial, repeats=(*trial.repeats[:-1], reports))
    return replace(trial, reports=reports)
