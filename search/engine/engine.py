"""The engine: asks, starts, judges and records, until the study has what it was asked for. It knows protocols only.

One turn of the loop decides everything that can be decided, commits it in one transaction, and only then lets the
executor act; so whatever process is killed, the store holds every decision that had an effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np

from archsearch.search.engine.stopping import Stopped, blaming
from archsearch.search.engine.suggestions import Suggester
from archsearch.search.protocols import Executor, Job, Pruner, Stop, Strategy
from archsearch.spaces import ExecutionError, SpecError, StudyFailed
from archsearch.spaces.errors import unknown
from archsearch.studies.formatting import count
from archsearch.studies.history import Fold, History
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Lost,
    Paused,
    Proposed,
    Pruned,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
    Trial,
)
from archsearch.studies.stopping_criteria import TRIALS_DONE

ALIKE = 5  # so many first trials of a session that fail with one error stop the study

Commit = Callable[[History, Sequence[Event]], None]


class Engine:
    """One session of work on a study.

    session: this session's settings; its stopping criteria are totals of the study over all sessions.
    commit: is given each batch of events with the history after it, before the executor acts on them.
    retries: how often a trial whose worker died is started again; a driver that died does not count.
    gpus: that each trial uses, by which GPU hours are counted.
    ahead: proposals are asked for ahead of need, as `archsearch.search.engine.suggestions.Suggester` says.
    interruptible: entered while the executor waits, which is when a KeyboardInterrupt may come: anywhere else it could
        tear a decision from its record.
    """

    def __init__(
        self,
        history: History,
        session: SessionStarted,
        *,
        strategy: Strategy,
        pruner: Pruner,
        executor: Executor,
        commit: Commit,
        retries: int,
        gpus: float = 0.0,
        ahead: bool = False,
        clock: Callable[[], float] = time.time,
        interruptible: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._fold = Fold(history)
        self._now: History | None = history  # the fold's value, until the next event
        self._session = session
        self._stopping = session.stopping
        self._gpus = gpus
        self._suggester = Suggester(strategy, ahead=ahead)
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
        metric; ExecutionError when the strategy, the pruner or the executor breaks, or the strategy proposes what is
        not in the space. KeyboardInterrupt passes through, and comes only while the executor waits (`interruptible`).
        In each case the store is in good order first, unless it is the store that cannot be written.
        """
        try:
            self.open()
            while True:
                self.fill()
                self.commit()
                with self._interruptible():
                    events = self._executor.wait(self._stopping.wait_s(self.history, self._clock(), self._gpus))
                self.take(events)
        except Stopped as stopped:
            self.close(stopped.reason)
            if stopped.error is not None:
                raise stopped.error from stopped.__cause__
        except KeyboardInterrupt:
            self.close("interrupted")
            raise
        except ExecutionError as error:
            self.close(str(error))
            raise
        finally:
            self._suggester.close()
        return self.history

    @property
    def history(self) -> History:
        if self._now is None:
            self._now = self._fold.history()
        return self._now

    @property
    def in_flight(self) -> int:
        """How many trials the executor has."""
        return len(self._in_flight)

    def open(self) -> None:
        """The session begins: what ran when the last one was killed waits."""
        self._record(self._session)
        for trial in self.history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, "the driver was killed", "driver"))

    def fill(self) -> None:
        """Give every free slot a trial: those that wait first, then those that hold, then new ones."""
        if (reason := self._stopping.reached(self.history, self._clock(), self._gpus)) is not None:
            raise Stopped(reason)
        free = self._executor.capacity - len(self._in_flight)
        waiting = [trial for trial in self.history.open_trials("waiting") if trial.number not in self._in_flight]
        for trial in waiting[:free]:
            self._start(trial)
        self._promote(free - len(waiting[:free]))
        self._propose(self._executor.capacity - len(self._in_flight))
        if not self._in_flight:
            done = self._stopping.trials_left(self.history) == 0
            raise Stopped(TRIALS_DONE if done else "the strategy has nothing left to try")

    def _promote(self, free: int) -> None:
        """Paused trials that the strategy lets go on."""
        if free <= 0:
            return
        seen = self.history.seq
        for extension in self._suggester.extensions(self.history, free):
            number = extension.trial
            self._record(Extended(self._clock(), number, extension.budget, extension.reason, extension.state, seen))
            self._start(self.history.trials[number])

    def _propose(self, free: int) -> None:
        """New trials, all that the strategy has for so many slots, and the question for the one after them."""
        while (wanted := self._wanted(free)) > 0:
            suggested = self._suggester.proposals(self.history, wanted)
            for suggestion in suggested:
                number = len(self.history.trials)
                self._record(Proposed(self._clock(), number, suggestion.proposal, suggestion.seen))
                self._start(self.history.trials[number])
            if suggested and self._wanted(1):
                self._suggester.started(self.history)
            if not suggested or not self._suggester.ahead:
                return
            free -= len(suggested)

    def _wanted(self, free: int) -> int:
        """So many of the free slots are for new trials."""
        left = self._stopping.trials_left(self.history)
        return free if left is None else min(free, left)

    def _start(self, trial: Trial) -> None:
        job = Job(
            number=trial.number,
            attempt=trial.attempt + 1,
            config=trial.config,
            budget=self.history.study.budget,
            seed=trial_seed(self.history.study.seed, trial.number, run=len(trial.repeats)),
            until=trial.proposal.budget,
            metric=metrics[0] if len(metrics := self.history.study.metrics) == 1 else None,
        )
        if (last := trial.resumable) is not None:
            job = replace(job, from_step=last.step, checkpoint=last.checkpoint, worked_s=last.seconds)
        worker = self._executor.submit(job)
        self._in_flight.add(trial.number)
        self._record(Started(self._clock(), trial.number, job.attempt, worker, job.from_step))

    def take(self, events: Sequence[Event]) -> None:
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
            case Ended(at, number, Finished()) if (metric := self._missing(number)) is not None:
                self._end(Ended(at, number, Failed(self._without(metric, number))))
                self._check_metric(metric, number)
            case Ended(at, number, Finished()) if self._pauses(self.history.trials[number]):
                self._in_flight.discard(number)
                self._record(Paused(at, number))
            case Ended(at, number, Finished()) if self._promises(self.history.trials[number]):
                self._in_flight.discard(number)
                self._record(RunCompleted(at, number))
            case Ended(at, number, Failed(error)) if self.history.trials[number].repeats:
                self._end(Ended(at, number, Failed(f"under its seed {self._runs(number)}: {error}")))
            case Ended():
                self._end(event)
            case Lost():
                self._lose(event)
            case Reported():
                self._record(event)
                # A repeat is not judged: the trial came through once.
                if event.trial not in ending and not self.history.trials[event.trial].repeats:
                    self._judge(event.trial)
            case _:
                self._record(event)

    def _pauses(self, trial: Trial) -> bool:
        """Has it come to its own budget, and not to the study's? An objective may also have ended before either."""
        own, full = trial.proposal.budget, self.history.study.budget
        return own is not None and full is not None and trial.step == own < full

    def _promises(self, trial: Trial) -> bool:
        """Should it be trained under a further seed? While by its mean so far nobody is better, and seeds are left.

        So all that may become the best are trained under each of the study's seeds, and hardly anyone else (SMAC's
        race: Hutter et al. 2011, "Sequential Model-Based Optimization for General Algorithm Configuration", section 3).
        """
        if self._runs(trial.number) >= self.history.study.repeats:
            return False
        vector = self.history.objectives(replace(trial, outcome=Finished()))
        if vector is None or vector.violation:
            return False
        others = map(self.history.objectives, self.history.front)
        return not any(other != vector and other.weakly_dominates(vector) for other in others if other)

    def _runs(self, number: int) -> int:
        return 1 + len(self.history.trials[number].repeats)

    def _judge(self, number: int) -> None:
        with blaming("pruner", self._pruner):
            verdict = self._pruner.judge(self.history.trials[number], self.history)
        match verdict:
            case Stop(reason):
                self._executor.stop(number)
                self._end(Ended(self._clock(), number, Pruned(reason)))

    def _lose(self, event: Lost) -> None:
        self._in_flight.discard(event.trial)
        self._record(event)
        lost = self.history.trials[event.trial].workers_lost
        if lost > self._retries:
            self._end(
                Ended(event.at, event.trial, Failed(f"its worker died {count(lost, 'time')}; last: {event.reason}"))
            )

    def _end(self, event: Ended) -> None:
        self._in_flight.discard(event.trial)
        self._record(event)
        trial = self.history.trials[event.trial]
        self._ended_here.append(trial)
        if len(self._ended_here) == ALIKE and all(t.state == "failed" for t in self._ended_here):
            errors = {t.reason for t in self._ended_here}
            if len(errors) == 1:
                text = f"the first {ALIKE} trials all failed with: {errors.pop()}"
                raise Stopped(text, StudyFailed(text))

    def _missing(self, number: int) -> str | None:
        """A metric that the study must have and that the trial has not reported."""
        trial = self.history.trials[number]
        return next((metric for metric in self.history.study.metrics if trial.value(metric) is None), None)

    def _without(self, metric: str, number: int) -> str:
        reported = {name for report in self.history.trials[number].reports for name in report.metrics}
        return f"the objective never reported the study's metric: {unknown('metric', metric, reported)}"

    def _check_metric(self, metric: str, number: int) -> None:
        """A metric that not one trial has reported is a mistake in the spec, not in the trial."""
        if all(trial.value(metric) is None for trial in self.history.trials):
            text = self._without(metric, number)
            raise Stopped(text, SpecError(text))

    def _record(self, event: Event) -> None:
        self._batch.append(event)
        self._fold.add(event)
        self._now = None

    def commit(self) -> None:
        if self._batch:
            self._commit_batch(self.history, self._batch)
            self._batch = []

    def close(self, reason: str) -> None:
        """No trial is left running: those in flight wait for the next session."""
        for trial in self.history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, reason, "driver"))
        self._record(SessionEnded(self._clock(), reason))
        self.commit()


def trial_seed(study_seed: int, number: int, *, run: int = 0) -> int:
    """The seed of a trial's run, which is not that of its proposal."""
    return int(np.random.SeedSequence([study_seed, number, 1, *([run] if run else [])]).generate_state(1)[0])
