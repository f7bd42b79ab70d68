"""Runs one session of a study: sets up its store, data, workers and engine, and shuts them down in order.

`archsearch run`, `archsearch resume`, `Study.run` and `archsearch.resume` all use the `Driver`.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from archsearch.search.declaration import Declaration
from archsearch.search.engine.engine import Engine
from archsearch.search.engine.hooks import call_hook
from archsearch.search.engine.interrupts import Interrupts
from archsearch.search.engine.observers import Observers
from archsearch.search.engine.preflight import (
    check_budget,
    check_functions,
    check_space,
    prepare,
    rehearse,
)
from archsearch.search.engine.provenance import gpu_count, origin
from archsearch.search.engine.setting_warnings import setting_warnings
from archsearch.search.engine.source import Source, next_key, sent_to_workers, source_of, stored_source
from archsearch.search.engine.spec import SpecFile
from archsearch.search.engine.suggestions import promotions
from archsearch.search.executors import EXECUTORS, quiet_ray
from archsearch.search.executors.checkpoints import CheckpointCleanup, Checkpoints
from archsearch.search.executors.isolation import default_settings, settings_for
from archsearch.search.protocols import Executor, Progress, ShowProgress, Silent, Strategy
from archsearch.spaces import SpecError, StoreError, StudyFailed
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.errors import ArgumentError, unknown
from archsearch.studies.best import hint_if_all_failed
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted, StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import FORMAT, Store
from archsearch.studies.transfer import best_configs

WARM_START_CONFIGS = 5  # of each earlier study; few, since they are tried before anything is learnt about this one

NO_CHANGE = StoppingCriteria()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that may differ between sessions. None uses the value of the last session, or else of the study.

    Attributes:
        stopping: The limits that replace those of the study.
        workers: The number of trials that run at the same time.
        executor: The executor that runs the trials: "ray" or "inline".
        address: The address of an existing Ray cluster. It is not stored, since it belongs to the machine and not to
            the study.
        ray_log: Whether Ray may log to the terminal.

    Raises:
        ArgumentError: `workers` is not a whole number of at least 1, or `address` is not a text.
        SpecError: The executor is unknown.
    """

    stopping: StoppingCriteria = NO_CHANGE
    workers: int | None = None
    executor: str | None = None
    address: str | None = None
    ray_log: bool = False

    def __post_init__(self) -> None:
        if self.executor is not None and self.executor not in EXECUTORS:
            raise SpecError(unknown("executor", str(self.executor), EXECUTORS))
        if self.workers is not None:
            object.__setattr__(self, "workers", whole_number(self.workers, "workers", least=1))
        if self.address is not None and not isinstance(self.address, str):
            raise ArgumentError("address", f"must be 'HOST:PORT' or 'auto', got {self.address!r}")


@dataclass(frozen=True)
class Driver:
    """Runs one session of a study.

    Attributes:
        study: The declaration of the study.
        source: Where the study comes from, so that workers and later sessions can load it.
        store_path: The file in which the study is stored.
        settings: The settings of this session that differ from the study's.
        show_progress: Creates the progress display; None shows nothing.
        overrides: The `seed` and `strategy` given on the command line in place of the spec's.
    """

    study: Declaration
    source: Source
    store_path: Path
    settings: Settings = Settings()
    show_progress: ShowProgress | None = None
    overrides: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_study(
        cls, study: Declaration, store: str | Path | None, show_progress: ShowProgress | None = None
    ) -> Driver:
        """Create the driver of a study that was declared in Python.

        Args:
            study: The declaration.
            store: The file in which to store the study; None for `NAME.db` in the current folder.
            show_progress: Creates the progress display; None shows nothing.
        """
        return cls(study, source_of(study), store_path(study, store), show_progress=show_progress)

    def run(self) -> History:
        """Run the study in a new store.

        Returns:
            The history of the study.

        Raises:
            ArchsearchError: The study is invalid or has failed; the command line prints the message as an error.
            KeyboardInterrupt: The session was interrupted; `resume` continues with the store.
        """
        session = self._session_started(None)
        meta = {
            "format": FORMAT,
            "source": self.source.to_json(),
            "overrides": self.overrides,
            **origin(self.source.folder, gpus=bool(self.study.gpus)),
        }
        record = self._record()
        with Store.create(self.store_path, record, meta) as store:
            try:
                return self._run_and_release(store, History(record), session)
            finally:
                if store.empty:  # no session has started: an empty store would only block the next run
                    store.discard()

    def _record(self) -> StudyRecord:
        """The record of the study, with the best configurations of its `warm_start` studies added to its `start`."""
        record = self.study.record()
        start = [*record.start]
        for path in self.study.warm_stores:
            with Store.open(path) as store:
                earlier = store.history()
            if not any(name in record.space for name in earlier.study.space):
                raise SpecError(f"warm_start: {path} has no parameter of this space; use another store, or none")
            found = best_configs(earlier, record.space, WARM_START_CONFIGS)
            if not found:
                raise SpecError(f"warm_start: no trial of {path} has finished; use another store, or none")
            start += [config for config in found if config not in start]
        return replace(record, start=tuple(start))

    def run_or_resume(self) -> History:
        """Run the study, or continue with its store if there is one.

        Returns:
            The history of the study.

        Raises:
            StoreError: The store belongs to a study with a different declaration, or to a Session.
        """
        if not self.store_path.exists():
            return self.run()
        with Store.open(self.store_path, write=True) as store:
            if store.meta["source"]["kind"] == "session":
                raise StoreError(f"{store.path} belongs to a Session, not to a Study; use another file")
            history = store.history()
            if changes := self._changes(history.study):
                lines = "".join(f"\n  {change}" for change in changes)
                raise StoreError(
                    f"{store.path} belongs to a study that was declared differently; use another store, or restore the "
                    f"former declaration:{lines}"
                )
            session = self._session_started(None)
            if (session.stopping.trials or math.inf) < len(history.trials):
                # The study was extended since. Its declaration asks for fewer trials, so there is nothing more to do.
                stopping = replace(session.stopping, trials=len(history.trials))
                session = replace(session, stopping=stopping)
            return self._continue(store, history, session)

    def _changes(self, before: StudyRecord) -> list[str]:
        """The differences from the study in the store, except for limits and resources."""
        now = self.study.record()
        # The configurations of warm starts follow the study's own. They depend on the state of the earlier studies when
        # this study was created, so they are not compared.
        start = before.start[: len(now.start)] if self.study.warm_stores else before.start
        return replace(before, start=start).changes_to(now)

    def resume(self) -> History:
        """Continue a stored study: trials that were running are started again, trials that have ended are not.

        Returns:
            The history of the study.

        Raises:
            StoreError: The store cannot be read, or the spec now declares another space.
        """
        with Store.open(self.store_path, write=True) as store:
            history = store.history()
            if differences := history.study.space.diff(self.study.record().space):
                lines = "".join(f"\n  {change}" for change in differences)
                raise StoreError(f"{store.path}: the spec now declares another space; start a new study:{lines}")
            return self._continue(store, history, self._session_started(history.session_started))

    def _continue(self, store: Store, history: History, session: SessionStarted) -> History:
        # The same space, but with its Python functions, which cannot be stored.
        live = self.study.record().space
        history = replace(history, study=replace(history.study, space=live))
        session.stopping.check(gpus=self.study.gpus, begun=len(history.trials))
        if session.stopping.trials_left(history) == 0 and not self._can_continue(history):
            return self._check_result(history, store)
        return self._run_and_release(store, history, session)

    def _can_continue(self, history: History) -> bool:
        """Whether there are waiting or running trials, or a paused one that the strategy would promote."""
        strategy: Strategy = self.study.strategy  # type: ignore[assignment]  # a name was resolved at construction
        return bool(history.open_trials("waiting", "running") or promotions(strategy, history))

    def _run_and_release(self, store: Store, history: History, session: SessionStarted) -> History:
        try:
            return self._search(store, history, session)
        finally:
            call_hook(self.study.trainable, "release")

    def _search(self, store: Store, history: History, session: SessionStarted) -> History:
        # Called in the driver before any worker starts, so that mistakes in the data are found here.
        with self.source.arguments(), settings_for(self.study.trainable):
            shared = prepare(self.study)
        self._check_data(store, history, shared)
        self._check_gpus()
        check_budget(self.study, shared)
        summary = call_hook(self.study.trainable, "summary_of", shared)
        if summary and not history.trials and "data summary" not in store.meta:
            store.note("data summary", summary)
        warnings: list[str] = []
        if not history.trials:
            spec = self.source.path if isinstance(self.source, SpecFile) else None
            with self.source.arguments():
                found = (
                    check_space(self.study),
                    check_functions(self.study, shared),
                    rehearse(self.study, shared, spec=spec),
                )
            warnings += setting_warnings(self.study, session.stopping.trials, address=self.settings.address)
            warnings += [*call_hook(self.study.trainable, "data_warnings", shared), *filter(None, found)]
        checkpoints = Checkpoints.from_store(self.store_path, self.study.checkpoint_every_s)
        cleanup = CheckpointCleanup(checkpoints, history)
        with (
            self._progress(history, session) as progress,
            closing(cleanup),
            Observers(self.study.observers, history, progress.warn) as observers,
        ):
            if summary:
                progress.note(f"data: {summary}")
            code_changed = next_key(store.meta, self.source)
            if not code_changed:
                warnings.append(hint_if_all_failed(history, store.path))
            for warning in filter(None, [*self.source.warnings, *warnings]):
                progress.warn(warning)
            executor = self._executor(session, shared, checkpoints)
            if code_changed:
                store.note(code_changed, self.source.to_json())  # a later `resume` continues with this code
            del shared  # the executor owns the data now; on Ray, this would be a second copy

            def commit(after: History, events: Sequence[Event]) -> None:
                store.append(events)
                cleanup.after(events)
                progress.show(after, events)
                observers.tell(after, events)

            try:
                with Interrupts() as interrupts, self.source.arguments(), default_settings():
                    history = Engine(
                        history,
                        replace(session, at=time.time(), workers=executor.capacity),
                        strategy=self.study.strategy,  # type: ignore[arg-type]  # names were resolved at construction
                        pruner=self.study.pruner,  # type: ignore[arg-type]  # likewise
                        executor=executor,
                        commit=commit,
                        retries=self.study.retries,
                        gpus=self.study.gpus,
                        trial_timeout_s=self.study.trial_timeout_s,
                        ahead=executor.capacity > 1,
                        interruptible=interrupts.allowed,
                    ).run()
            except StudyFailed as error:
                raise StudyFailed(_with_advice(f"{error}; see the log", store)) from None
            except SpecError as error:  # no trial has reported the metric
                hint = hint_if_all_failed(store.history(), store.path)
                raise SpecError(f"{error}; {hint}" if hint else str(error)) from None
            finally:
                executor.close()
        return self._check_result(history, store)

    def _progress(self, history: History, session: SessionStarted) -> AbstractContextManager[Progress]:
        return Silent() if self.show_progress is None else self.show_progress(self.store_path, history, session)

    def _check_result(self, history: History, store: Store) -> History:
        if history.best is None and not history.unfinished:
            if history.in_state("finished"):
                kept = " and ".join(map(str, history.study.outcome_constraints))
                raise StudyFailed(
                    f"no finished trial satisfies {kept}; see the closest ones: archsearch show {store.path}"
                )
            raise StudyFailed(_with_advice("no trial has finished; see why", store))
        return history

    def _executor(self, session: SessionStarted, shared: Any, checkpoints: Checkpoints) -> Executor:
        study = self.study
        if isinstance(study.executor, Executor) and session.executor == executor_name(study.executor):
            call_hook(study.trainable, "attach", shared)
            return study.executor
        if session.executor == "inline":
            from archsearch.search.executors.inline import InlineExecutor

            call_hook(study.trainable, "attach", shared)
            return InlineExecutor(study.trainable, "cuda" if study.gpus else "cpu", study.cpus, checkpoints)
        if not self.settings.ray_log:
            quiet_ray()
        from archsearch.search.executors.ray import RayExecutor

        return RayExecutor(
            self.source.objective,
            sent_to_workers(self.source, shared),
            workers=session.workers,
            cpus=study.cpus,
            gpus=study.gpus,
            checkpoints=checkpoints,
            address=self.settings.address,
            ray_log=self.settings.ray_log,
        )

    def _session_started(self, before: SessionStarted | None) -> SessionStarted:
        """The settings of this session: those given for it, else those of the last session, else of the study."""
        mine, last = self.settings, before or self.study
        stopping = last.stopping.overridden(mine.stopping)
        stopping.check(gpus=self.study.gpus)
        executor = mine.executor or executor_name(last.executor)
        own = isinstance(self.study.executor, Executor) and executor == executor_name(self.study.executor)
        if not own and executor not in EXECUTORS:
            raise SpecError(
                f"the study ran in {executor}, an executor of your own, which is not stored; continue it with "
                'Study.run(resume=True), or choose another: --executor ray, or resume(..., executor="ray")'
            )
        if executor == "inline" and (mine.workers or 1) > 1:
            raise ArgumentError(
                "workers", f"must be 1 in the inline executor, got {mine.workers}; use the ray executor"
            )
        wanted = mine.workers or (last.workers if last.executor == executor else self.study.workers)
        return SessionStarted(
            at=time.time(),
            stopping=stopping,
            workers=1 if own or executor == "inline" else wanted or self._default_workers(stopping.trials),
            executor=executor,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def _default_workers(self, trials: int | None) -> int:
        """As many workers as the cores, or the GPUs if trials use them, allow; never more than there are trials."""
        carried = max(1, (os.cpu_count() or 1) // self.study.cpus)
        if self.study.gpus:
            each = self.study.gpus
            fitting = gpu_count() * int(1 / each) if each < 1 else gpu_count() // int(each)
            carried = max(1, min(carried, fitting))
        return carried if trials is None else min(carried, trials)

    def _check_data(self, store: Store, history: History, shared: Any) -> None:
        """Compare the data with the fingerprint in the store: trials on other data are not comparable."""
        found, kept = call_hook(self.study.trainable, "fingerprint_of", shared), store.meta.get("data")
        if found is None or found == kept:
            return
        if kept is not None:
            raise StoreError(
                f"{store.path}: its trials were trained on data with fingerprint {kept}, but the spec now reads "
                f"different data, {found}; restore the former data, or start a new study in another store"
            )
        if not history.trials:  # a store with trials but no fingerprint was written by an earlier version
            store.note("data", found)

    def _check_gpus(self) -> None:
        if self.study.gpus and self.settings.address is None and (have := gpu_count()) < self.study.gpus:
            raise SpecError(
                f"each trial needs {count(self.study.gpus, 'GPU')}, but this machine has {have}; lower Study(gpus=…)"
            )


def _with_advice(text: str, store: Store) -> str:
    """The text with the command that shows the last failed trial, and with what to do if all trials failed."""
    history = store.history()
    failed = history.in_state("failed")
    trial = f" {failed[-1].number} --log" if failed else ""
    hint = hint_if_all_failed(history, store.path)
    return f"{text}: archsearch show {store.path}{trial}{f'; {hint}' if hint else ''}"


def stored(path: str | Path, settings: Settings, show_progress: ShowProgress | None = None) -> Driver:
    """Create the driver of a stored study, which loads the spec from the store.

    Args:
        path: The store.
        settings: The settings of the new session.
        show_progress: Creates the progress display; None shows nothing.

    Raises:
        StoreError: The store cannot be read.
        SpecError: The stored spec cannot be loaded.
    """
    with Store.open(path) as store:
        meta = store.meta
    source = stored_source(meta, Path(path))
    study = overridden(source.load(), meta["overrides"])
    return Driver(study, source, Path(path), settings, show_progress, meta["overrides"])


def overridden(study: Declaration, overrides: dict[str, Any]) -> Declaration:
    """The study with the values from the command line in place of the spec's."""
    return replace(study, **overrides) if overrides else study


def executor_name(executor: Executor | str) -> str:
    """The name under which the executor is recorded."""
    return executor if isinstance(executor, str) else type(executor).__name__


def store_path(study: Declaration, given: str | Path | None) -> Path:
    """The file of the study's store: `NAME.db` in the current folder unless another file is given."""
    return Path(f"{study.name}.db") if given is None else Path(given)
