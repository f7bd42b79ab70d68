"""A session of work on a study: store, data, workers, engine, put together and taken apart in order.

`archsearch run`, `archsearch resume`, `Study.run` and `archsearch.resume` all come here.
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
from archsearch.search.engine.interrupts import Interrupts
from archsearch.search.engine.observers import Observers
from archsearch.search.engine.preflight import check_budget, check_goal, check_space, rehearse
from archsearch.search.engine.provenance import gpu_count, origin
from archsearch.search.engine.spec import Source, source_from_json, source_of
from archsearch.search.executors import EXECUTORS, quiet_ray
from archsearch.search.executors.checkpoints import Checkpoints, Clearing
from archsearch.search.protocols import Executor, Progress, ShowProgress, Silent
from archsearch.spaces import SpecError, StoreError, StudyFailed
from archsearch.spaces.errors import unknown
from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted, StudyRecord
from archsearch.studies.store import FORMAT, Store
from archsearch.studies.transfer import best_configs

WARM = 5  # configurations of each earlier study; few, for they come before anything is learnt here


@dataclass(frozen=True)
class Settings:
    """What may change from session to session. None: as the study (or its last session) says."""

    trials: int | None = None
    timeout_s: float | None = None
    workers: int | None = None
    executor: str | None = None
    gpu_hours: float | None = None
    target: float | None = None
    patience: int | None = None
    address: str | None = None  # of an existing Ray cluster; not kept, since it is the machine's and not the study's
    ray_log: bool = False

    def __post_init__(self) -> None:
        if self.executor is not None and self.executor not in EXECUTORS:
            raise SpecError(unknown("executor", self.executor, EXECUTORS))
        for name in ("trials", "workers", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SpecError(f"--{name} must be at least 1, got {value}")
        if self.gpu_hours is not None and not 0 < self.gpu_hours < math.inf:
            raise SpecError(f"--gpu-hours must be above 0, got {self.gpu_hours}")
        if self.target is not None and not math.isfinite(self.target):
            raise SpecError(f"--target must be a finite number, got {self.target}")


@dataclass(frozen=True)
class Driver:
    """A study, where it comes from, its store, and this session's settings."""

    study: Declaration
    source: Source
    store_path: Path
    settings: Settings = Settings()
    show_progress: ShowProgress | None = None  # None: nothing is shown
    overrides: dict[str, Any] = field(default_factory=dict)  # of the command line, over the spec: seed, strategy

    @classmethod
    def from_study(cls, study: Declaration, store: str | Path | None, show_progress: ShowProgress) -> Driver:
        """For a study made in Python."""
        return cls(study, source_of(study), store_path(study, store), show_progress=show_progress)

    def run(self) -> History:
        """Begin the study in a new store. Raises ArchsearchError; KeyboardInterrupt leaves a store to resume."""
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
                return self._work(store, History(record), session)
            except SpecError as error:
                if store.empty:
                    raise
                raise SpecError(f"{error}; delete {store.path} before the next run, it holds nothing else") from error
            finally:
                if store.empty:  # nothing began, so nothing is kept that would stand in the way
                    store.discard()

    def _record(self) -> StudyRecord:
        """The study's, with the best configurations of the studies that warm it up among those it starts with."""
        record = self.study.record()
        start = [*record.start]
        for path in self.study.warm_stores:
            with Store.open(path) as store:
                earlier = store.history()
            if not any(name in record.space for name in earlier.study.space):
                raise SpecError(f"Study warm_start: {path} has no parameter of this space; name another store, or none")
            found = best_configs(earlier, record.space, WARM)
            if not found:
                raise SpecError(f"Study warm_start: no trial of {path} has finished; name another store, or none")
            start += [config for config in found if config not in start]
        return replace(record, start=tuple(start))

    def resume(self) -> History:
        """Go on where the store ends: trials that ran are run again, those that ended are not."""
        with Store.open(self.store_path, write=True) as store:
            history = store.history()
            live = self.study.record().space
            if differences := history.study.space.diff(live):
                lines = "".join(f"\n  {change}" for change in differences)
                raise StoreError(f"{store.path}: the spec now declares another space; run it anew:{lines}")
            # The same space, and with its Python functions, which the store cannot hold.
            history = replace(history, study=replace(history.study, space=live))
            session = self._session_started(history.session_started)
            self._check_extension(history, session)
            if session.trials == len(history.trials) and not self._may_go_on(history):
                return self._checked(history, store)
            return self._work(store, history, session)

    def _may_go_on(self, history: History) -> bool:
        """Are there trials that wait, or would the strategy let one go on that holds?"""
        promote = getattr(self.study.strategy, "promote", None)
        return bool(history.open_trials("waiting", "running") or (promote is not None and promote(history, 1)))

    def _work(self, store: Store, history: History, session: SessionStarted) -> History:
        try:
            return self._search(store, history, session)
        finally:
            self.study.trainable.release()

    def _search(self, store: Store, history: History, session: SessionStarted) -> History:
        # Called in the driver before any worker starts: mistakes in the data show here.
        shared = self.study.trainable.prepare()
        self._check_data(store, history, shared)
        self._check_gpus()
        check_goal(self.study, shared)
        check_budget(self.study, shared)
        warnings = [] if history.trials else [check_space(self.study), rehearse(self.study, shared)]
        checkpoints = Checkpoints.from_store(self.store_path, self.study.checkpoint_every_s)
        clearing = Clearing(checkpoints, history)
        with (
            self._progress(history, session) as progress,
            closing(clearing),
            Observers(self.study.observers, history, progress.warn) as observers,
        ):
            for warning in filter(None, [*warnings, self.source.warning]):
                progress.warn(warning)
            executor = self._executor(session, shared, checkpoints)
            del shared  # Ray's object store holds the data now, and a second copy would stay here

            def commit(after: History, events: Sequence[Event]) -> None:
                store.append(events)
                clearing.after(events)
                progress.show(after, events)
                observers.tell(after, events)

            try:
                with Interrupts() as interrupts:
                    history = Engine(
                        history,
                        replace(session, at=time.time(), workers=executor.capacity),
                        strategy=self.study.strategy,  # type: ignore[arg-type]  # names were resolved at construction
                        pruner=self.study.pruner,  # type: ignore[arg-type]  # likewise
                        executor=executor,
                        commit=commit,
                        retries=self.study.retries,
                        gpus=self.study.gpus,
                        ahead=executor.capacity > 1,
                        interruptible=interrupts.allowed,
                    ).run()
            except StudyFailed as error:
                failed = store.history().in_state("failed")[-1].number
                raise StudyFailed(f"{error}; see its log: archsearch show {store.path} {failed} --log") from error
            finally:
                executor.close()
        return self._checked(history, store)

    def _progress(self, history: History, session: SessionStarted) -> AbstractContextManager[Progress]:
        return Silent() if self.show_progress is None else self.show_progress(self.store_path, history, session)

    def _checked(self, history: History, store: Store) -> History:
        if history.best is None and not history.unfinished:
            if history.in_state("finished"):
                kept = " and ".join(map(str, history.study.outcome_constraints))
                raise StudyFailed(f"no finished trial keeps {kept}; see the nearest: archsearch show {store.path}")
            failed = history.in_state("failed")
            trial = f" {failed[-1].number} --log" if failed else ""
            raise StudyFailed(f"no trial finished; see why: archsearch show {store.path}{trial}")
        return history

    def _executor(self, session: SessionStarted, shared: Any, checkpoints: Checkpoints) -> Executor:
        study = self.study
        if session.executor == "inline":
            from archsearch.search.executors.inline import InlineExecutor

            study.trainable.attach(shared)
            return InlineExecutor(study.trainable, "cuda" if study.gpus else "cpu", study.cpus, checkpoints)
        if not self.settings.ray_log:
            quiet_ray()
        from archsearch.search.executors.ray import RayExecutor

        return RayExecutor(
            self.source.objective,
            shared,
            workers=session.workers,
            cpus=study.cpus,
            gpus=study.gpus,
            checkpoints=checkpoints,
            address=self.settings.address,
            ray_log=self.settings.ray_log,
        )

    def _session_started(self, before: SessionStarted | None) -> SessionStarted:
        """This session's settings: the command's where it gives any, else the last session's, else the study's."""
        mine, last = self.settings, before or self.study
        if mine.gpu_hours is not None and not self.study.gpus:
            raise SpecError("--gpu-hours is for trials that use a GPU, and these use none; give --timeout")
        trials = mine.trials or last.trials
        executor = mine.executor or last.executor
        if executor == "inline" and (mine.workers or 1) > 1:
            raise SpecError(f"the inline executor has one worker, got --workers {mine.workers}; use --executor ray")
        wanted = mine.workers or (last.workers if last.executor == executor else self.study.workers)
        return SessionStarted(
            at=time.time(),
            trials=trials,
            timeout_s=mine.timeout_s or last.timeout_s,
            gpu_hours=mine.gpu_hours or last.gpu_hours,
            target=last.target if mine.target is None else mine.target,
            patience=mine.patience or last.patience,
            workers=1 if executor == "inline" else wanted or self._default_workers(trials),
            executor=executor,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def _default_workers(self, trials: int | None) -> int:
        """As many as the cores carry, or the GPUs where trials want them; never more than there are trials."""
        carried = max(1, (os.cpu_count() or 1) // self.study.cpus)
        if self.study.gpus:
            each = self.study.gpus
            fitting = gpu_count() * int(1 / each) if each < 1 else gpu_count() // int(each)
            carried = max(1, min(carried, fitting))
        return carried if trials is None else min(carried, trials)

    def _check_data(self, store: Store, history: History, shared: Any) -> None:
        """Trials on other data cannot be compared: the store keeps the fingerprint of the first session's."""
        found, kept = self.study.trainable.fingerprint_of(shared), store.meta.get("data")
        if found is None or found == kept:
            return
        if kept is not None:
            raise StoreError(
                f"{store.path}: its trials were trained on data with fingerprint {kept}, and the spec now reads other "
                f"data, {found}; bring the former back, or run the study anew in another store"
            )
        if not history.trials:  # with trials, it is of a version that kept none
            store.note("data", found)

    def _check_gpus(self) -> None:
        if self.study.gpus and self.settings.address is None and (have := gpu_count()) < self.study.gpus:
            raise SpecError(
                f"each trial asks for {self.study.gpus:g} GPUs, this machine has {have}; lower Study(gpus=…)"
            )

    def _check_extension(self, history: History, session: SessionStarted) -> None:
        if session.trials is not None and session.trials < len(history.trials):
            raise SpecError(
                f"--trials is the study's total: {session.trials} asked, and {len(history.trials)} were begun already; "
                f"give at least {len(history.trials)}"
            )


def stored(path: str | Path, settings: Settings, show_progress: ShowProgress | None = None) -> Driver:
    """The driver for a study that has a store: its spec is the one that the store kept."""
    with Store.open(path) as store:
        meta = store.meta
    source = source_from_json(meta["source"])
    study = overridden(source.load(), meta["overrides"])
    return Driver(study, source, Path(path), settings, show_progress, meta["overrides"])


def overridden(study: Declaration, overrides: dict[str, Any]) -> Declaration:
    """The study with the command line's word instead of the spec's."""
    return replace(study, **overrides) if overrides else study


def store_path(study: Declaration, given: str | Path | None) -> Path:
    """Where the study is kept: `NAME.db` in this folder unless another file is given."""
    return Path(f"{study.name}.db") if given is None else Path(given)
