"""How fast a space is on one core: drawing, encoding and decoding configs of 30 parameters, half of them conditional.

    python benchmarks/space_speed.py [--configs 20000] [--rounds 5]

Prints thousands of configs a second, the median of the rounds and the slowest one.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from archsearch import Choice, Encoding, Float, Int, Prior, Repeat, Space, When, constraint

PLAIN = Space(
    optimizer=Choice("sgd", "adam", "adamw", "rmsprop"),
    rate=Float(1e-5, 1e-1, log=True),
    momentum=When("optimizer in ('sgd', 'rmsprop')", Float(0.0, 0.99)),
    nesterov=When("optimizer == 'sgd' and momentum > 0.1", Choice(True, False)),
    beta=When("optimizer in ('adam', 'adamw')", Float(0.8, 0.999)),
    decay=When("optimizer == 'adamw'", Float(1e-6, 1e-1, log=True)),
    batch=Choice(32, 64, 128, 256, ordered=True),
    activation=Choice("relu", "elu", "silu", "gelu"),
    norm=Choice("batch", "layer", None),
    warmup=Int(0, 20),
    schedule=Choice("constant", "cosine", "step"),
    gamma=When("schedule == 'step'", Float(0.1, 0.9, step=0.1)),
    blocks=Repeat(Space(units=Int(16, 512, log=True), dropout=Float(0.0, 0.5), skip=Choice(True, False)), Int(1, 5)),
    smoothing=Float(0.0, 0.2),
    seed=Int(0, 999),
)
SPACES = {
    "conditional": PLAIN,
    "and constrained": PLAIN
    | Space(constraint("low < high"), constraint("low + high < 15"), low=Int(1, 9), high=Int(1, 9, prior=Prior(7))),
}


def rates(space: Space, configs: int) -> dict[str, float]:
    """Configs a second."""
    rng, encoding = np.random.default_rng(0), Encoding(space)
    began = time.perf_counter()
    drawn = [space.sample(rng) for _ in range(configs)]
    sampled = time.perf_counter()
    decoded = [encoding.decode(point) for point in encoding.encode(drawn)]
    ended = time.perf_counter()
    if [*map(tuple, decoded)] != [*map(tuple, drawn)]:
        raise SystemExit("what was decoded is not what was encoded")
    return {"sample": configs / (sampled - began), "encode and decode": configs / (ended - sampled)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'space':16} {'parameters':>10}  {'what':18} {'median':>8} {'slowest':>8}  thousand configs a second")
    for name, space in SPACES.items():
        rounds = [rates(space, arguments.configs) for _ in range(arguments.rounds)]
        for what in rounds[0]:
            figures = [each[what] / 1e3 for each in rounds]
            print(f"{name:16} {len(space):10}  {what:18} {statistics.median(figures):8.1f} {min(figures):8.1f}")


if __name__ == "__main__":
    main()
