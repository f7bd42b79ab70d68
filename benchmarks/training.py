"""What a step of training costs, beside the plain DataLoader loop that tutorials show, in one run on one core.

    python benchmarks/training.py [--rounds 5] [--mnist FOLDER]

Three lines, each with the median of the rounds of both sides, which alternate, and their ratio: digits with two hidden
layers of 128, batch 64, Adam; MNIST (IDX files in FOLDER) with 128 and 64, batch 128, Adam; and digits with two layers
of 32, batch 32, as a stack of 32 trials. Steps a second are of all trials together.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from archsearch import MLP, Data, Supervised, digits, idx
from archsearch.search.protocols import TrialContext


def tutorial(prepared, widths: list[int], batch_size: int, epochs: int) -> int:
    """The loop of torch's own tutorials, with validation after each epoch; returns how many steps it made."""
    train = TensorDataset(torch.tensor(prepared.train.inputs), torch.tensor(prepared.train.targets))
    validation = TensorDataset(torch.tensor(prepared.validation.inputs), torch.tensor(prepared.validation.targets))
    sizes = [math.prod(prepared.inputs.shape), *widths]
    layers = [part for a, b in zip(sizes, widths, strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], prepared.outputs))
    optimizer, loss_of = torch.optim.Adam(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()
    steps = 0
    for _ in range(epochs):
        model.train()
        for inputs, targets in DataLoader(train, batch_size=batch_size, shuffle=True):
            optimizer.zero_grad()
            loss_of(model(inputs), targets).backward()
            optimizer.step()
            steps += 1
        model.eval()
        right = 0
        with torch.no_grad():
            for inputs, targets in DataLoader(validation, batch_size=256):
                right += (model(inputs).argmax(1) == targets).sum().item()
    return steps


def ours(data: Data, widths: list[int], batch_size: int, rows: int, epochs: int) -> Callable[[], int]:
    objective = Supervised(data, MLP(layers=len(widths), units=widths[0]))
    prepared = objective.prepare()
    objective.attach(prepared)
    config = {
        "layers": len(widths), **{f"units_{k}": width for k, width in enumerate(widths, 1)}, "activation": "relu",
        "dropout": 0.0, "norm": "none", "optimizer": "adam", "learning_rate": 1e-3, "batch_size": batch_size,
        "weight_decay": 0.0,
    }  # fmt: skip
    trials = [TrialContext(number, 1, config, epochs, number) for number in range(rows)]
    steps = rows * epochs * math.ceil(len(prepared.train.inputs) / batch_size)

    def run() -> int:
        list(objective.run_stack(trials))
        return steps

    return run


def per_second(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    steps = run()
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mnist", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [("digits 64-128-128-10, batch 64, K = 1", digits(), [128, 128], 64, 1, 20)]
    if options.mnist:
        cases.append(("MNIST 784-128-64-10, batch 128, K = 1", idx(options.mnist), [128, 64], 128, 1, 1))
    cases.append(("digits 64-32-32-10, batch 32, K = 32", digits(), [32, 32], 32, 32, 10))
    print(f"{'':<40}{'ours':>9}{'tutorial':>10}{'ratio':>8}   steps a second, medians of {options.rounds}")
    for name, data, widths, batch_size, rows, epochs in cases:
        run, prepared = ours(data, widths, batch_size, rows, epochs), data.prepare()
        found: dict[str, list[float]] = {"ours": [], "tutorial": []}
        for _ in range(options.rounds):
            found["ours"].append(per_second(run))
            found["tutorial"].append(per_second(partial(tutorial, prepared, widths, batch_size, epochs)))
        mine, theirs = (statistics.median(found[side]) for side in ("ours", "tutorial"))
        print(f"{name:<40}{mine:>9,.0f}{theirs:>10,.0f}{mine / theirs:>8.2f}")


if __name__ == "__main__":
    main()
