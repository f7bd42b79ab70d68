"""A session of work on a study: its store, data, workers and engine, set up and taken down in order.

`archsearch run`, `archsearch resume`, `Study.run` and `archsearch.resume` all come here.
"""

from __future__ import annotations

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
from archsearch.search.engine.preflight import check_budget, check_goal, check_space, rehearse, setting_warnings
from archsearch.search.engine.provenance import gpu_count, origin
from archsearch.search.engine.spec import Source, source_from_json, source_of
from archsearch.search.executors import EXECUTORS, quiet_ray
from archsearch.search.executors.checkpoints import Checkpoints, Clearing
from archsearch.search.protocols import Executor, Progress, ShowProgress, Silent, Strategy
from archsearch.spaces import SpecError, StoreError, StudyFailed
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.errors import ArgumentError, unknown
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted, StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import FORMAT, Store
from archsearch.studies.transfer import best_configs

WARM = 5  # configurations of each earlier study; few, since they come before anything is learnt about this one

NO_CHANGE = StoppingCriteria()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may change from session to session. None: as in the last session, or as the study declares.

    Attributes:
        stopping: The limits that replace those of the study.
        workers: Trials at a time.
        executor: Where trials run.
        address: Of an existing Ray cluster. It is not kept, since it is the machine's and not the study's.
        ray_log: Let Ray log to the terminal.

    Raises:
        ArgumentError: A setting is invalid.
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


@dataclass(frozen=True)
class Driver:
    """Runs one session of a study.

    Attributes:
        study: What is declared.
        source: Where the study comes from, so that workers and later sessions can load it.
        store_path: Where it is kept.
        settings: What this session has otherwise than the study.
        show_progress: Makes the display; None shows nothing.
        overrides: What the command line gave instead of the spec's `seed` and `strategy`.
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
        """For a study made in Python."""
        return cls(study, source_of(study), store_path(study, store), show_progress=show_progress)

    def run(self) -> History:
        """Run the study in a new store.

        Raises:
            ArchsearchError: What the command line prints as an error.
            KeyboardInterrupt: It was interrupted; `resume` goes on with the store.
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
                return self._work(store, History(record), session)
            except SpecError as error:
                if store.empty:
                    raise
                raise SpecError(f"{error}; delete {store.path} before the next run, it holds nothing else") from error
            finally:
                if store.empty:  # nothing has begun: an empty file would be in the way of the next run
                    store.discard()

    def _record(self) -> StudyRecord:
        """The study's record, which starts with the best configurations of its `warm_start` too."""
        record = self.study.record()
        start = [*record.start]
        for path in self.study.warm_stores:
            with Store.open(path) as store:
                earlier = store.history()
            if not any(name in record.space for name in earlier.study.space):
                raise SpecError(f"warm_start: {path} has no parameter of this space; use another store, or none")
            found = best_configs(earlier, record.space, WARM)
            if not found:
                raise SpecError(f"warm_start: no trial of {path} has finished; use another store, or none")
            start += [config for config in found if config not in start]
        return replace(record, start=tuple(start))

    def run_or_resume(self) -> History:
        """Begin the study, or go on with its store where there is one, as the study is declared now.

        Raises:
            StoreError: The store is of a study that was declared otherwise.
        """
        if not self.store_path.exists():
            return self.run()
        with Store.open(self.store_path, write=True) as store:
            history = store.history()
            if changes := self._changes(history.study):
                lines = "".join(f"\n  {change}" for change in changes)
                raise StoreError(
                    f"{store.path} is of a study that was declared otherwise; name another store, or declare it as it "
                    f"was:{lines}"
                )
            return self._go_on(store, history, self._session_started(None))

    def _changes(self, before: StudyRecord) -> list[str]:
        """What the study declares otherwise than the one in the store, beside the limits and the resources."""
        now = self.study.record()
        changes = [str(change) for change in before.space.diff(now.space)]
        # Those of warm starts come after the study's own, and are as the earlier studies were then.
        start = before.start[: len(now.start)] if self.study.warm_stores else before.start
        before = replace(before, start=start)
        for name in ("aim", "budget", "seed", "repeats", "start", "strategy", "pruner"):
            if getattr(before, name) != getattr(now, name):
                changes.append(f"its {name} is {getattr(now, name)}, and was {getattr(before, name)}")
        return changes

    def resume(self) -> History:
        """Go on where the store ends: trials that were running are started again, those that ended are not."""
        with Store.open(self.store_path, write=True) as store:
            history = store.history()
            if differences := history.study.space.diff(self.study.record().space):
                lines = "".join(f"\n  {change}" for change in differences)
                raise StoreError(f"{store.path}: the spec now declares another space; start a new study:{lines}")
            return self._go_on(store, history, self._session_started(history.session_started))

    def _go_on(self, store: Store, history: History, session: SessionStarted) -> History:
        # The same space, and with its Python functions, which the store cannot hold.
        live = self.study.record().space
        history = replace(history, study=replace(history.study, space=live))
        session.stopping.check(gpus=self.study.gpus, begun=len(history.trials))
        if session.stopping.trials_left(history) == 0 and not self._may_go_on(history):
            return self._checked(history, store)
        return self._work(store, history, session)

    def _may_go_on(self, history: History) -> bool:
        """Do trials wait, or would the strategy let a paused one go on?"""
        strategy: Strategy = self.study.strategy  # type: ignore[assignment]  # a name was resolved at construction
        return bool(history.open_trials("waiting", "running") or strategy.promote(history, 1))

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
        warnings: list[str] = []
        if not history.trials:
            found = (check_space(self.study), rehearse(self.study, shared))
            warnings += [*setting_warnings(self.study, session.stopping.trials), *filter(None, found)]
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
            del shared  # the executor holds the data now; on Ray, this would be a second copy

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
        """This session's settings: those given for it, else the last session's, else the study's."""
        mine, last = self.settings, before or self.study
        stopping = last.stopping.overridden(mine.stopping)
        stopping.check(gpus=self.study.gpus)
        executor = mine.executor or last.executor
        if executor == "inline" and (mine.workers or 1) > 1:
            raise ArgumentError(
                "workers", f"must be 1 in the inline executor, got {mine.workers}; use the ray executor"
            )
        wanted = mine.workers or (last.workers if last.executor == executor else self.study.workers)
        return SessionStarted(
            at=time.time(),
            stopping=stopping,
            workers=1 if executor == "inline" else wanted or self._default_workers(stopping.trials),
            executor=executor,
            host=socket.gethostname(),
            pid=os.getpid(),
        )

    def _default_workers(self, trials: int | None) -> int:
        """As many as the cores carry, or the GPUs if trials use them; never more than there are trials."""
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
                f"data, {found}; restore the former, or start a new study in another store"
            )
        if not history.trials:  # with trials, it is of a version that kept none
            store.note("data", found)

    def _check_gpus(self) -> None:
        if self.study.gpus and self.settings.address is None and (have := gpu_count()) < self.study.gpus:
            raise SpecError(
                f"each trial asks for {count(self.study.gpus, 'GPU')}, this machine has {have}; lower Study(gpus=…)"
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
