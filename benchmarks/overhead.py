"""What a trial costs beside its own work: a no-op objective, 500 trials on two Ray workers, everything stored.

    python benchmarks/overhead.py [--trials 500] [--rounds 3] [--peers]

Prints the median milliseconds a trial from the first proposal to the last end, by the store's own stamps; the start of
Ray is not in it. With --peers, Optuna with its SQLite storage (in one process) runs in turn with it on the same
machine, and the ratio of the medians is printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from archsearch import Float, Int, Random, Space, Study
from archsearch.studies.records import Ended, Proposed
from archsearch.studies.store import Store


def nothing(trial) -> dict[str, float]:
    return {"loss": trial.config["x"]}


def ours(trials: int, folder: Path) -> float:
    """Milliseconds a trial."""
    study = Study(
        name="noop",
        space=Space(x=Float(0, 1), y=Float(1e-5, 1e-1, log=True), depth=Int(1, 8)),
        objective=nothing,
        minimize="loss",
        strategy=Random(),
        trials=trials,
        workers=2,
    )
    study.run(folder / "noop.db", quiet=True)
    with Store.open(folder / "noop.db") as store:
        events = list(store.events())
    first = next(event.at for event in events if isinstance(event, Proposed))
    last = max(event.at for event in events if isinstance(event, Ended))
    return (last - first) / trials * 1e3


def optuna_sqlite(trials: int, folder: Path) -> float:
    """Milliseconds a trial of Optuna's own loop with its random sampler and SQLite storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'optuna.db'}", sampler=optuna.samplers.RandomSampler(seed=0)
    )

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("y", 1e-5, 1e-1, log=True)
        trial.suggest_int("depth", 1, 8)
        return trial.suggest_float("x", 0, 1)

    began = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return (time.perf_counter() - began) / trials * 1e3


def measured(trials: int, rounds: int, peers: bool) -> Iterator[tuple[str, float]]:
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="archsearch-overhead-") as folder:
            yield "archsearch", ours(trials, Path(folder))
            if peers:
                yield "optuna", optuna_sqlite(trials, Path(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", action="store_true")
    arguments = parser.parse_args()
    figures: dict[str, list[float]] = {}
    for name, milliseconds in measured(arguments.trials, arguments.rounds, arguments.peers):
        figures.setdefault(name, []).append(milliseconds)
        print(f"{name:10} {milliseconds:7.2f} ms a trial", flush=True)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print("median:", ", ".join(f"{name} {value:.2f} ms" for name, value in medians.items()))
    if arguments.peers:
        print(f"ratio archsearch / optuna: {medians['archsearch'] / medians['optuna']:.3f}")


if __name__ == "__main__":
    main()
