"""Study: what a spec file makes, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.search.declaration import Declaration, loading_spec
from archsearch.spaces import SpecError, StoreError
from archsearch.studies.stopping_criteria import StoppingCriteria

if TYPE_CHECKING:
    from pathlib import Path

    from archsearch.studies.history import History


@dataclass(frozen=True, kw_only=True)
class Study(Declaration):
    """What to search, how, and for how long.

    Example:
        >>> from archsearch import Float, Space, Study
        >>> study = Study(
        ...     name="quadratic",
        ...     objective=lambda trial: {"loss": (trial.config["x"] - 0.3) ** 2},
        ...     space=Space(x=Float(0, 1)),
        ...     minimize="loss",
        ...     trials=20,
        ...     executor="inline",
        ... )

    Args:
        name: Of the study, and of its store: `NAME.db`.
        objective: A `Supervised` or another `Objective`, or a function of the trial: a generator that yields metrics,
            or one that reports them with `trial.report`, or returns them. With one goal, a number will do.
        shared: For a function as objective: a function of no arguments that loads its data. The driver calls it once.
            Every trial has what it returned as `trial.shared`; arrays are held once in a machine's memory.
        space: What may vary. An objective that carries its own space needs none.
        constraints: Combinations of parameters that are allowed, beside the space's own, such as
            `[constraint("units_1 >= units_2")]`.
        maximize: The metric to maximize, or a list of several. With more than one goal in all there is a Pareto front,
            `history.front`; `history.best` is the trial of the front that is best in the first goal.
        minimize: The metric to minimize, or a list of several. Goals of `maximize` come before those of `minimize`.
        outcome_constraints: What a trial's metrics must satisfy to count among the best, such as
            `["parameters < 1e6"]`.
        strategy: Chooses configurations: an object such as `TPE()`, or a name as on the command line. The default,
            `Auto`, chooses among the others by what it learns about the study.
        pruner: Stops trials early: an object such as `Median()`, or a name. None stops none: a pruner may stop a trial
            that would have improved late.
        trials: How many configurations are tried in total. None: no such limit.
        timeout: How long to work on the study in total: a text with units such as "90s", "20m" or "1h30m", or a number
            of seconds. None: no such limit.
        gpu_hours: How many hours its trials may use GPUs in total, summed over trials and GPUs. None: no such limit.
        target: The study ends once the best value of the first goal is as good as this. None: no such limit.
        patience: The study ends once so many trials in a row have ended without a new best one. None: no such limit.
        budget: How many reports (epochs, or folds) a full trial makes. None: a trial ends when its objective does.
        seed: Of every random choice. The default is fixed, so that a spec file always means the same search.
        workers: Trials at a time. None: as many as the cores, or GPUs, carry.
        cpus: Cores that each trial uses.
        gpus: GPUs that each trial uses; with a fraction, trials share one.
        retries: How often a trial is started again whose worker died; from its last checkpoint, if it has one.
        start: Configurations to try first, such as the one in use today. What one leaves out is filled in.
        warm_start: Stores of earlier studies, one or a list, whose best configurations are tried after `start`. Their
            spaces may differ: configurations are adapted to this one.
        repeats: With how many seeds a promising configuration is trained: one that no other beats by its mean so far.
            The best trial then is the one with the best mean, not the one with the luckiest seed.
        checkpoint_every: How often a trial keeps its state at most (with `trial.save`; a `Supervised` does it by
            itself), as a duration like `timeout`. It bounds what a dead worker costs; writing once a minute costs next
            to nothing. 0: whenever it is saved. None: never.
        executor: "ray", or "inline" to run trials in this process, one at a time.
        observers: Objects whose methods are called with what happens; see `Observer`. They are called in the driver
            only. The store of a study made in a notebook keeps them for a resume, but for those that cannot be pickled.

    Raises:
        SpecError: Something is invalid; an `ArgumentError` for a single argument of a wrong type or value.
    """

    def run(self, store: str | Path | None = None, *, resume: bool = False, quiet: bool = False) -> History:
        """Run the study to its end, as `archsearch run` does.

        Args:
            store: The file to keep it in. Default: `NAME.db` in the current folder.
            resume: Go on with the store where it exists, instead of raising, so that a cell or a script may be run
                again. The study must be declared as it was, except for its limits, which are the new totals, and its
                workers and executor. Code is not compared: trials that are yet to run use it as it is now.
            quiet: Show no progress.

        Returns:
            The history: all trials, of earlier sessions too.

        Raises:
            StoreError: The store exists and `resume` is False, or it is of a study that was declared otherwise.
            ArchsearchError: Whatever else the command line would print.
        """
        if loading_spec.get():
            raise SpecError(
                "the spec calls study.run() while it is being loaded; put it under if __name__ == '__main__':"
            )
        # Here and not above: a worker loads the spec too, and drives nothing.
        from archsearch.search.cli.display import progress
        from archsearch.search.engine.driver import Driver
        from archsearch.studies.store import StoreExistsError

        driver = Driver.from_study(self, store, progress(quiet=quiet))
        try:
            return driver.run_or_resume() if resume else driver.run()
        except StoreExistsError as error:
            raise StoreError(
                f"{error}; go on with it: study.run(resume=True), or name another file: study.run(store=...)"
            ) from error

    def __repr__(self) -> str:
        limits = ", ".join(f"{name}={value!r}" for name, value in self._limits().items())
        return f"<Study {self.name}, {self.record().aim}: {self.strategy!r}, {limits}>"

    def _repr_html_(self) -> str:
        from archsearch.studies.notebook import facts_html, table_html

        record = self.record()
        facts = {
            "goals" if len(self.goals) > 1 else "goal": record.aim,
            "strategy": record.strategy,
            "pruner": record.pruner,
            **self._limits(),
        }
        domains = [(parameter.name, parameter.domain) for parameter in record.space.free]
        return facts_html(self.name, facts) + table_html(("parameter", "domain"), domains)

    def _limits(self) -> dict[str, object]:
        """What ends the study and its trials, as far as it is given."""
        names = ("trials", "timeout", "gpu_hours", "target", "patience", "budget")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def resume(
    store: str | Path,
    *,
    trials: int | None = None,
    timeout: str | float | None = None,
    gpu_hours: float | None = None,
    target: float | None = None,
    patience: int | None = None,
    workers: int | None = None,
    executor: str | None = None,
    address: str | None = None,
    quiet: bool = False,
) -> History:
    """Go on with a study after any kind of stop, or extend it.

    Args:
        store: The file of the study.
        trials, timeout, gpu_hours, target, patience: What ends the study, as in `Study`: totals over all sessions, not
            additions. None: as before.
        workers: Trials at a time. None: as before.
        executor: "ray" or "inline". None: as before.
        address: Of an existing Ray cluster, `HOST:PORT` or "auto".
        quiet: Show no progress.

    Returns:
        The history of the study.

    Raises:
        ArgumentError: An argument is invalid. Nothing has been written then.
        ArchsearchError: What the command line would print as an error.
    """
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import Settings, stored

    limits = {"trials": trials, "timeout": timeout, "gpu_hours": gpu_hours, "target": target, "patience": patience}
    stopping = StoppingCriteria.from_arguments(limits)
    settings = Settings(stopping=stopping, workers=workers, executor=executor, address=address)
    return stored(store, settings, progress(quiet=quiet)).resume()
