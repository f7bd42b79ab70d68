"""A small known function, for tests that a strategy searches: paired seeds, against random.

    assert mean(best_losses(Mine(), trials=40, seeds=10)) < 0.5 * mean(best_losses(Random(), trials=40, seeds=10))

What a network's loss may look like: a narrow valley in the rate, some parameters that matter less, one that exists
only for one optimiser. The optimum is 0.
"""

from __future__ import annotations

import math
from typing import Any

from search.protocols import Strategy
from search.testing.simulation import Curve, finished, study_of
from spaces import Choice, Config, Float, Int, Space, When

VALLEY = Space(
    optimizer=Choice("sgd", "adam", "rmsprop"),
    rate=Float(1e-5, 1e-1, log=True),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    layers=Int(1, 6),
    dropout=Float(0.0, 0.6),
    units=Choice(16, 32, 64, 128, 256, ordered=True),
)


def valley(config: Config, step: int = 1) -> float:
    """0 for SGD with momentum 0.9, rate 10**-2.5, 3 layers of 64, dropout 0.2; Adam comes to 0.1 at best."""
    values: dict[str, Any] = dict(config)
    loss = {"sgd": 4 * (values.get("momentum", 0.9) - 0.9) ** 2, "adam": 0.1, "rmsprop": 0.4}[values["optimizer"]]
    loss += (math.log10(values["rate"]) + 2.5) ** 2 / 4
    loss += ((values["layers"] - 3) / 3) ** 2 + 4 * (values["dropout"] - 0.2) ** 2
    return float(loss + (math.log2(values["units"]) - 6) ** 2 / 16)


def best_losses(strategy: Strategy, *, trials: int, seeds: int, curve: Curve = valley) -> list[float]:
    """The best loss found by each of some studies that differ in their seed alone."""
    studies = [study_of(VALLEY, budget=1, seed=seed) for seed in range(seeds)]
    histories = [finished(strategy, study, curve, trials=trials) for study in studies]
    return [best.value("loss") or 0.0 for history in histories if (best := history.best)]
