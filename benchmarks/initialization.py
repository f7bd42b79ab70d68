"""How much does the start of the weights matter? 784-256-128-10 on MNIST, as a table for the docs.

    python benchmarks/initialization.py MNIST_FOLDER [--epochs 5] [--seeds 5]

For each start: the accuracy on the official test part after that many epochs (mean, and the lowest and highest of the
seeds), the training loss at the end, and the seconds that an epoch takes. The seeds train as one stack, so the seconds
are those of all of them together. SGD with momentum 0.9, learning rate 0.05, batch 128, ReLU; nothing was searched for,
so looking at the test part gives nothing away.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from archsearch import MLP, Prepared, Recipe, Split, Supervised, idx
from archsearch.search.protocols import TrialContext

INITIALIZATIONS = ("zeros", "small_normal", "xavier", "he", "orthogonal")


class Tested:
    """Data whose validation part is the official test part."""

    def __init__(self, folder: Path) -> None:
        prepared = idx(folder, split=Split(validation=0.1)).prepare()
        self.prepared = replace(prepared, validation=prepared.test)

    def prepare(self) -> Prepared:
        return self.prepared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = Tested(options.folder)
    print(f"| start | accuracy after {options.epochs} epochs | lowest … highest | training loss | seconds an epoch |")
    print("| --- | --- | --- | --- | --- |")
    for start in INITIALIZATIONS:
        network = MLP(layers=2, units=256, initialization=start)
        objective = Supervised(data, network, Recipe(optimizer="sgd", learning_rate=0.05, batch_size=128))
        objective.attach(objective.prepare())
        config = {
            "layers": 2, "units_1": 256, "units_2": 128, "activation": "relu", "dropout": 0.0, "norm": "none",
            "initialization": start, "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9, "batch_size": 128,
            "weight_decay": 0.0,
        }  # fmt: skip
        started = time.perf_counter()
        *_, last = objective.run_stack(
            [TrialContext(seed, 1, config, options.epochs, seed) for seed in range(options.seeds)]
        )
        seconds = (time.perf_counter() - started) / options.epochs
        scores = [row["val_accuracy"] for row in last]
        loss = sum(row["train_loss"] for row in last) / len(last)
        spread = f"{min(scores):.2%} … {max(scores):.2%}"
        print(f"| {start} | {sum(scores) / len(scores):.2%} | {spread} | {loss:.3f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
