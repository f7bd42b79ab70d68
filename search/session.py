"""Session: ask and tell, for code that has a training loop of its own."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from archsearch.search.declaration import Declaration
from archsearch.search.engine.engine import Engine
from archsearch.search.engine.provenance import origin
from archsearch.search.engine.stopping import StopSession
from archsearch.search.executors.worker import checked_metrics
from archsearch.search.protocols import UNSTAMPED, Executor, Job, Pruner, Strategy
from archsearch.spaces import Constraint, Space, SpecError, StoreError
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Outcome,
    Report,
    Reported,
    SessionStarted,
    StudyRecord,
    Trial,
)
from archsearch.studies.store import FORMAT, Store


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial to run.

    Attributes:
        number: Of the trial, counted from 0.
        config: The values of the active parameters.
        steps: How many reports it is to make before it is told. None: as many as you like.
        seed: Of this run.
        from_step: How many reports it has made before. 0 for one that begins. More for one that was paused and may now
            go on, from the state that you kept of it; or from the start, if you report only what follows that step.
        attempt: How many times the trial was given out, this time included.
    """

    number: int
    config: dict[str, Any]
    steps: int | None
    seed: int
    from_step: int = 0
    attempt: int = 1


class Session:
    """A search whose trials you run yourself, in a loop of your own.

    Example:

        with Session(space, maximize="accuracy", strategy="tpe", pruner="median", budget=20, trials=50) as session:
            while (trial := session.ask()) is not None:
                for step in range(1, trial.steps + 1):
                    accuracy = ...
                    if not session.report(trial, step, {"accuracy": accuracy}):
                        break
                session.tell(trial)
            print(session.best.config)

    Several trials may be asked for before any is told, also from several threads. Strategies, pruners, promotion,
    repeats and several goals work as in a `Study`.

    Args:
        space: What may vary.
        maximize, minimize, outcome_constraints, constraints, strategy, pruner, budget, seed, start, repeats: As in
            `Study`.
        trials: After so many, `ask` has no new ones. None: there is no such limit.
        store: A file that keeps everything. If it exists, the session goes on with it, and a trial that was asked for
            and never told is given out again. `archsearch report`, `best` and `show` read it. None: nothing is kept.
        name: Of the study, in the report.

    Raises:
        SpecError: Something is invalid.
        StoreError: The store is of another space, goal, budget, seed, start, strategy, pruner or number of repeats.
        ExecutionError: Later: the strategy or the pruner failed.
        StudyFailed: Later: the first trials all failed alike.
    """

    def __init__(
        self,
        space: Space,
        *,
        maximize: str | Sequence[str] | None = None,
        minimize: str | Sequence[str] | None = None,
        outcome_constraints: Sequence[str] = (),
        constraints: Sequence[Constraint] = (),
        strategy: Strategy | str = Declaration.strategy,
        pruner: Pruner | str | None = None,
        budget: int | None = None,
        trials: int | None = None,
        seed: int = 0,
        start: Sequence[Mapping[str, Any]] = (),
        repeats: int = 1,
        store: str | Path | None = None,
        name: str = "session",
    ) -> None:
        declared = _SessionDeclaration(
            name=name,
            objective=_no_objective,
            space=space,
            constraints=constraints,
            maximize=maximize,
            minimize=minimize,
            outcome_constraints=outcome_constraints,
            strategy=strategy,
            pruner=pruner,
            budget=budget,
            trials=trials,
            seed=seed,
            start=start,
            repeats=repeats,
        )
        record = declared.record()
        self._lock = threading.RLock()
        self._closed = False
        self._stopped_trials: list[Asked] = []  # by a report, and not told yet
        self._store = None if store is None else _open_store(Path(store), record)
        history = History(record)
        if self._store is not None:
            history = replace(self._store.history(), study=record)
        self._executor = _CallerExecutor()
        self._engine = Engine(
            history,
            SessionStarted(time.time(), declared.stopping, 1, "session", socket.gethostname(), os.getpid()),
            strategy=declared.strategy,  # type: ignore[arg-type]  # names were resolved at construction
            pruner=declared.pruner,  # type: ignore[arg-type]  # likewise
            executor=self._executor,
            commit=self._append,
            retries=0,
        )
        self._engine.open()
        self._engine.commit()

    @property
    def history(self) -> History:
        """All trials so far."""
        with self._lock:
            return self._engine.history

    @property
    def best(self) -> Trial | None:
        """The best finished trial; None before any has finished."""
        return self.history.best

    def ask(self) -> Asked | None:
        """The next trial to run. None: there is none at the moment; if no trial is running either, none will come."""
        with self._lock:
            self._check_open()
            self._executor.capacity = self._engine.in_flight + 1
            try:
                self._engine.fill()
            except StopSession as stopped:
                if stopped.error is not None:
                    self._raise(stopped)
                return None
            finally:
                self._engine.commit()
            job = self._executor.take_job()
            if job is None:
                return None
            return Asked(job.number, dict(job.config), job.last_step, job.seed, job.from_step, job.attempt)

    def report(self, trial: Asked, step: int, metrics: Mapping[str, float]) -> bool:
        """Report what a trial has come to.

        Args:
            trial: What `ask` returned.
            step: Counted from 1. Steps may be left out.
            metrics: Names and numbers. One that is not finite fails the trial.

        Returns:
            Whether the trial should go on. It should not if the pruner has stopped it, it has made all of its steps, or
            it has failed.

        Raises:
            SpecError: The trial is not running, or the step is not one of those to come.
        """
        with self._lock:
            running = self._running_trial(trial)
            before = running.run[-1].step if running.run else 0
            if isinstance(step, bool) or not isinstance(step, int) or not before < step <= (trial.steps or math.inf):
                most = "" if trial.steps is None else f", and at most {trial.steps}"
                raise SpecError(f"trial {trial.number} reported step {step!r}; the next is {before + 1}{most}")
            self._record(trial, step, metrics, None)
            going = self.history.trials[trial.number].state == "running"
            if not going:
                self._stopped_trials.append(trial)
            return going and step != trial.steps

    def tell(self, trial: Asked, metrics: Mapping[str, float] | None = None, *, failed: str | None = None) -> None:
        """Say that a trial is done. A trial that `report` has ended already may be told, and stays as it is.

        Args:
            trial: What `ask` returned.
            metrics: Its value. None: its last report is.
            failed: Why it failed. None: it has not.

        Raises:
            SpecError: The trial was told before, or a metric that the study needs was neither reported nor told: then
                the trial still runs, and may be told again.
        """
        with self._lock:
            if trial in self._stopped_trials:
                self._stopped_trials.remove(trial)
                return
            running = self._running_trial(trial)
            before = running.run[-1].step if running.run else 0
            # Where this attempt made no report, what is told is of its end.
            last = before if before > running.from_step else trial.steps or 1
            if failed is None:
                self._check_reported(trial, metrics or {})
            self._record(trial, last, metrics, Finished() if failed is None else Failed(failed))

    def close(self) -> None:
        """End this session. Another one may go on with its store, where trials that still run will wait."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._engine.close("the session was closed")
            if self._store is not None:
                self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, trial: Asked, step: int, metrics: Mapping[str, float] | None, outcome: Outcome | None) -> None:
        events: list[Event] = []
        if metrics is not None:
            try:
                numbers = checked_metrics(metrics, step)
            except TypeError as error:
                raise SpecError(str(error)) from error
            except ValueError as error:  # not finite: the training's fault, as on a worker
                outcome = Failed(f"ValueError: {error}")
            else:
                so_far = self._trial(trial)
                # Of the attempt, and of those before it up to where it went on.
                worked_s = time.time() - (so_far.started_at or 0.0)
                worked_s += next((r.seconds for r in reversed(so_far.run) if r.step <= so_far.from_step), 0.0)
                # Where a trial pauses, its state is the caller's to keep.
                kept = "the caller's" if step == trial.steps != self.history.study.budget else ""
                report = Report(step, numbers, worked_s, kept)
                events.append(Reported(UNSTAMPED, trial.number, report))
        if outcome is not None:
            events.append(Ended(UNSTAMPED, trial.number, outcome))
        try:
            self._engine.take(events)
        except StopSession as stopped:
            self._raise(stopped)
        finally:
            self._engine.commit()

    def _check_reported(self, trial: Asked, metrics: Mapping[str, float]) -> None:
        """A misspelt name must not cost a trial that was trained."""
        reported = {name for report in self._trial(trial).run for name in report.metrics}
        for metric in self.history.study.metrics:
            if metric not in reported and metric not in metrics:
                raise SpecError(
                    f"trial {trial.number} was told without the study's metric '{metric}', and did not report it; tell "
                    f"it with {{'{metric}': ...}}" + (f", not {', '.join(metrics)}" if metrics else "")
                )

    def _check_open(self) -> None:
        if self._closed:
            raise SpecError("the session is closed; make another one, with the same store to go on")

    def _trial(self, trial: Asked) -> Trial:
        self._check_open()
        if trial is None:
            raise SpecError("got None for a trial: ask() had none; end the loop when it returns None")
        if not isinstance(trial, Asked) or trial.number >= len(self.history.trials):
            raise SpecError(f"{trial!r} is no trial of this session; pass what ask() returned")
        return self.history.trials[trial.number]

    def _running_trial(self, trial: Asked) -> Trial:
        found = self._trial(trial)
        if found.state != "running":
            raise SpecError(f"trial {trial.number} is not running but {found.state}; ask() for another one")
        if found.attempt != trial.attempt:
            raise SpecError(f"trial {trial.number} was given out again since; go on with what ask() returned last")
        return found

    def _append(self, history: History, events: Sequence[Event]) -> None:
        if self._store is not None:
            self._store.append(events)

    def _raise(self, stopped: StopSession) -> NoReturn:
        raise stopped.error or SpecError(stopped.reason) from stopped.__cause__


class _SessionDeclaration(Declaration):
    """A declaration that needs no limit."""

    def _check_end(self) -> None:
        """A session ends when nobody asks any more."""


class _CallerExecutor(Executor):
    """The executor of a session: its caller does the jobs."""

    capacity = 0

    def __init__(self) -> None:
        self._job: Job | None = None

    def submit(self, job: Job) -> str:
        self._job = job
        return "session"

    def take_job(self) -> Job | None:
        """The job that was ordered last, once."""
        job, self._job = self._job, None
        return job

    def wait(self, timeout_s: float | None) -> list[Event]:
        return []

    def stop(self, trial: int) -> None:
        """`report` says so."""

    def close(self) -> None:
        """Nothing was started."""


def _no_objective(trial: object) -> NoReturn:
    raise SpecError("the trials of a Session are run by its caller")


def _open_store(path: Path, record: StudyRecord) -> Store:
    """The session's store: a new one, or the one to go on with."""
    if not path.exists():
        meta = {"format": FORMAT, "source": {"kind": "session"}, "overrides": {}, **origin(None, gpus=False)}
        return Store.create(path, record, meta)
    store = Store.open(path, write=True)
    differences = [str(change) for change in store.study.space.diff(record.space)]
    for name in ("aim", "budget", "seed", "repeats", "start", "strategy", "pruner"):
        before, now = getattr(store.study, name), getattr(record, name)
        if before != now:
            differences.append(f"its {name} is {now}, and was {before}")
    if differences:
        store.close()
        lines = "".join(f"\n  {change}" for change in differences)
        raise StoreError(f"{path} holds another search; use another file, or the settings of then:{lines}")
    return store
