"""A made-up training recipe whose optimum is known: 16 hyperparameters, of which some exist under conditions only.

The optimizer decides which parameters there are, which rate is best, and which rates diverge. No real training.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch import Choice, Config, Float, Int, Repeat, Space, When
from quality.problem import Problem, drawing

_RATES = {"sgd": 0.7, "adam": 0.5, "lion": 0.35}  # the best, in the unit interval, before the world moves it
_DIVERGES = 0.3  # so far above the best
_WEIGHTS = {"momentum": 1.0, "beta": 0.5, "decay": 1.0, "gamma": 0.5, "dropout": 1.0}

SPACE = Space(
    optimizer=Choice(*_RATES),
    rate=Float(1e-5, 1.0, log=True),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    beta=When("optimizer != 'sgd'", Float(0.8, 0.999)),
    decay=Float(1e-6, 1e-1, log=True),
    batch=Choice(32, 64, 128, 256, ordered=True),
    schedule=Choice("constant", "cosine", "step"),
    gamma=When("schedule == 'step'", Float(0.05, 0.9)),
    norm=Choice("none", "batch", "layer"),
    dropout=Float(0.0, 0.6),
    units=Repeat(Int(16, 512, log=True), times=Int(1, 5)),
)


def problem() -> Problem:
    return Problem(
        "recipe",
        "synthetic: a training recipe, 16 hyperparameters, some conditional; high rates diverge",
        SPACE,
        budget=20,
        curve=curve,
        score=lambda config, world: math.inf if _diverges(config, world) else loss_of(config, world),
        best=lambda world: 0.0,
    )


class Bowl(NamedTuple):
    """Where the best recipe of one world lies: in the unit interval, and what each choice costs beside the best one."""

    rates: dict[str, float]  # by optimizer
    centres: dict[str, float]
    choices: dict[str, dict[Any, float]]
    widths: NDArray[np.float64]  # (layers,)
    times: int


@lru_cache(maxsize=64)
def _bowl(world: int) -> Bowl:
    rng = drawing(world, 5)
    moved, width = rng.uniform(-0.1, 0.1), SPACE["units_1"].domain
    return Bowl(
        rates={name: rate + moved for name, rate in _RATES.items()},
        centres={name: rng.uniform(0.1, 0.9) for name in _WEIGHTS},
        choices={name: _costs(SPACE[name].domain, rng) for name in ("optimizer", "batch", "schedule", "norm")},
        widths=np.array([width.to_unit(int(units)) for units in rng.integers(16, 513, 5)]),
        times=int(rng.integers(1, 6)),
    )


def _costs(choice: Choice, rng: np.random.Generator) -> dict[Any, float]:
    """Of the values, one is free."""
    costs = rng.permutation([0.0, *rng.uniform(0.1, 0.5, len(choice.values) - 1)])
    return dict(zip(choice.values, costs.tolist(), strict=True))


def loss_of(config: Config, world: int) -> float:
    """A bowl in the unit cube around an optimum that the world chooses; choices cost something by themselves."""
    bowl = _bowl(world)
    units = {name: SPACE[name].domain.to_unit(config[name]) for name in config}
    loss = 4 * (units["rate"] - bowl.rates[str(config["optimizer"])]) ** 2
    loss += sum(costs[config[name]] for name, costs in bowl.choices.items())
    active = [name for name in bowl.centres if name in config]
    loss += sum(_WEIGHTS[name] * (units[name] - bowl.centres[name]) ** 2 for name in active)
    widths = np.array([unit for name, unit in units.items() if name.startswith("units_")])
    loss += 0.05 * (len(widths) - bowl.times) ** 2
    return float(loss + np.mean((widths - bowl.widths[: len(widths)]) ** 2))


def curve(config: Config, world: int) -> list[tuple[float, float]]:
    """It comes down by half each two steps; a rate that is far too high diverges at the third step."""
    last = loss_of(config, world)
    losses = [last + 2 * (0.5 ** (step / 2) - 0.5**10) for step in range(1, 21)]
    return [(1.0, math.nan if step >= 2 and _diverges(config, world) else loss) for step, loss in enumerate(losses)]


def _diverges(config: Config, world: int) -> bool:
    return SPACE["rate"].domain.to_unit(config["rate"]) > _bowl(world).rates[str(config["optimizer"])] + _DIVERGES
