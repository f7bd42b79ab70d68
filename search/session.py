"""Session: the ask-and-tell interface, for code with its own training loop."""

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
from typing import TYPE_CHECKING, Any, NoReturn, Self

from archsearch.search.declaration import Declaration
from archsearch.search.engine.engine import Engine
from archsearch.search.engine.provenance import origin
from archsearch.search.engine.stopping import StopSession
from archsearch.search.executors.worker import checked_metrics
from archsearch.search.protocols import UNSTAMPED, Executor, Job, Pruner, Strategy
from archsearch.search.user_code import describe
from archsearch.spaces import Config, Constraint, ExecutionError, Space, SpecError, StoreError
from archsearch.spaces.argument_checks import file_path, whole_number
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.errors import ArgumentError
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

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial to run.

    Attributes:
        number: The number of the trial, from 0.
        config: The values of the active parameters.
        steps: The number of reports to make before telling the result. None: as many as you like.
        seed: The seed of this run.
        from_step: The number of reports that the trial has made before: 0 for a new trial, more for one that was paused
            and now continues, from the state that you saved. You may also train it from the start and report only the
            steps after this one.
        attempt: How many times `ask` has returned the trial, including this time.
    """

    number: int
    config: dict[str, Any]
    steps: int | None
    seed: int
    from_step: int = 0
    attempt: int = 1


class Session(ArgumentHints):
    """A search whose trials you run in your own training loop.

    Example:

        with Session(space, maximize="accuracy", strategy="tpe", pruner="median", budget=20, trials=50) as session:
            while (trial := session.ask()) is not None:
                for step in range(1, trial.steps + 1):
                    accuracy = ...
                    if not session.report(trial, step, {"accuracy": accuracy}):
                        break
                session.tell(trial)
            print(session.best_value, session.best_config)

    You may ask for several trials before telling the result of any, also from several threads. Strategies, pruners,
    promotion, repeats and several goals work as in a `Study`.

    Args:
        space: The search space.
        maximize, minimize, outcome_constraints, constraints, strategy, pruner, budget: As in `Study`.
        trials: The number of trials after which `ask` returns no new ones. None: no limit.
        seed, start, repeats: As in `Study`.
        store: The file in which to store the search. If it exists, the session continues with it, and a trial whose
            result was never told is returned by `ask` again. `archsearch report`, `best` and `show` read it. None:
            nothing is stored.
        name: The name of the study in the report.

    Raises:
        SpecError: An argument is invalid.
        StoreError: The store belongs to a search with another space, goal, budget, seed, start, strategy, pruner or
            number of repeats.
        ExecutionError: In a later call: the strategy or the pruner failed.
        StudyFailed: In a later call: the first trials all failed alike.
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
        self._executor = _CallerExecutor()
        self._store = None if store is None else _open_store(file_path(store, "store"), record)
        try:
            stored = History(record) if self._store is None else self._store.history()
            self._engine = self._start(declared, replace(stored, study=record))
        except BaseException:
            if self._store is not None:
                self._store.close()
            raise

    def _start(self, declared: Declaration, history: History) -> Engine:
        engine = Engine(
            history,
            SessionStarted(time.time(), declared.stopping, 1, "session", socket.gethostname(), os.getpid()),
            strategy=declared.strategy,  # type: ignore[arg-type]  # names were resolved at construction
            pruner=declared.pruner,  # type: ignore[arg-type]  # likewise
            executor=self._executor,
            commit=self._append,
            retries=0,
        )
        engine.open()
        engine.commit()
        return engine

    @property
    def history(self) -> History:
        """All trials so far."""
        with self._lock:
            return self._engine.history

    @property
    def best(self) -> Trial | None:
        """The best finished trial; None before any has finished."""
        return self.history.best

    @property
    def best_value(self) -> float:
        """The value of the best trial for the first goal. Raises ArchsearchError before any trial has finished."""
        return self.history.best_value

    @property
    def best_config(self) -> Config:
        """The configuration of the best trial. Raises ArchsearchError before any trial has finished."""
        return self.history.best_config

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas DataFrame, one row per trial; see `StoredStudy.frame` for the columns."""
        return self.history.frame()

    def ask(self) -> Asked | None:
        """Return the next trial to run.

        Returns:
            The trial; None if there is none at the moment. If no trial is running either, the search is done.

        Raises:
            SpecError: The session is closed.
            ExecutionError: The strategy failed.
        """
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

    def report(self, trial: Asked, step: int, metrics: Mapping[str, float] | float) -> bool:
        """Report the metrics of a trial after a step.

        Args:
            trial: The trial that `ask` returned.
            step: The step, from 1. Steps may be skipped.
            metrics: The values of the metrics by name; in a session with one metric, the number alone is enough. A
                metric need not come with every report. A value of the session's metrics that is not finite fails the
                trial; other metrics that are not finite are left out.

        Returns:
            Whether to continue the trial: False if the pruner has stopped it, it has made all its steps, or it failed.

        Raises:
            SpecError: The trial is not running, or the step is not after the last one and within the trial's steps.
        """
        with self._lock:
            running = self._running_trial(trial)
            before = running.run[-1].step if running.run else 0
            try:
                step = whole_number(step, "step", least=before + 1)
                legal = step <= (trial.steps or math.inf)
            except ArgumentError:
                legal = False
            if not legal:
                most = "" if trial.steps is None else f", and at most {trial.steps}"
                raise SpecError(f"trial {trial.number} reported step {step!r}; the next is {before + 1}{most}")
            self._record(trial, step, metrics, None)
            going = self.history.trials[trial.number].state == "running"
            if not going:
                self._stopped_trials.append(trial)
            return going and step != trial.steps

    def tell(
        self,
        trial: Asked,
        metrics: Mapping[str, float] | float | None = None,
        *,
        failed: str | BaseException | None = None,
    ) -> None:
        """End a trial with its result. For a trial that `report` has already ended, this has no effect.

        Args:
            trial: The trial that `ask` returned.
            metrics: The final metrics, as in `report`. None: those of its last report.
            failed: The reason why the trial failed, as text or as the exception. None: it has not failed.

        Raises:
            SpecError: The trial has already ended, or a metric that the study needs is missing. In the latter case the
                trial is still running, and `tell` may be called again.
        """
        with self._lock:
            if trial in self._stopped_trials:
                self._stopped_trials.remove(trial)
                return
            running = self._running_trial(trial)
            before = running.run[-1].step if running.run else 0
            # If this attempt made no report, the metrics belong to its last step.
            last = before if before > running.from_step else trial.steps or 1
            if isinstance(failed, BaseException):
                failed = describe(failed)
            if not isinstance(failed, str | None):
                raise SpecError(f"failed must be a text or an exception, got {failed!r}")
            if failed is None:
                self._check_reported(trial, metrics)
            self._record(trial, last, metrics, Finished() if failed is None else Failed(failed))

    def close(self) -> None:
        """End this session. Another session may continue with its store; trials that are running become waiting."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._engine.close("the session was closed")
            finally:
                if self._store is not None:
                    self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(
        self, trial: Asked, step: int, metrics: Mapping[str, float] | float | None, outcome: Outcome | None
    ) -> None:
        events: list[Event] = []
        if metrics is not None:
            try:
                numbers = checked_metrics(metrics, step, self.history.study.metrics)
            except TypeError as error:
                raise SpecError(str(error)) from error
            except ValueError as error:  # not finite: the training's fault, as on a worker
                outcome = Failed(f"ValueError: {error}")
            else:
                so_far = self._trial(trial)
                # The time of this attempt, and of earlier ones up to the step from which it continued.
                worked_s = time.time() - (so_far.started_at or 0.0)
                worked_s += next((r.seconds for r in reversed(so_far.run) if r.step <= so_far.from_step), 0.0)
                # When a trial pauses, the caller saves its state.
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

    def _check_reported(self, trial: Asked, metrics: Mapping[str, float] | float | None) -> None:
        """Check that no metric is missing: a misspelt name must not cost a trained trial.

        A trial that pauses now may report it later, as a metric need not come with every report.
        """
        pauses = self.history.study.budget not in (None, trial.steps)
        if pauses and (metrics or self._trial(trial).step == trial.steps):
            return
        if metrics is not None and not isinstance(metrics, Mapping):
            return  # a plain number, or a mistake that `_record` refuses
        told = [] if metrics is None else list(metrics)
        reported = {name for report in self._trial(trial).run for name in report.metrics}
        for metric in self.history.study.metrics:
            if metric not in reported and metric not in told:
                raise SpecError(
                    f"trial {trial.number} was told without the study's metric '{metric}', and did not report it; tell "
                    f"it with {{'{metric}': ...}}" + (f", not {', '.join(map(str, told))}" if told else "")
                )

    def _check_open(self) -> None:
        if self._closed:
            raise SpecError("the session is closed; create another one, with the same store to continue")

    def _trial(self, trial: Asked) -> Trial:
        self._check_open()
        if trial is None:
            raise SpecError("got None for a trial; end the loop when ask() returns None")
        if not isinstance(trial, Asked) or trial.number >= len(self.history.trials):
            raise SpecError(f"{trial!r} is not a trial of this session; pass the trial that ask() returned")
        return self.history.trials[trial.number]

    def _running_trial(self, trial: Asked) -> Trial:
        found = self._trial(trial)
        if found.state != "running":
            raise SpecError(f"trial {trial.number} is {found.state}, not running; call ask() for another one")
        if found.attempt != trial.attempt:
            raise SpecError(f"trial {trial.number} was returned by ask() again; use the trial that ask() returned last")
        return found

    def _append(self, history: History, events: Sequence[Event]) -> None:
        if self._store is None:
            return
        try:
            self._store.append(events)
        except (TypeError, ValueError) as error:
            # The events would be refused again at the next commit, and also when the session is closed.
            self._closed = True
            self._store.close()
            raise ExecutionError(
                f"the session was closed, since what happened last cannot be stored as JSON: {error}; the strategy's "
                "proposals and states must be plain values. Open the store again to continue without it"
            ) from error

    def _raise(self, stopped: StopSession) -> NoReturn:
        raise stopped.error or SpecError(stopped.reason) from stopped.__cause__


class _SessionDeclaration(Declaration):
    """A declaration without a stopping criterion."""

    def _check_end(self) -> None:
        """A session needs no limit: it ends when its caller stops asking."""


class _CallerExecutor(Executor):
    """The executor of a session, whose caller runs the jobs."""

    capacity = 0

    def __init__(self) -> None:
        self._job: Job | None = None

    def submit(self, job: Job) -> str:
        self._job = job
        return "session"

    def take_job(self) -> Job | None:
        """Return the submitted job, once."""
        job, self._job = self._job, None
        return job

    def wait(self, timeout_s: float | None) -> list[Event]:
        return []

    def stop(self, trial: int) -> None:
        """The return value of `report` stops the trial."""

    def close(self) -> None:
        """Nothing was started."""


def _no_objective(trial: object) -> NoReturn:
    raise SpecError("the trials of a Session are run by its caller")


def _open_store(path: Path, record: StudyRecord) -> Store:
    """Create the store of the session, or open it if it exists."""
    if not path.exists():
        meta = {"format": FORMAT, "source": {"kind": "session"}, "overrides": {}, **origin(None, gpus=False)}
        return Store.create(path, record, meta)
    store = Store.open(path, write=True)
    if store.meta["source"]["kind"] != "session":
        store.close()
        raise StoreError(f"{path} belongs to a Study, not to a Session; use another file, or resume the study")
    if changes := store.study.changes_to(record):
        store.close()
        lines = "".join(f"\n  {change}" for change in changes)
        raise StoreError(f"{path} contains another search; use another file, or restore the former settings:{lines}")
    return store
