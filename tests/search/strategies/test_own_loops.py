"""The Gaussian processes search as well as their libraries do in loops of their own, which keep what they know."""

from __future__ import annotations

import logging
import warnings
from functools import cache

import numpy as np
import optuna
import pytest
from skopt import gp_minimize

from archsearch import GP, Bayes, Config, Float, Random, Space
from archsearch.search.protocols import Strategy
from archsearch.search.testing.simulation import simulated_history, study_of

SQUARE = Space(x=Float(-5.0, 10.0), y=Float(0.0, 15.0))
TRIALS, SEEDS = 30, range(2)


def branin(x: float, y: float) -> float:
    """Three optima of 0.398 (Jones et al. 1998, "Efficient Global Optimization", whose example it is)."""
    valley = y - 5.1 * x**2 / (4 * np.pi**2) + 5 * x / np.pi - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)


def of_config(config: Config, step: int = 1) -> float:
    return branin(float(config["x"]), float(config["y"]))  # type: ignore[arg-type]  # they are numbers


@cache
def ours(strategy: Strategy) -> list[float]:
    histories = [
        simulated_history(strategy, study_of(SQUARE, budget=1, seed=seed), of_config, trials=TRIALS) for seed in SEEDS
    ]
    return [history.loss(history.best) or 0.0 for history in histories if history.best]


def optunas(seed: int) -> float:
    logging.getLogger("optuna").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=seed))
        study.optimize(lambda t: branin(t.suggest_float("x", -5, 10), t.suggest_float("y", 0, 15)), n_trials=TRIALS)
    return study.best_value


def skopts(seed: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gp_minimize(
            lambda at: branin(*at),
            [(-5.0, 10.0), (0.0, 15.0)],
            n_calls=TRIALS,
            n_initial_points=10,
            acq_func="EI",
            random_state=seed,
        )
    return float(found.fun)


@pytest.mark.parametrize(("strategy", "library"), [(GP(), optunas), (Bayes(), skopts)], ids=["gp", "bayes"])
def test_it_searches_as_well_as_the_librarys_own_loop(strategy: Strategy, library: object) -> None:
    # Margin: what both leave above the optimum differs by less than a tenth of what random leaves.
    own, random = np.mean(ours(strategy)), np.mean(ours(Random()))
    theirs = np.mean([library(seed) for seed in SEEDS])  # type: ignore[operator]  # a function of the seed
    assert abs(own - theirs) < 0.1 * (random - 0.398)
    assert random > 1.0  # so that a tenth of it is little
