"""Study: what a spec file makes, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archsearch.search.declaration import Declaration, loading_spec
from archsearch.spaces import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from archsearch.studies.history import History


@dataclass(frozen=True, kw_only=True)
class Study(Declaration):
    """What to search, how, and for how long.

    name: also the store's file name, `NAME.db`.
    objective: a `Supervised` or another `Objective`, or a function of the trial: a generator that yields metrics, or
        one that reports them with `trial.report`, or returns them. In a study with one metric, a number will do.
    shared: for a function as objective, a function of no arguments that loads its data: called once, by the driver.
        Every trial has what it returned as `trial.shared`, whose arrays lie once in a machine's memory.
    space: what may vary; an objective that carries its own space needs none.
    constraints: what its parameters may not combine, `[constraint("units_1 >= units_2")]`, beside the space's own.
    maximize, minimize: the metric that the study is about, or a list of several; then there is no one best trial but a
        front of them, `history.front`, of which `history.best` is the one that is best in the first goal.
    outcome_constraints: what a trial's metrics must keep to count among the best, such as ["parameters < 1e6"].
    strategy, pruner: objects, or names as on the command line. Default: Auto, which chooses among the others by
        what the study shows, and no pruning, which cannot throw a late bloomer away.
    trials: how many configurations, in total. None: until the time-out.
    timeout: how long to work on the study in total, e.g. "20m", "1h30m", or seconds. None: until the trials are done.
    gpu_hours: how long its trials may use GPUs in total, summed over them.
    target: it ends once the first goal's value is as good as this.
    patience: it ends once so many trials in a row have ended without one that is better than all before.
    budget: reports (epochs, or folds) of a full trial. None: a trial ends when its objective does.
    seed: of every random choice. The default is fixed, so that a spec file means one search.
    workers: trials at a time. None: as many as the cores (or GPUs) carry.
    cpus, gpus: what each trial uses; a fraction of a GPU is shared.
    retries: how often a trial whose worker died is started again, from its last checkpoint where it has one.
    start: configurations that are tried first, such as the one in use today.
    warm_start: stores of earlier studies, one or a list, whose best configurations are tried after `start`. Their
        spaces may differ: what does not fit is brought into this one.
    repeats: under so many seeds a promising configuration is trained: one that no other beats by its mean so far. The
        study's best is that of the best mean, not the one with the luckiest seed.
    checkpoint_every: a trial keeps its state (`trial.save`; a `Supervised` does by itself) at most so often, which
        bounds what a dead worker or driver costs. A minute is next to nothing of a trial that it would hurt to lose.
        0: whenever it is saved; None: never.
    executor: "ray", or "inline" for this process.
    observers: objects that are told what happens, see `Observer`. They are called in the driver alone. The store of a
        study made in a notebook keeps them for a resume; it leaves out, with a warning, what does not pickle.

    Raises SpecError for whatever cannot be meant.
    """

    def run(self, store: str | Path | None = None, *, quiet: bool = False) -> History:
        """Run the study to its end, as `archsearch run` does; returns its history.

        store: the file to keep it in, `NAME.db` here by default. An existing one is not overwritten:
            `archsearch.resume` goes on with it. Raises ArchsearchError as the command line would print it.
        """
        if loading_spec.get():
            raise SpecError(
                "the spec calls study.run() while it is being loaded; put it under if __name__ == '__main__':"
            )
        # Here and not above: a worker loads the spec too, and drives nothing.
        from archsearch.search.cli.display import progress
        from archsearch.search.engine.driver import Driver

        return Driver.from_study(self, store, progress(quiet=quiet)).run()


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
    """Go on with a study after any kind of stop, or extend it; returns its history.

    trials, timeout, gpu_hours, target, patience: the study's new totals and limits. All that is None stays as it was.
    Raises ArchsearchError.
    """
    from archsearch.search.cli.display import progress
    from archsearch.search.declaration import duration_s
    from archsearch.search.engine.driver import Settings, stored

    settings = Settings(trials, duration_s(timeout), workers, executor, gpu_hours, target, patience, address)
    return stored(store, settings, progress(quiet=quiet)).resume()
