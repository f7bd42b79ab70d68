"""How much of the Pareto front strategies find, ours and Optuna's, by the hypervolume that their trials dominate.

    python benchmarks/several_goals.py [--trials 200] [--seeds 10] [--problems NAME…] [--strategies NAME…]

Four problems of two goals: ZDT1 and ZDT2 with ten variables (Zitzler, Deb and Thiele 2000, "Comparison of
Multiobjective Evolutionary Algorithms", convex and concave front); `sized` and `cells` of `search.testing.problems`,
made up, mixed and conditional: a network's loss against its size. One trial after the other, the same seeds for all.

Prints, for each problem, the mean hypervolume as a share of the largest that any run found, its 95 % bootstrap
interval, and that of the paired difference to random.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import moocore
import numpy as np
import optuna

from archsearch import GP, NSGA2, TPE, Auto, Choice, Config, Evolution, Float, Int, Random, Space
from archsearch.search.protocols import Strategy
from archsearch.search.testing.problems import CELLS, VALLEY, cells, sized
from archsearch.search.testing.simulation import simulated_history, study_of
from archsearch.spaces.domains import Value
from archsearch.spaces.flattening import Parameter

UNIT = Space(**{f"x{place:02}": Float(0.0, 1.0) for place in range(10)})

Losses = tuple[float, float]


class Problem(NamedTuple):
    """Both goals are losses. What is not better than `worst` in both counts for nothing."""

    space: Space
    losses: Callable[[Config], Losses]
    worst: Losses


def zdt1(config: Config) -> Losses:
    first, rest = _zdt(config)
    return first, rest * (1 - math.sqrt(first / rest))


def zdt2(config: Config) -> Losses:
    first, rest = _zdt(config)
    return first, rest * (1 - (first / rest) ** 2)


def _zdt(config: Config) -> Losses:
    values: list[Any] = list(config.values())
    return values[0], 1 + 9 * sum(values[1:]) / (len(values) - 1)


def network(config: Config) -> Losses:
    found = sized(config)
    return found["loss"], found["size"]


def architecture(config: Config) -> Losses:
    """The loss of `cells` against what its layers and convolutions weigh."""
    values: Mapping[str, Any] = config
    units = sum(value for name, value in values.items() if name.endswith("units"))
    return cells(config), math.log2(units + 100 * sum(value in ("conv1", "conv3") for value in values.values()))


PROBLEMS = {
    "zdt1": Problem(UNIT, zdt1, (1.1, 6.0)),
    "zdt2": Problem(UNIT, zdt2, (1.1, 6.0)),
    "sized": Problem(VALLEY, network, (2.0, 11.0)),
    "cells": Problem(CELLS, architecture, (8.0, 11.0)),
}


def ours(problem: Problem, strategy: Strategy, trials: int, seed: int) -> list[Losses]:
    def curve(config: Config, step: int) -> dict[str, float]:
        return dict(zip(("first", "second"), problem.losses(config), strict=True))

    study = study_of(problem.space, budget=1, seed=seed, goals=("first", "second"))
    return [problem.losses(trial.config) for trial in simulated_history(strategy, study, curve, trials=trials).trials]


def optunas(problem: Problem, sampler: optuna.samplers.BaseSampler, trials: int) -> list[Losses]:
    study = optuna.create_study(sampler=sampler, directions=["minimize", "minimize"])
    found = []
    for _ in range(trials):
        trial = study.ask()
        losses = problem.losses(problem.space.walk(lambda parameter, trial=trial: suggested(trial, parameter)))
        study.tell(trial, losses)
        found.append(losses)
    return found


def suggested(trial: optuna.Trial, parameter: Parameter) -> Value:
    """As Optuna's users would ask for it."""
    match parameter.domain:
        case Float(low=low, high=high, log=log):
            return trial.suggest_float(parameter.name, low, high, log=log)
        case Int(low=low, high=high, log=log):
            return trial.suggest_int(parameter.name, low, high, log=log)
        case Choice(values=values):
            return trial.suggest_categorical(parameter.name, values)
    raise TypeError(f"no domain that Optuna knows: {parameter!r}")


STRATEGIES: dict[str, Strategy] = {
    "random": Random(),
    "auto": Auto(),
    "nsga2": NSGA2(),
    "evolution": Evolution(),
    "tpe": TPE(),
    "gp": GP(),
}
SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "optuna nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "optuna tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True),
}


def volumes(problem: Problem, name: str, trials: int, seeds: int) -> list[float]:
    """One for each seed."""
    runs = [
        ours(problem, STRATEGIES[name], trials, seed)
        if name in STRATEGIES
        else optunas(problem, SAMPLERS[name](seed), trials)
        for seed in range(seeds)
    ]
    return [moocore.hypervolume(run, ref=problem.worst) for run in runs]


def interval(values: Sequence[float]) -> str:
    """The mean, and its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{np.mean(values):.3f} ({low:.3f} … {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS))
    known = [*STRATEGIES, *SAMPLERS]
    usual = [name for name in known if name != "gp"]  # some seconds a proposal, once there are a hundred trials
    parser.add_argument("--strategies", nargs="+", default=usual, choices=known)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print("| problem | strategy | share of the largest hypervolume | less random's | ms a trial |")
    print("| --- | --- | ---: | ---: | ---: |")
    for problem in given.problems:
        found, took_ms = {}, {}
        for name in given.strategies:
            began = time.perf_counter()
            found[name] = volumes(PROBLEMS[problem], name, given.trials, given.seeds)
            took_ms[name] = 1000 * (time.perf_counter() - began) / given.trials / given.seeds
        largest = max(map(max, found.values()))
        shares = {name: np.array(values) / largest for name, values in found.items()}
        for name, values in shares.items():
            less = interval(values - shares["random"]) if name != "random" and "random" in shares else ""
            print(f"| {problem} | `{name}` | {interval(values)} | {less} | {took_ms[name]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
