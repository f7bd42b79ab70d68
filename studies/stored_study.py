"""Read-only access to a stored study from Python, after a run or during it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.spaces import ArchsearchError, Config
from archsearch.spaces.argument_checks import file_path
from archsearch.studies.best import best_of, summary, value_of_best
from archsearch.studies.dataframe import trials_frame
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.notebook import history_html
from archsearch.studies.records import StudyRecord, Trial
from archsearch.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd


def open_study(store: str | Path) -> StoredStudy:
    """Open the store of a study for reading, also while the study runs.

    Nothing is written and no lock is taken, so a running study is not affected. To continue a study, use `resume` or
    `Study.run(resume=True)`.

    Args:
        store: The `.db` file of the study.

    Returns:
        The study, with its trials and results.

    Raises:
        StoreError: The file does not exist or is not a store.
        ArgumentError: `store` is not a path.

    Example:
        study = open_study("wine.db")
        study.best_config
        study.frame().sort_values("metrics.val_accuracy")
        study.report("wine.html")
    """
    return StoredStudy(store)


class StoredStudy:
    """A study in its store, as returned by `open_study`.

    Each attribute first reads the events that were added to the store in the meantime, which takes about a millisecond
    if there are none. For several values of the same moment, use `history`, which is immutable.

    Args:
        store: The `.db` file of the study.

    Attributes:
        path: The file of the store.
        name: The name of the study.

    Raises:
        StoreError: The file does not exist or is not a store.
    """

    def __init__(self, store: str | Path) -> None:
        self.path = file_path(store, "store")
        self._history: History | None = None
        self._digest = ""  # of the last event of the history
        with Store.open(self.path) as opened:
            self.name = opened.study.name

    @property
    def history(self) -> History:
        """The current history: an immutable value, and the same object as long as there are no new events."""
        with Store.open(self.path) as store:
            history = self._history
            # If the store was replaced, its events differ from those of the history.
            if history is None or not history.seq or store.digest(history.seq) != self._digest:
                history = store.history()
            elif added := [*store.events(after=history.seq)]:
                history = history.apply_all(added)
            self._history, self._digest = history, store.digest(history.seq) or ""
        return history

    @property
    def study(self) -> StudyRecord:
        """The declaration of the study: space, goals, strategy and so on."""
        return self.history.study

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials; `trials[n]` is trial number n."""
        return self.history.trials

    @property
    def best(self) -> Trial | None:
        """The feasible finished trial with the best value; None if there is none.

        With several goals, this is the best trial for the first goal; see `front` for the Pareto front.
        """
        return self.history.best

    @property
    def front(self) -> list[Trial]:
        """The trials of the Pareto front, sorted by number; with one goal, the best trial."""
        return self.history.front

    @property
    def best_value(self) -> float:
        """The value of the best trial for the first goal: the last reported value of its metric.

        Raises:
            ArchsearchError: There is no best trial.
        """
        return value_of_best(self.history, str(self.path))

    @property
    def best_config(self) -> Config:
        """The configuration of the best trial: the values of its active parameters.

        Raises:
            ArchsearchError: There is no best trial.
        """
        return best_of(self.history, str(self.path)).config

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas DataFrame.

        Returns:
            One row per trial with the columns `number`, `state`, `metrics.NAME`, `params.NAME`, `steps`, `duration_s`
            (of the latest attempt) and `reason` (why it was pruned or failed). Metrics that were not reported and
            parameters that are inactive are missing values.
        """
        return trials_frame(self.history)

    def log(self, trial: int) -> str:
        """The output of a trial over all of its attempts, including the traceback of an error.

        Args:
            trial: The number of the trial.

        Raises:
            ArchsearchError: There is no trial with this number.
        """
        with Store.open(self.path) as store:
            total = len(self.history.trials)
            if not 0 <= trial < total:
                raise ArchsearchError(f"{self.path} has no trial {trial}; it has {count(total, 'trial')}, from 0 on")
            return store.log(trial)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report as one HTML file that works offline.

        Args:
            path: The file. By default the name of the store with `.html`, in the current folder, as with
                `archsearch report`.

        Returns:
            The path of the file.

        Raises:
            ArchsearchError: The file cannot be written.
        """
        from archsearch.studies.reports import write  # loads plotly

        page = Path(f"{self.path.stem}.html") if path is None else Path(path)
        try:
            return write([self.history], page, metadata=[self.made_with])
        except OSError as error:
            raise ArchsearchError(f"cannot write {page}: {error.strerror}; choose another file") from error

    @property
    def made_with(self) -> dict[str, str]:
        """The machine, the data, the commit of the spec and the versions of packages of the first session, as text."""
        with Store.open(self.path) as store:
            return _provenance(store.meta)

    def __repr__(self) -> str:
        return f"<StoredStudy {self.path}: {summary(self.history)}>"

    def _repr_html_(self) -> str:
        return history_html(self.history)


def _provenance(meta: Mapping[str, Any]) -> dict[str, str]:
    hardware = meta["hardware"]
    gpus = f", {count(hardware['gpus'], 'GPU')}" if hardware["gpus"] else ""
    cores = count(hardware["cores"], "core")
    facts = {"machine": f"{hardware['processor'] or hardware['machine']}, {cores}{gpus}"}
    if "data summary" in meta:
        facts["data"] = meta["data summary"]
    if meta["commit"]:
        facts["commit of the spec"] = meta["commit"]
    return {**facts, **meta["versions"]}
