"""A made-up architecture problem whose optimum is known: a network of 2 to 8 blocks, 34 choices. No real training.

Every block costs something by itself, and something more with the operation before it. So good blocks can be kept and
joined, which is what evolution lives on; and the best network of a depth is the shortest path through its blocks, found
by dynamic programming.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch import Choice, Config, Int, Repeat, Space, When
from quality.problem import Problem, drawing

Array = NDArray[np.float64]

_DEPTHS = range(2, 9)
_OPERATIONS = ("conv", "separable", "pool", "skip")
_KERNELS, _WIDTHS, _ACTIVATIONS, _STEMS = (3, 5, 7), (32, 64, 128), ("relu", "gelu", "silu"), (16, 32, 64)

SPACE = Space(
    stem=Choice(*_STEMS, ordered=True),
    blocks=Repeat(
        Space(
            op=Choice(*_OPERATIONS),
            kernel=When("op in ('conv', 'separable')", Choice(*_KERNELS, ordered=True)),
            width=When("op in ('conv', 'separable')", Choice(*_WIDTHS, ordered=True)),
            activation=Choice(*_ACTIVATIONS),
        ),
        times=Int(_DEPTHS[0], _DEPTHS[-1]),
    ),
)


def problem() -> Problem:
    return Problem(
        "cells",
        "synthetic: an architecture of 2 to 8 blocks, 34 choices",
        SPACE,
        budget=10,
        curve=curve,
        score=score,
        best=best,
    )


class Costs(NamedTuple):
    """What the parts of a network cost in one world."""

    stem: Array  # (stems,)
    depth: Array  # (depths,)
    operation: Array  # (blocks, operations)
    after: Array  # (operations before, operations)
    kernel: Array  # (operations, kernels)
    width: Array  # (operations, widths)
    activation: Array  # (operations, activations)


@lru_cache(maxsize=64)
def _costs(world: int) -> Costs:
    rng = drawing(world, 4)
    operations, blocks = len(_OPERATIONS), _DEPTHS[-1]
    return Costs(
        stem=rng.exponential(0.5, len(_STEMS)),
        depth=0.25 * (np.array(_DEPTHS) - rng.integers(4, 8)) ** 2,
        operation=rng.exponential(2.0, operations) + rng.exponential(2.0, (blocks, operations)),
        after=rng.exponential(2.0, (operations, operations)),
        kernel=rng.exponential(1.0, (operations, len(_KERNELS))),
        width=rng.exponential(1.0, (operations, len(_WIDTHS))),
        activation=rng.exponential(0.7, (operations, len(_ACTIVATIONS))),
    )


def score(config: Config, world: int) -> float:
    """The error of a fully trained network, in points: the mean over its blocks, and what stem and depth cost."""
    costs, values = _costs(world), SPACE.nested(config)
    blocks: list[dict[str, Any]] = values["blocks"]
    total, before = 0.0, None
    for place, block in enumerate(blocks):
        op = _OPERATIONS.index(block["op"])
        total += costs.operation[place, op] + costs.activation[op, _ACTIVATIONS.index(block["activation"])]
        if "kernel" in block:
            total += costs.kernel[op, _KERNELS.index(block["kernel"])] + costs.width[op, _WIDTHS.index(block["width"])]
        if before is not None:
            total += costs.after[before, op]
        before = op
    depth = costs.depth[len(blocks) - _DEPTHS[0]]
    return float(costs.stem[_STEMS.index(values["stem"])] + depth + total / len(blocks))


def best(world: int) -> float:
    """The score of the best network, by dynamic programming over the last block's operation."""
    costs = _costs(world)
    sized = np.array([op in ("conv", "separable") for op in _OPERATIONS])
    own = costs.operation + costs.activation.min(axis=1) + sized * (costs.kernel.min(axis=1) + costs.width.min(axis=1))
    cheapest, best = own[0], math.inf  # of the networks that end with each operation, (operations,)
    for depth in range(2, _DEPTHS[-1] + 1):
        cheapest = (cheapest[:, None] + costs.after).min(axis=0) + own[depth - 1]
        best = min(best, costs.depth[depth - _DEPTHS[0]] + cheapest.min() / depth)
    return float(best + costs.stem.min())


def curve(config: Config, world: int) -> list[tuple[float, float]]:
    """It comes down with one over the step, deeper networks later; each step takes as long as there are blocks."""
    last, depth = score(config, world), len(SPACE.nested(config)["blocks"])
    return [(float(depth), last + depth * (1 / step - 1 / 10)) for step in range(1, 11)]
