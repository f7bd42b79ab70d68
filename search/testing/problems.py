"""Small test functions with known optima, to test with paired seeds that a strategy is better than random search.

    assert mean(best_losses(Mine(), trials=40, seeds=10)) < 0.5 * mean(best_losses(Random(), trials=40, seeds=10))

`valley` imitates the loss of a network over its hyperparameters: a narrow valley in the learning rate, some parameters
that matter less, and one that is only active for one optimizer. `cells` imitates the loss over architectures: unordered
choices that interact with their predecessor, and a variable number of layers. `basin` is for tests of good and wrong
priors. `sized` has two conflicting goals: the loss of `valley` and the size of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.testing.simulation import Curve, simulated_history, study_of
from archsearch.spaces.domains import Choice, Float, Int
from archsearch.spaces.flattening import Repeat, When
from archsearch.spaces.priors import Prior
from archsearch.spaces.space import Config, Space
from archsearch.studies.records import Metrics

VALLEY = Space(
    optimizer=Choice("sgd", "adam", "rmsprop"),
    rate=Float(1e-5, 1e-1, log=True),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    layers=Int(1, 6),
    dropout=Float(0.0, 0.6),
    units=Choice(16, 32, 64, 128, 256, ordered=True),
)


def valley(config: Config, step: int = 1) -> float:
    """0 for SGD with momentum 0.9, rate 10**-2.5, 3 layers of 64, dropout 0.2; at best 0.1 for Adam."""
    values: dict[str, Any] = dict(config)
    loss = {"sgd": 4 * (values.get("momentum", 0.9) - 0.9) ** 2, "adam": 0.1, "rmsprop": 0.4}[values["optimizer"]]
    loss += (math.log10(values["rate"]) + 2.5) ** 2 / 4
    loss += ((values["layers"] - 3) / 3) ** 2 + 4 * (values["dropout"] - 0.2) ** 2
    return float(loss + (math.log2(values["units"]) - 6) ** 2 / 16)


OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
ACTIVATIONS = ("relu", "elu", "silu", "tanh")

CELLS = Space(
    edge=Repeat(Choice(*OPERATIONS), times=6),
    layer=Repeat(
        Space(
            activation=Choice(*ACTIVATIONS), units=Choice(16, 32, 64, 128, 256, ordered=True), skip=Choice(True, False)
        ),
        Int(1, 6),
    ),
)

_tables = np.random.default_rng(0)
_EDGE, _EDGES = (
    _tables.normal(size=(6, 5)),
    _tables.normal(size=(5, 5, 5)),
)  # the gain of each operation, and of each pair in sequence
_LAYER, _LAYERS = _tables.normal(size=(6, 4)) / 2, _tables.normal(size=(4, 4)) / 2
_WIDTHS = _tables.integers(4, 9, size=6)  # log2


def cells(config: Config, step: int = 1) -> float:
    """About 10**14 architectures; random ones have a mean of 4.6 and a deviation of 3.6, the best of 100 is -4.4."""
    values: dict[str, Any] = dict(config)
    edges = [OPERATIONS.index(values[f"edge_{place}"]) for place in range(1, 7)]
    gain = _EDGE[range(6), edges].sum() + _EDGES[range(5), edges[:-1], edges[1:]].sum()
    layers = [place for place in range(6) if f"layer_{place + 1}.units" in values]
    activations = [ACTIVATIONS.index(values[f"layer_{place + 1}.activation"]) for place in layers]
    gain += _LAYER[layers, activations].sum() + _LAYERS[activations[:-1], activations[1:]].sum() - abs(len(layers) - 4)
    for place in layers:
        gain -= (math.log2(values[f"layer_{place + 1}.units"]) - _WIDTHS[place]) ** 2 / 4
        gain += (values[f"layer_{place + 1}.skip"] == place % 2) / 2
    return -float(gain)


def _basin(prior: Prior | None, weights: tuple[float, ...] | None) -> Space:
    return Space({f"x{k}": Float(0.0, 1.0, prior=prior) for k in range(4)}, kind=Choice("a", "b", "c", prior=weights))


BASINS = {
    "no prior": _basin(None, None),
    "a good prior": _basin(Prior(0.6), (2, 1, 1)),
    "a wrong prior": _basin(Prior(0.2), (1, 1, 2)),
}


def basin(config: Config, step: int = 1) -> float:
    """0 for 0.7 in each dimension and kind "a"; 0.2 for "c". The value at the centre of the wrong prior is 1."""
    values: dict[str, Any] = dict(config)
    return float(sum((values[f"x{k}"] - 0.7) ** 2 for k in range(4))) + {"a": 0.0, "b": 0.1, "c": 0.2}[values["kind"]]


def sized(config: Config, step: int = 1) -> Metrics:
    """The loss of `valley`, and the base-2 logarithm of the total number of units, from 4 to 10.6."""
    values: dict[str, Any] = dict(config)
    return {"loss": valley(config), "size": math.log2(values["layers"] * values["units"])}


def best_losses(
    strategy: Strategy, *, trials: int, seeds: int, curve: Curve = valley, space: Space = VALLEY
) -> list[float]:
    """The best loss of each of several simulated studies that differ only in their seed.

    Args:
        strategy: The strategy to run.
        trials: The number of trials of each study.
        seeds: The number of studies.
        curve: The objective.
        space: The space of the objective.

    Returns:
        One loss per study, (seeds,).
    """
    studies = [study_of(space, budget=1, seed=seed) for seed in range(seeds)]
    histories = [simulated_history(strategy, study, curve, trials=trials) for study in studies]
    return [history.loss(best) or 0.0 for history in histories if (best := history.best)]


def hypervolumes(
    strategy: Strategy,
    *,
    trials: int,
    seeds: int,
    curve: Curve = sized,
    space: Space = VALLEY,
    goals: Sequence[str] = ("loss", "size"),
    worst: Sequence[float] = (2.0, 11.0),
) -> list[float]:
    """The hypervolume of the Pareto front of each of several simulated studies that differ only in their seed.

    Args:
        strategy: The strategy to run.
        trials: The number of trials of each study.
        seeds: The number of studies.
        curve: The objective.
        space: The space of the objective.
        goals: The metrics to minimize.
        worst: The reference point, one value per goal.

    Returns:
        One hypervolume per study, (seeds,).
    """
    # Imported here because tests with one goal do not need it.
    import moocore  # type: ignore[import-untyped]  # it has no types

    studies = [study_of(space, budget=1, seed=seed, goals=goals) for seed in range(seeds)]
    histories = [simulated_history(strategy, study, curve, trials=trials) for study in studies]
    fronts = [[history.objectives(trial) for trial in history.front] for history in histories]
    return [moocore.hypervolume([vector.losses for vector in front if vector], ref=worst) for front in fronts]
