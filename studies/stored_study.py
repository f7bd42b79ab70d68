"""A study in its store, read-only: what Python asks after a run, or while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.spaces import ArchsearchError, Config
from archsearch.studies.best import summary, without_best
from archsearch.studies.dataframe import trials_frame
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.notebook import history_html
from archsearch.studies.records import StudyRecord, Trial
from archsearch.studies.store import Store

if TYPE_CHECKING:
    import pandas as pd


def open_study(store: str | Path) -> StoredStudy:
    """Open a study's store to look at it, also while the study runs.

    Nothing is written and no lock is taken, so it never stands in a driver's way. To go on with the study, use
    `resume` or `Study.run(resume=True)`.

    Args:
        store: The `.db` file that the run made.

    Raises:
        StoreError: There is no such file, or it is not a store.

    Example:
        >>> study = open_study("wine.db")
        >>> study.best_config
        >>> study.frame().sort_values("metrics.val_accuracy")
        >>> study.report("wine.html")
    """
    return StoredStudy(store)


class StoredStudy:
    """A study as its store has it at this moment; `open_study` makes one.

    Each attribute reads what was added to the store since the last look, which takes about a millisecond where nothing
    was. For several questions about one moment, take `history` once, and ask that.

    Attributes:
        path: The store.
        name: The study's name.
    """

    def __init__(self, store: str | Path) -> None:
        self.path = Path(store)
        self._history: History | None = None
        self._digest = ""  # of the last event of the history
        with Store.open(self.path) as opened:
            self.name = opened.study.name

    @property
    def history(self) -> History:
        """The study as of now: one immutable value, the same object as long as nothing is added."""
        with Store.open(self.path) as store:
            history = self._history
            # A store that was deleted and made anew has other events.
            if history is None or not history.seq or store.digest(history.seq) != self._digest:
                history = store.history()
            elif added := [*store.events(after=history.seq)]:
                history = history.apply_all(added)
            self._history, self._digest = history, store.digest(history.seq) or ""
        return history

    @property
    def study(self) -> StudyRecord:
        """What was declared: the space, the goals, the strategy and so on."""
        return self.history.study

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials; `trials[n]` is trial number n."""
        return self.history.trials

    @property
    def best(self) -> Trial | None:
        """The finished trial with the best value, as `History.best`; None where there is none yet.

        With several goals, the one that is best in the first goal; `front` has all that are not beaten.
        """
        return self.history.best

    @property
    def front(self) -> list[Trial]:
        """The trials on the Pareto front, by number; with one goal, the best trial alone."""
        return self.history.front

    @property
    def best_value(self) -> float:
        """The value of the best trial: its last report of the metric; with several goals, of the first goal's.

        Raises:
            ArchsearchError: There is no best trial. `best` is None then.
        """
        history = self.history
        return float(history.value(self._best(history)))  # type: ignore[arg-type]  # the best trial has a value

    @property
    def best_config(self) -> Config:
        """The configuration of the best trial: its active parameters.

        Raises:
            ArchsearchError: There is no best trial. `best` is None then.
        """
        return self._best(self.history).config

    def frame(self) -> pd.DataFrame:
        """The trials as a pandas DataFrame, one row each.

        Returns:
            The columns `number`, `state`, `metrics.NAME`, `params.NAME`, `steps`, `duration_s` (of the latest attempt)
            and `reason` (why it was pruned or failed). What a trial does not have is a missing value.
        """
        return trials_frame(self.history)

    def log(self, trial: int) -> str:
        """What a trial printed, over all its attempts, with its traceback where it failed.

        Raises:
            ArchsearchError: There is no trial of this number.
        """
        with Store.open(self.path) as store:
            begun = len(self.history.trials)
            if not 0 <= trial < begun:
                raise ArchsearchError(f"{self.path} has no trial {trial}; it has {count(begun, 'trial')}, from 0 on")
            return store.log(trial)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report: one offline HTML page.

        Args:
            path: The file. Default: the store's name with `.html`, in the current folder, as `archsearch report` does.

        Returns:
            The path of the page.

        Raises:
            ArchsearchError: The file cannot be written.
        """
        from archsearch.studies.reports import write  # loads plotly

        page = Path(f"{self.path.stem}.html") if path is None else Path(path)
        try:
            return write([self.history], page, metadata=[self.made_with])
        except OSError as error:
            raise ArchsearchError(f"cannot write {page}: {error.strerror}; name a file elsewhere") from error

    @property
    def made_with(self) -> dict[str, str]:
        """The machine, the spec's commit and the versions of the packages at the first session, in words."""
        with Store.open(self.path) as store:
            return _in_words(store.meta)

    def _best(self, history: History) -> Trial:
        if history.best is None:
            raise ArchsearchError(f"{self.path} has no best trial: {without_best(history)}")
        return history.best

    def __repr__(self) -> str:
        return f"<StoredStudy {self.path}: {summary(self.history)}>"

    def _repr_html_(self) -> str:
        return history_html(self.history)


def _in_words(meta: Mapping[str, Any]) -> dict[str, str]:
    hardware = meta["hardware"]
    gpus = f", {count(hardware['gpus'], 'GPU')}" if hardware["gpus"] else ""
    cores = count(hardware["cores"], "core")
    facts = {"machine": f"{hardware['processor'] or hardware['machine']}, {cores}{gpus}"}
    if meta["commit"]:
        facts["commit of the spec"] = meta["commit"]
    return {**facts, **meta["versions"]}
