"""Study: the declaration of a search, and the functions that run and resume it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.search.declaration import Declaration, loading_spec
from archsearch.spaces import SpecError, StoreError
from archsearch.spaces.argument_checks import file_path
from archsearch.studies.stopping_criteria import StoppingCriteria

if TYPE_CHECKING:
    from pathlib import Path

    from archsearch.search.engine.driver import Driver
    from archsearch.studies.history import History


@dataclass(frozen=True, kw_only=True)
class Study(Declaration):
    """A search: what to optimize, in which space, how and for how long.

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
        name: The name of the study, and of its store: `NAME.db`.
        objective: A `Supervised` or another `Objective`, or a function of the trial. The function is a generator that
            yields metrics, or it reports them with `trial.report`, or it returns them. In a study with one goal, it may
            give plain numbers.
        shared: A function without arguments that loads the data for an objective that is a function. It is called once,
            by the driver. Each trial gets what it returned as `trial.shared`; arrays are in memory once per machine.
        space: The search space. Omit it if the objective has its own.
        constraints: Constraints on parameters, in addition to those of the space, such as
            `[constraint("units_1 >= units_2")]`.
        maximize: The metric to maximize, or a list of metrics. If there is more than one goal, `history.front` is the
            Pareto front, and `history.best` is the trial of the front that is best in the first goal.
        minimize: The metric to minimize, or a list of metrics. The goals of `maximize` come before those of `minimize`.
        outcome_constraints: Conditions on the metrics that the best trial must satisfy, such as
            `["parameters < 1e6"]`.
        strategy: The strategy that chooses configurations: an object such as `TPE()`, or its name on the command line.
            The default, `Auto`, chooses one of the others according to the study.
        pruner: The pruner that stops trials early: an object such as `Median()`, or its name. By default none, as any
            pruner may stop a trial that would have improved late.
        trials: The total number of trials. None: no limit.
        timeout: The total time to work on the study: a text with units such as "90s", "20m" or "1h30m", or a number of
            seconds. None: no limit.
        gpu_hours: The total hours that trials may use GPUs, summed over trials and GPUs. None: no limit.
        target: The study ends when the best value of the first goal is at least as good as this. None: no limit.
        patience: The study ends when this many trials in a row have ended without a new best trial. None: no limit.
        budget: The number of reports (epochs or folds) of a full trial. None: a trial ends when its objective returns.
        seed: The seed of all random choices. The default is fixed, so that a spec always gives the same search.
        workers: The number of trials that run at the same time. None: as many as the CPU cores or GPUs allow.
        cpus: The number of CPU cores per trial.
        gpus: The number of GPUs per trial. With a fraction, trials share a GPU.
        retries: How many times a trial is started again after its worker died, from its last checkpoint if it has one.
        start: Configurations to evaluate first, such as your current one. Missing parameters are filled in.
        warm_start: The store of an earlier study, or a list of stores, whose best configurations are evaluated after
            those of `start`. If the spaces differ, the configurations are adapted.
        repeats: The number of seeds under which a promising configuration is trained: one whose mean no other
            configuration exceeds so far. The best trial is then the one with the best mean, not the luckiest one.
        checkpoint_every: The minimum time between two checkpoints of a trial (by `trial.save`; `Supervised` saves
            checkpoints itself), a duration like `timeout`. It limits the work that is lost when a worker dies; the
            default of one minute costs almost no time. 0: at each `trial.save`. None: no checkpoints.
        executor: "ray", or "inline" to run trials in this process, one at a time; or an `Executor` of your own, which
            is not stored: such a study is continued by `run(resume=True)`, or with another executor by `resume`.
        observers: Objects whose methods are called for each event; see `Observer`. They are called in the driver only.
            The store of a study that was created in a notebook keeps them for `resume`, if they can be pickled.

    Raises:
        SpecError: The declaration is invalid; `ArgumentError` if a single argument has the wrong type or value.
    """

    def run(self, store: str | Path | None = None, *, resume: bool = False, quiet: bool = False) -> History:
        """Run the study to its end, as `archsearch run` does.

        Args:
            store: The file to store the study in. Default: `NAME.db` in the current folder.
            resume: If the store exists, continue with it instead of raising an error, so that a cell or a script can be
                run again. The declaration must be the same, except for the limits, which are the new totals, the
                workers and the executor. Code is not compared: the remaining trials use the current code.
            quiet: Show no progress.

        Returns:
            The history: all trials, including those of earlier sessions.

        Raises:
            StoreError: The store exists and `resume` is False, or it belongs to a study that was declared differently.
            ArgumentError: `store` is not a path.
            ArchsearchError: Any other error that the command line would print.
            KeyboardInterrupt: After Ctrl-C, once everything is stored; how to continue is printed to stderr.
        """
        if loading_spec.get():
            raise SpecError(
                "the spec calls study.run() while it is being loaded; put it under if __name__ == '__main__':"
            )
        # Not at the top: workers load the spec too, and do not need the driver.
        from archsearch.search.cli.display import progress
        from archsearch.search.engine.driver import Driver
        from archsearch.studies.best import hint_if_all_failed
        from archsearch.studies.store import StoreExistsError
        from archsearch.studies.stored_study import open_study

        path = None if store is None else file_path(store, "store")
        driver = Driver.from_study(self, path, progress(quiet=quiet))
        given = "" if path is None else f"{str(path)!r}, "
        try:
            return _work(driver, driver.run_or_resume if resume else driver.run, f"study.run({given}resume=True)")
        except StoreExistsError as error:
            hint = hint_if_all_failed(open_study(error.path).history, error.path)
            usual = "continue it: study.run(resume=True), or use another file: study.run(store=...)"
            raise StoreError(f"{error}; {hint or usual}") from None

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
        """The limits of the study and its trials that are set."""
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
    """Continue a study after any kind of stop, or extend it.

    Args:
        store: The store of the study.
        trials, timeout, gpu_hours, target, patience: The limits of the study, as in `Study`. They are totals over all
            sessions, not additions. None: as before.
        workers: The number of trials that run at the same time. None: as before.
        executor: "ray" or "inline". None: as before.
        address: The address of an existing Ray cluster, `HOST:PORT` or "auto".
        quiet: Show no progress.

    Returns:
        The history of the study.

    Raises:
        ArgumentError: An argument is invalid; the store was not changed.
        ArchsearchError: Any error that the command line would print.
        KeyboardInterrupt: After Ctrl-C, once everything is stored; how to continue is printed to stderr.
    """
    from archsearch.search.cli.display import progress
    from archsearch.search.engine.driver import Settings, stored

    limits = {"trials": trials, "timeout": timeout, "gpu_hours": gpu_hours, "target": target, "patience": patience}
    path = file_path(store, "store")
    stopping = StoppingCriteria.from_arguments(limits)
    settings = Settings(stopping=stopping, workers=workers, executor=executor, address=address)
    driver = stored(path, settings, progress(quiet=quiet))
    return _work(driver, driver.resume, f"archsearch.resume({str(path)!r})")


def _work(driver: Driver, session: Callable[[], History], call: str) -> History:
    """Run a session of the driver; if it is interrupted, print the `call` that continues it."""
    from archsearch.search.engine.interrupts import interruption

    try:
        return session()
    except KeyboardInterrupt as error:
        print(interruption(driver.store_path, call, f"archsearch resume {driver.store_path}"), file=sys.stderr)
        # Where the engine was interrupted says nothing to the user.
        raise error.with_traceback(None) from None
