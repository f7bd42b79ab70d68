"""What does one hour of search on two cores find on MNIST? Its test accuracy is measured once, at the end.

    python benchmarks/mnist_hour.py MNIST_FOLDER mlp [--hours 1] [--workers 2] [--store FILE]

The search sees 54,000 images to train on and 6,000 to validate by. The configuration with the best validation accuracy
is then trained anew on all 60,000, for as many epochs and with the seed of its trial, and only that network is shown
the 10,000 of the official test part. A store that exists is resumed, with the hours as its total.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import archsearch
from archsearch import (
    CNN,
    MLP,
    TPE,
    Choice,
    Config,
    Data,
    Float,
    Int,
    Prepared,
    Recipe,
    Split,
    Study,
    SuccessiveHalving,
    Supervised,
    idx,
)
from archsearch.search.engine.engine import trial_seed
from archsearch.search.protocols import TrialContext
from archsearch.search.training.data.prepared import Part

NETWORKS = {
    "mlp": MLP(
        layers=Int(2, 3),
        units=Choice(256, 512, 768, 1024, ordered=True),
        shape="constant",
        activation=Choice("relu", "gelu", "silu"),
        norm=Choice("none", "batch"),
        dropout=Float(0.0, 0.5),
    ),
    "cnn": CNN(
        blocks=Int(2, 3),
        channels=Choice(16, 24, 32, ordered=True),
        convolutions=Int(1, 2),
        pooling=Choice("max", "stride"),
        norm="batch",
        head=Choice("average", "flatten"),
        dense_layers=Int(0, 1),
        units=Choice(64, 128, ordered=True),
        dropout=Float(0.0, 0.5),
    ),
}
BUDGET_EPOCHS = 16


def study_of(folder: Path, family: str, timeout_s: float, workers: int) -> Study:
    """Two cores, by default, of one worker each; as many trials as the time gives."""
    recipe = Recipe(
        learning_rate=Float(5e-4, 1e-2, log=True),
        batch_size=Choice(64, 128, 256, ordered=True),
        weight_decay=Float(1e-4, 1e-1, log=True),
        schedule=Choice("cosine", "one_cycle"),
        shift=Int(0, 2),  # pixels
        rotation=Float(0.0, 15.0),  # degrees
    )
    return Study(
        name=f"mnist-hour-{family}",
        objective=Supervised(data_of(folder), NETWORKS[family], recipe),
        maximize="val_accuracy",
        strategy=TPE(),
        pruner=SuccessiveHalving(min_steps=2),
        trials=None,
        timeout=timeout_s,
        budget=BUDGET_EPOCHS,
        workers=workers,
    )


def data_of(folder: Path) -> Data:
    return idx(folder, split=Split(validation=0.1))


class Whole:
    """Trains on the training and validation parts, and is measured on the test part."""

    def __init__(self, data: Data) -> None:
        found = data.prepare()
        pairs = zip(*((part.inputs, part.targets) for part in (found.train, found.validation)), strict=True)
        inputs, targets = map(np.concatenate, pairs)
        self.prepared = replace(found, train=Part(inputs, targets), validation=found.test)

    def prepare(self) -> Prepared:
        return self.prepared


def test_accuracy(study: Study, folder: Path, config: Config, number: int) -> float:
    """Of the chosen configuration, trained anew."""
    objective = Supervised(Whole(data_of(folder)), study.objective.network, study.objective.recipe)
    objective.attach(objective.prepare())
    trial = TrialContext(number, 1, dict(config), BUDGET_EPOCHS, trial_seed(study.seed, number))
    *_, last = objective(trial)
    return last["val_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("family", choices=NETWORKS)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    study = study_of(options.folder, options.family, options.hours * 3600, options.workers)
    store = options.store or Path(f"{study.name}.db")
    history = archsearch.resume(store, timeout=options.hours * 3600) if store.exists() else study.run(store)
    ended = [len(history.in_state(state)) for state in ("finished", "pruned", "failed")]
    print(f"{len(history.trials)} trials: {ended[0]} finished, {ended[1]} pruned, {ended[2]} failed")
    best = history.best
    if best is None:
        raise SystemExit("no trial finished within the time; give it more --hours")
    print(f"best on validation: trial {best.number}, {history.value(best):.2%}: {dict(best.config)}", flush=True)
    print(f"test accuracy, measured once: {test_accuracy(study, options.folder, best.config, best.number):.2%}")


if __name__ == "__main__":
    main()
