"""What a look ahead costs: counting a network, rehearsing a few before a run, checking a thousand configurations.

    python benchmarks/preflight.py [--rounds 100] [--samples 1000]

Prints medians for an MLP of three hidden layers, and the seconds of a check of MLPs with one to four. The first network
is told apart: torch loads its compiler for the meta device.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from archsearch import MLP, Choice, Float, Inputs, Int, Random, Recipe, Study, Supervised, digits
from archsearch.search.engine.preflight import preflight, rehearse
from archsearch.spaces.networks.costs import costs
from archsearch.spaces.networks.rehearsal import build_single


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def study() -> Study:
    network = MLP(
        layers=Int(1, 4),
        units=Choice(32, 64, 128, 256),
        activation=Choice("relu", "elu", "silu"),
        dropout=Float(0.0, 0.5),
    )
    recipe = Recipe(learning_rate=Float(1e-4, 1e-1, log=True), batch_size=Choice(32, 64, 128))
    return Study(
        name="preflight",
        objective=Supervised(digits(), network, recipe),
        minimize="val_loss",
        strategy=Random(),
        budget=1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    family, inputs = MLP(layers=3, units=Int(32, 64), dropout=0.2), Inputs((64,))
    config = family.space.sample(np.random.default_rng(0))

    def build() -> None:
        with torch.device("meta"):
            build_single(family, config, inputs, 10)

    def count() -> None:
        costs(family, config, inputs, 10)

    looked_at = study()
    shared = looked_at.objective.prepare()
    print(f"{seconds(lambda: rehearse(looked_at, shared)):8.3f} s   rehearsal before a run")
    print(f"{seconds(count):8.3f} s   counting the first network")
    for work, name in ((build, "building a network on meta"), (count, "counting a network")):
        median = statistics.median(seconds(work) for _ in range(options.rounds))
        print(f"{median * 1e3:8.3f} ms  {name}")
    print(
        f"{seconds(lambda: preflight(looked_at, options.samples)):8.3f} s   checking {options.samples} configurations"
    )


if __name__ == "__main__":
    main()
