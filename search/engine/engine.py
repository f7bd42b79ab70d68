"""The engine: proposes, starts, judges and records trials until a stopping criterion of the study is met.

Each iteration of the loop makes all decisions that are possible, commits them in one transaction, and only then lets
the executor act on them. So the store contains every decision that had an effect, whichever process is killed.

The engine depends on the protocols only, not on a particular strategy, pruner or executor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np

from archsearch.search.engine.stopping import StopSession, attribute_errors, component_failed, failure_kind
from archsearch.search.engine.suggestions import Suggester
from archsearch.search.protocols import Continue, Executor, Job, Pruner, Stop, Strategy
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
    Logged,
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

MAX_EQUAL_FAILURES = 5  # the study stops if this many first trials of a session all fail alike

Commit = Callable[[History, Sequence[Event]], None]


class Engine:
    """Runs one session of a study.

    Args:
        history: The study so far.
        session: The settings of this session. Its stopping criteria are totals over all sessions of the study.
        strategy: Proposes trials.
        pruner: Decides after each report whether a trial goes on.
        executor: Runs the trials.
        commit: Called with the history and each batch of events, before the executor acts on them.
        retries: How many times a trial is restarted after its worker has died. Deaths of the driver do not count.
        gpus: GPUs that each trial uses, for counting GPU hours.
        ahead: Whether to request proposals before they are needed; see
            `archsearch.search.engine.suggestions.Suggester`.
        clock: Returns the current time in seconds.
        interruptible: A context that is entered while the executor waits. A KeyboardInterrupt may be raised only
            there; anywhere else it could separate a decision from its record.
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
        self._history: History | None = history  # the fold's value, until the next event
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
        self._ended_trials: list[Trial] = []

    def run(self) -> History:
        """Run until a stopping criterion is met or the strategy has no more proposals.

        All events are committed before an exception is raised, unless it is the store that cannot be written.

        Returns:
            The history at the end of the session.

        Raises:
            StudyFailed: The first trials all failed alike; see `failure_kind`.
            SpecError: The objective never reports the study's metric.
            ExecutionError: The strategy, the pruner or the executor failed, or the strategy proposed a configuration
                that is not in the space.
            KeyboardInterrupt: The session was interrupted while the executor was waiting.
        """
        try:
            self.open()
            while True:
                self.fill()
                self.commit()
                with self._interruptible():
                    events = self._executor.wait(self._stopping.wait_s(self.history, self._clock(), self._gpus))
                self.take(events)
        except StopSession as stopped:
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
        if self._history is None:
            self._history = self._fold.history()
        return self._history

    @property
    def in_flight(self) -> int:
        """The number of trials that the executor is running."""
        return len(self._in_flight)

    def open(self) -> None:
        """Start the session. Trials that were running when the last session was killed become waiting."""
        self._record(self._session)
        for trial in self.history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, "the driver was killed", "driver"))

    def fill(self) -> None:
        """Assign a trial to every free slot: waiting trials first, then paused ones, then new ones."""
        if (reason := self._stopping.reached(self.history, self._clock(), self._gpus)) is not None:
            raise StopSession(reason)
        free = self._executor.capacity - len(self._in_flight)
        waiting = [trial for trial in self.history.open_trials("waiting") if trial.number not in self._in_flight]
        for trial in waiting[:free]:
            self._start(trial)
        self._promote(free - len(waiting[:free]))
        self._propose(self._executor.capacity - len(self._in_flight))
        if not self._in_flight:
            done = self._stopping.trials_left(self.history) == 0
            raise StopSession(TRIALS_DONE if done else "the strategy has nothing left to try")

    def _promote(self, free: int) -> None:
        """Resume the paused trials that the strategy promotes."""
        if free <= 0:
            return
        seen = self.history.seq
        for extension in self._suggester.extensions(self.history, free):
            number = extension.trial
            self._record(Extended(self._clock(), number, extension.budget, extension.reason, extension.state, seen))
            self._start(self.history.trials[number])

    def _propose(self, free: int) -> None:
        """Start new trials on up to `free` slots, and request the proposal for the next one."""
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
        """How many of the free slots may be used for new trials."""
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
            metrics=tuple(self.history.study.metrics),
        )
        if (last := trial.resumable) is not None:
            job = replace(job, from_step=last.step, checkpoint=last.checkpoint, worked_s=last.seconds)
        worker = self._executor.submit(job)
        self._in_flight.add(trial.number)
        self._record(Started(self._clock(), trial.number, job.attempt, worker, job.from_step))

    def take(self, events: Sequence[Event]) -> None:
        """Process all events, even if one of them stops the study, since each of them has happened."""
        ending = {event.trial for event in events if isinstance(event, Ended)}
        now = self._clock()
        stops: list[StopSession] = []
        for event in events:
            try:
                self._apply(replace(event, at=now), ending)
            except StopSession as stopped:
                stops.append(stopped)
        if stops:
            raise stops[0]

    def _apply(self, event: Event, ending: Set[int]) -> None:
        match event:
            # It may pause without a metric that does not come with every report.
            case Ended(at, number, Finished()) if self._should_pause(self.history.trials[number]):
                self._in_flight.discard(number)
                self._record(Paused(at, number))
            case Ended(at, number, Finished()) if (metric := self._missing_metric(number)) is not None:
                error = self._missing_metric_error(metric, number)
                self._record(Logged(at, number, f"{error}\n"))  # the log of a failed trial is never empty
                self._end(Ended(at, number, Failed(error)))
                self._check_metric(metric, number)
            case Ended(at, number, Finished()) if self._is_promising(self.history.trials[number]):
                self._in_flight.discard(number)
                self._record(RunCompleted(at, number))
            case Ended(at, number, Failed(error)) if self.history.trials[number].repeats:
                self._end(Ended(at, number, Failed(f"under its seed {self._run_count(number)}: {error}")))
            case Ended():
                self._end(event)
            case Lost():
                self._handle_lost(event)
            case Reported():
                self._record(event)
                # Repeats are not pruned: the trial has already completed a run.
                if event.trial not in ending and not self.history.trials[event.trial].repeats:
                    self._judge(event.trial)
            case _:
                self._record(event)

    def _should_pause(self, trial: Trial) -> bool:
        """Whether the trial has used up its own budget, which is below the study's.

        The comparison is exact, since an objective may also end before either budget.
        """
        own, full = trial.proposal.budget, self.history.study.budget
        return own is not None and full is not None and trial.step == own < full

    def _is_promising(self, trial: Trial) -> bool:
        """Whether to train the trial with another seed: if no trial has a better mean so far, and seeds are left.

        So the candidates for the best trial are trained with all seeds of the study, and few others are. This is the
        racing procedure of SMAC (Hutter et al. 2011, "Sequential Model-Based Optimization for General Algorithm
        Configuration", section 3).
        """
        if self._run_count(trial.number) >= self.history.study.repeats:
            return False
        vector = self.history.objectives(replace(trial, outcome=Finished()))
        if vector is None or vector.violation:
            return False
        others = map(self.history.objectives, self.history.front)
        return not any(other != vector and other.weakly_dominates(vector) for other in others if other)

    def _run_count(self, number: int) -> int:
        return 1 + len(self.history.trials[number].repeats)

    def _judge(self, number: int) -> None:
        with attribute_errors("pruner", self._pruner):
            verdict: object = self._pruner.judge(self.history.trials[number], self.history)
        match verdict:
            case Continue():
                pass
            case Stop(str(reason)):
                self._executor.stop(number)
                self._end(Ended(self._clock(), number, Pruned(reason)))
            case _:
                text = "with a text as reason, " * isinstance(verdict, Stop)
                problem = f"must return Continue() or Stop(reason) from judge, {text}got {verdict!r}"
                raise component_failed("pruner", self._pruner, problem)

    def _handle_lost(self, event: Lost) -> None:
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
        self._ended_trials.append(trial)
        if len(self._ended_trials) == MAX_EQUAL_FAILURES and all(t.state == "failed" for t in self._ended_trials):
            reasons = [t.reason for t in self._ended_trials]
            if len({*map(failure_kind, reasons)}) == 1:
                how = "with" if len({*reasons}) == 1 else "alike, the last one with"
                text = f"the first {MAX_EQUAL_FAILURES} trials all failed {how}: {reasons[-1]}"
                raise StopSession(text, StudyFailed(text))

    def _missing_metric(self, number: int) -> str | None:
        """The first metric that the study needs and the trial has not reported; None if it has reported all."""
        trial = self.history.trials[number]
        return next((metric for metric in self.history.study.metrics if trial.value(metric) is None), None)

    def _missing_metric_error(self, metric: str, number: int) -> str:
        reported = {name for report in self.history.trials[number].reports for name in report.metrics}
        return f"the objective never reported the study's metric: {unknown('metric', metric, reported)}"

    def _check_metric(self, metric: str, number: int) -> None:
        """End the session if no trial has ever reported the metric: the mistake is in the spec, not in the trial."""
        if all(trial.value(metric) is None for trial in self.history.trials):
            text = self._missing_metric_error(metric, number)
            raise StopSession(text, SpecError(text))

    def _record(self, event: Event) -> None:
        self._batch.append(event)
        self._fold.add(event)
        self._history = None

    def commit(self) -> None:
        if self._batch:
            self._commit_batch(self.history, self._batch)
            self._batch = []

    def close(self, reason: str) -> None:
        """End the session. Trials that are running become waiting, and the next session starts them again."""
        for trial in self.history.open_trials("running"):
            self._record(Lost(self._clock(), trial.number, reason, "driver"))
        self._record(SessionEnded(self._clock(), reason))
        self.commit()


def trial_seed(study_seed: int, number: int, *, run: int = 0) -> int:
    """The seed for training a trial, which differs from the seed of its proposal.

    Args:
        study_seed: The seed of the study.
        number: The number of the trial.
        run: The index of the run, from 0; more than 0 in a study with `repeats`.
    """
    return int(np.random.SeedSequence([study_seed, number, 1, *([run] if run else [])]).generate_state(1)[0])
