"""History: the fold of a study's events, and every question that is asked of a study.

Strategies, pruners, the engine and the reports all read this one value. It is immutable: `apply` returns the next
history. Opening a store folds all events at once (`fold`), which gives the same value as applying them one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from studies.records import (
    Closed,
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Opened,
    Outcome,
    Paused,
    Proposed,
    Pruned,
    Reported,
    Started,
    State,
    StudyRecord,
    Trial,
)


@dataclass(frozen=True, slots=True)
class History:
    """A study as of event number `seq`. `trials[n]` is trial number n."""

    study: StudyRecord
    trials: tuple[Trial, ...] = ()
    seq: int = 0
    opened: Opened | None = None  # the latest session's settings
    closed: Closed | None = None  # how that session ended; None while it goes on, or when it was killed
    unfinished: tuple[int, ...] = ()  # numbers of trials that are waiting, running or paused
    best_number: int | None = None
    worked_s: float = 0.0  # wall-clock of all earlier sessions
    last_at: float = 0.0

    @classmethod
    def fold(cls, study: StudyRecord, events: Iterable[Event]) -> History:
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

        A pruned trial is not in question: its value was reached at a smaller budget.
        """
        return None if self.best_number is None else self.trials[self.best_number]

    def value(self, trial: Trial) -> float | None:
        """The trial's value: its last report of the study's metric."""
        return trial.value(self.study.goal.metric)

    def loss(self, trial: Trial) -> float | None:
        """The trial's value turned so that lower is better."""
        value = self.value(trial)
        return None if value is None else self.study.goal.loss(value)

    def loss_at(self, trial: Trial, step: int) -> float | None:
        """The trial's loss at exactly this step; None where the study's metric was not reported then."""
        if trial.step < step:
            return None
        reports = trial.reports
        # Steps count from 1 and hardly ever have gaps, so the report is sought first where it would then be.
        report = reports[step - 1] if 1 <= step <= len(reports) else None
        if report is None or report.step != step:
            report = next((other for other in reports if other.step == step), None)
        value = None if report is None else report.metrics.get(self.study.goal.metric)
        return None if value is None else self.study.goal.loss(value)

    @property
    def elapsed_s(self) -> float:
        """Wall-clock that the study was worked on, over all sessions, without the gaps between them."""
        return self.worked_s + (self.last_at - self.opened.at if self.opened else 0.0)


_STATE: dict[type[Outcome], State] = {Finished: "finished", Pruned: "pruned", Failed: "failed"}


class Fold:
    """A history that grows in place, so that folding n events costs n steps; `history` is its value at this moment."""

    def __init__(self, start: History) -> None:
        self.start = start
        self.trials = list(start.trials)
        self.seq = start.seq
        self.opened, self.closed = start.opened, start.closed
        self.unfinished = dict.fromkeys(start.unfinished)
        self.best_number = start.best_number
        self.worked_s, self.last_at = start.worked_s, start.last_at

    def history(self) -> History:
        return History(
            study=self.start.study,
            trials=tuple(self.trials),
            seq=self.seq,
            opened=self.opened,
            closed=self.closed,
            unfinished=tuple(self.unfinished),
            best_number=self.best_number,
            worked_s=self.worked_s,
            last_at=self.last_at,
        )

    def add(self, event: Event) -> None:
        self.seq += 1
        match event:
            case Opened():
                # The gap since the last event of a killed or closed session is nobody's work.
                self.worked_s += self.last_at - self.opened.at if self.opened else 0.0
                self.opened, self.closed, self.last_at = event, None, event.at
            case Closed():
                self.closed = event
            case Proposed(at, number, proposal):
                self.trials.append(Trial(number, proposal, "waiting", proposed_at=at))
                self.unfinished[number] = None
            case Logged():
                pass  # kept in the store, too bulky for here
            case _:
                self.trials[event.trial] = self._next(self.trials[event.trial], event)
        self.last_at = max(self.last_at, event.at)

    def _next(self, trial: Trial, event: Event) -> Trial:
        match event:
            case Reported(_, _, report):
                return replace(trial, reports=(*trial.reports, report))
            case Started(at, _, attempt, worker, from_step):
                kept = tuple(report for report in trial.reports if report.step <= from_step)
                trial = replace(trial, state="running", attempt=attempt, worker=worker, from_step=from_step)
                return replace(trial, started_at=at, reports=kept, ended_at=None)
            case Ended(at, number, outcome):
                self.unfinished.pop(number, None)
                trial = replace(trial, state=_STATE[type(outcome)], outcome=outcome, ended_at=at)
                self._rank(trial)
                return trial
            case Lost(at, _, _, blame):
                lost = trial.workers_lost + (blame == "worker")
                # Where a worker dies before any report, it may be the checkpoint that it dies of.
                if blame == "checkpoint" or (blame == "worker" and trial.step == trial.from_step):
                    reports = tuple(replace(report, checkpoint="") for report in trial.reports)
                    trial = replace(trial, reports=reports)
                return replace(trial, state="waiting", workers_lost=lost, ended_at=at)
            case Paused(at):
                return replace(trial, state="paused", ended_at=at)
            case Extended(budget=budget):
                return replace(trial, state="waiting", proposal=replace(trial.proposal, budget=budget))
            case _:
                raise TypeError(f"no event of a trial: {event!r}")

    def _rank(self, trial: Trial) -> None:
        goal = self.start.study.goal
        value = trial.value(goal.metric)
        if trial.state != "finished" or value is None:
            return
        best = None if self.best_number is None else self.trials[self.best_number].value(goal.metric)
        if best is None or goal.better(value, best) or (value == best and trial.number < (self.best_number or 0)):
            self.best_number = trial.number
