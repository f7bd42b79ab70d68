"""The engine: asks, starts, judges and records, until the study has what it was asked for. It knows protocols only.

One turn of the loop decides everything that can be decided, commits it in one transaction, and only then lets the
executor act; so whatever process is killed, the store holds every decision that had an effect.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import numpy as np

from search.protocols import Executor, Job, Pruner, Stop, Strategy
from spaces import ArchsearchError, ExecutionError, SpecError, StudyFailed
from spaces.errors import unknown
from studies.history import Fold, History
from studies.records import (
    Closed,
    Ended,
    Event,
    Extended,
    Extension,
    Failed,
    Finished,
    Lost,
    Opened,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Reported,
    Started,
    Trial,
)

OUT_OF_TIME = "the time is used up"  # how a session ends whose study may go on with a larger time-out
ALIKE = 5  # so many first trials of a session that fail with one error stop the study

Commit = Callable[[History, Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Stopped(Exception):  # noqa: N818 - no error: how the loop leaves its depths
    """The session ends here, for this reason; `error` is raised once everything is recorded."""

    reason: str
    error: Exception | None = None


class Engine:
    """One session of work on a study.

    opened: this session's settings; its `trials` and `timeout_s` are totals of the study over all sessions.
    commit: is given each batch of events with the history after it, before the executor acts on them.
    retries: how often a trial whose worker died is started again; a driver that died does not count.
    interruptible: entered while the executor waits, which is when a KeyboardInterrupt may come: anywhere else it could
        tear a decision from its record.
    """

    def __init__(
        self,
        history: History,
        opened: Opened,
        *,
        strategy: Strategy,
        pruner: Pruner,
        executor: Executor,
        commit: Commit,
        retries: int,
        clock: Callable[[], float] = time.time,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._fold = Fold(history)
        self._now: History | None = history  # the fold's value, until the next event
        self._opened = opened
        self._strategy = strategy
        self._pruner = pruner
        self._executor = executor
        self._commit_batch = commit
        self._retries = retries
        self._clock = clock
        self._interruptible = interruptible
        self._batch: list[Event] = []
        self._in_flight: set[int] = set()
        self._ended_here: list[Trial] = []

    def run(self) -> History:
        """Work until the trials, the time or the strategy's proposals are used up.

        Raises StudyFailed when the first trials all fail alike; SpecError when the objective never reports the study's
        metric, or the strategy proposes what is not in the space; ExecutionError when the strategy, the pruner or the
        executor breaks. KeyboardInterrupt passes through, and comes only while the executor waits (`interruptible`).
        In each case the store is in good order first, unless it is the store that cannot be written.
        """
        try:
            self._open()
            while True:
                self._fill()
                self._commit()
                with self._interruptible():
                    events = self._executor.wait(self._time_left_s())
                self._take(events)
        except Stopped as stopped:
            self._close(stopped.reason)
            if stopped.error is not None:
                raise stopped.error from stopped.__cause__
        except KeyboardInterrupt:
            self._close("interrupted")
            raise
        except ExecutionError as error:
            self._close(str(error))
            raise
        return self._history

    @property
    def _history(self) -> History:
        if self._now is None:
            self._now = self._fold.history()
        return self._now

    def _open(self) -> None:
        self._record(self._opened)
        for trial in self._history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, "the driver was killed", "driver"))

    def _fill(self) -> None:
        """Give every free slot a trial: those that wait first, then new ones."""
        if self._time_left_s() == 0:
            raise Stopped(OUT_OF_TIME)
        free = self._executor.capacity - len(self._in_flight)
        waiting = [trial for trial in self._history.open_trials("waiting") if trial.number not in self._in_flight]
        for trial in waiting[:free]:
            self._start(trial)
        self._promote(free - len(waiting[:free]))
        self._propose(self._executor.capacity - len(self._in_flight))
        if not self._in_flight:
            raise Stopped("every trial is done" if self._trials_left() == 0 else "the strategy has nothing left to try")

    def _promote(self, free: int) -> None:
        """Paused trials that the strategy lets go on."""
        promote = getattr(self._strategy, "promote", None)
        if promote is None or free <= 0:
            return
        seen = self._history.seq
        with self._blaming("strategy", self._strategy):
            extensions: list[Extension] = promote(self._history, free)
            self._check_extensions(extensions, free)
        for extension in extensions:
            number = extension.trial
            self._record(Extended(self._clock(), number, extension.budget, extension.note, seen))
            self._start(self._history.trials[number])

    def _check_extensions(self, extensions: Sequence[Extension], free: int) -> None:
        numbers = [extension.trial for extension in extensions]
        paused = {trial.number: trial for trial in self._history.open_trials("paused")}
        if len(numbers) > free or len(set(numbers)) < len(numbers):
            raise SpecError(f"it let trials {numbers} go on, and {free} different ones were asked for")
        for extension in extensions:
            trial, most = paused.get(extension.trial), self._history.study.budget
            if trial is None or most is None or not trial.step < extension.budget <= most:
                raise SpecError(f"{extension!r} is no paused trial with a budget above its steps and up to {most}")
            json.dumps(dict(extension.note), allow_nan=False)

    def _propose(self, free: int) -> None:
        left = self._trials_left()
        wanted = free if left is None else min(free, left)
        if wanted <= 0:
            return
        number, seen = len(self._history.trials), self._history.seq
        rng = np.random.default_rng([self._history.study.seed, number])
        for offset, proposal in enumerate(self._asked(wanted, rng)):
            self._record(Proposed(self._clock(), number + offset, proposal, seen))
            self._start(self._history.trials[number + offset])

    def _asked(self, wanted: int, rng: np.random.Generator) -> list[Proposal]:
        """What the strategy proposes, checked: a strategy may be the user's own."""
        with self._blaming("strategy", self._strategy):
            proposals = self._strategy.ask(self._history, wanted, rng)
            if len(proposals) > wanted:
                raise SpecError(f"it made {len(proposals)} proposals, {wanted} were asked for")
            for proposal in proposals:
                self._history.study.space.check(proposal.config)
                json.dumps(dict(proposal.note), allow_nan=False)
        return proposals

    @contextmanager
    def _blaming(self, what: str, who: object) -> Iterator[None]:
        """An exception of a plug-in ends the session in good order, with its name."""
        try:
            yield
        except Exception as error:
            text = f"the {what} {who!r} failed: {error if isinstance(error, ArchsearchError) else repr(error)}"
            raise Stopped(text, ExecutionError(text)) from error

    def _trials_left(self) -> int | None:
        asked = self._opened.trials
        return None if asked is None else max(0, asked - len(self._history.trials))

    def _start(self, trial: Trial) -> None:
        job = Job(
            number=trial.number,
            attempt=trial.attempt + 1,
            config=trial.config,
            budget=self._history.study.budget,
            seed=trial_seed(self._history.study.seed, trial.number),
            until=trial.proposal.budget,
        )
        if (last := trial.resumable) is not None:
            job = replace(job, from_step=last.step, checkpoint=last.checkpoint, worked_s=last.seconds)
        worker = self._executor.submit(job)
        self._in_flight.add(trial.number)
        self._record(Started(self._clock(), trial.number, job.attempt, worker, job.from_step))

    def _take(self, events: Sequence[Event]) -> None:
        """All of the events, also when one of them stops the study: each happened."""
        ending = {event.trial for event in events if isinstance(event, Ended)}
        now = self._clock()
        stops: list[Stopped] = []
        for event in events:
            try:
                self._take_one(replace(event, at=now), ending)
            except Stopped as stopped:
                stops.append(stopped)
        if stops:
            raise stops[0]

    def _take_one(self, event: Event, ending: Set[int]) -> None:
        match event:
            case Ended(at, number, Finished()) if self._history.value(self._history.trials[number]) is None:
                self._end(Ended(at, number, Failed(self._without_value(number))))
                self._check_metric(number)
            case Ended(at, number, Finished()) if self._pauses(self._history.trials[number]):
                self._in_flight.discard(number)
                self._record(Paused(at, number))
            case Ended():
                self._end(event)
            case Lost():
                self._lose(event)
            case Reported():
                self._record(event)
                if event.trial not in ending:
                    self._judge(event.trial)
            case _:
                self._record(event)

    def _pauses(self, trial: Trial) -> bool:
        """Has it come to its own budget, and not to the study's? An objective may also have ended before either."""
        own, full = trial.proposal.budget, self._history.study.budget
        return own is not None and full is not None and trial.step == own < full

    def _judge(self, number: int) -> None:
        with self._blaming("pruner", self._pruner):
            verdict = self._pruner.judge(self._history.trials[number], self._history)
        match verdict:
            case Stop(reason):
                self._executor.stop(number)
                self._end(Ended(self._clock(), number, Pruned(reason)))

    def _lose(self, event: Lost) -> None:
        self._in_flight.discard(event.trial)
        self._record(event)
        lost = self._history.trials[event.trial].workers_lost
        if lost > self._retries:
            self._end(Ended(event.at, event.trial, Failed(f"its worker died {lost} times; last: {event.reason}")))

    def _end(self, event: Ended) -> None:
        self._in_flight.discard(event.trial)
        self._record(event)
        trial = self._history.trials[event.trial]
        with self._blaming("strategy", self._strategy):
            self._strategy.tell(trial)
        self._ended_here.append(trial)
        if len(self._ended_here) == ALIKE and all(t.state == "failed" for t in self._ended_here):
            errors = {t.reason for t in self._ended_here}
            if len(errors) == 1:
                text = f"the first {ALIKE} trials all failed with: {errors.pop()}"
                raise Stopped(text, StudyFailed(text))

    def _without_value(self, number: int) -> str:
        reported = {name for report in self._history.trials[number].reports for name in report.metrics}
        text = unknown("metric", self._history.study.goal.metric, reported)
        return f"the objective never reported the study's metric: {text}"

    def _check_metric(self, number: int) -> None:
        """A metric that not one trial has reported is a mistake in the spec, not in the trial."""
        if all(self._history.value(trial) is None for trial in self._history.trials):
            text = self._without_value(number)
            raise Stopped(text, SpecError(text))

    def _time_left_s(self) -> float | None:
        if self._opened.timeout_s is None:
            return None
        spent = self._history.worked_s + self._clock() - self._opened.at
        return max(0.0, self._opened.timeout_s - spent)

    def _record(self, event: Event) -> None:
        self._batch.append(event)
        self._fold.add(event)
        self._now = None

    def _commit(self) -> None:
        if self._batch:
            self._commit_batch(self._history, self._batch)
            self._batch = []

    def _close(self, reason: str) -> None:
        """No trial is left running: those in flight wait for the next session."""
        for trial in self._history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, reason, "driver"))
        self._record(Closed(self._clock(), reason))
        self._commit()


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a trial, which is not that of its proposal."""
    return int(np.random.SeedSequence([study_seed, number, 1]).generate_state(1)[0])
