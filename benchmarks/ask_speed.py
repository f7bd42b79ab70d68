"""What one proposal costs: each strategy asked for one config of 10 mixed parameters, beside Optuna's own sampler.

    python benchmarks/ask_speed.py [--strategies tpe bayes] [--trials 1000 10000] [--asks 15]

Each strategy is asked as an engine asks it: a trial ends, then one ask, again and again, from a history that begins
with so many finished trials. Optuna's study holds the same trials, and gets its turn after each of our asks. Prints the
median and the slowest milliseconds of an ask, the first ask (which builds what later ones keep), and the ratio of the
medians.

Without --strategies all that are registered are timed, at the sizes they are meant for.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import optuna

from archsearch import Choice, Config, Encoding, Float, Int, Space
from archsearch.search.protocols import Strategy
from archsearch.search.strategies import STRATEGIES, strategy
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Finished, Proposal, Proposed, Report, Reported, Started, StudyRecord

SPACE = Space(
    rate=Float(1e-5, 1e-1, log=True),
    decay=Float(1e-6, 1e-2, log=True),
    dropout=Float(0.0, 0.6),
    smoothing=Float(0.0, 0.3, step=0.05),
    layers=Int(1, 8),
    warmup=Int(0, 20),
    width=Int(8, 512, log=True),
    optimizer=Choice("sgd", "adam", "rmsprop"),
    activation=Choice("relu", "elu", "silu", "gelu"),
    norm=Choice(True, False),
)
STUDY = StudyRecord("ask-speed", SPACE, (Goal("loss", maximize=False),), budget=1, seed=0, strategy="", pruner="")

TRIALS = {"tpe": [1000, 10_000], "bayes": [120], "gp": [120]}  # how many finished; the others: 1,000
PEERS: dict[str, Callable[[], optuna.samplers.BaseSampler]] = {
    "random": lambda: optuna.samplers.RandomSampler(seed=0),
    "tpe": lambda: optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True),
    "bayes": lambda: optuna.samplers.GPSampler(seed=0),
    "gp": lambda: optuna.samplers.GPSampler(seed=0),
}


ENCODING = Encoding(SPACE)


def loss_of(config: Config) -> float:
    """A bowl in the unit cube, its floor at 0.3."""
    return float(((ENCODING.encode([config])[0] - 0.3) ** 2).sum())


@dataclass
class Ours:
    """An engine's asks, without an engine."""

    strategy: Strategy
    history: History = field(default_factory=lambda: History(STUDY))

    def end(self, config: Config) -> None:
        number = len(self.history.trials)
        self.history = self.history.apply_all(
            [
                Proposed(0.0, number, Proposal(config, STUDY.budget), self.history.seq),
                Started(0.0, number, 1, "worker"),
                Reported(0.0, number, Report(1, {"loss": loss_of(config)}, 0.0)),
                Ended(0.0, number, Finished()),
            ]
        )

    def ask(self) -> Config:
        rng = np.random.default_rng([STUDY.seed, len(self.history.trials)])
        (proposal,) = self.strategy.ask(self.history, 1, rng)
        return proposal.config


class Optunas:
    """The same in Optuna's own words."""

    def __init__(self, sampler: optuna.samplers.BaseSampler) -> None:
        self.study = optuna.create_study(sampler=sampler)
        self.distributions = {parameter.name: _distribution(parameter.domain) for parameter in SPACE.free}

    def end(self, config: Config) -> None:
        trial = optuna.trial.create_trial(params=dict(config), distributions=self.distributions, value=loss_of(config))
        self.study.add_trial(trial)

    def ask(self) -> Config:
        # Its values are not used, and as failed it is seen by no sampler: both sides go on with our config.
        trial = self.study.ask(self.distributions)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return trial.params


def _distribution(domain: object) -> optuna.distributions.BaseDistribution:
    match domain:
        case Float(low=low, high=high, log=log, step=step):
            return optuna.distributions.FloatDistribution(low, high, log=log, step=step)
        case Int(low=low, high=high, log=log, step=step):
            return optuna.distributions.IntDistribution(low, high, log=log, step=step)
        case Choice(values=values):
            return optuna.distributions.CategoricalDistribution(values)
        case _:
            raise TypeError(f"no domain: {domain!r}")


def times(sides: dict[str, Ours | Optunas], trials: int, asks: int) -> dict[str, list[float]]:
    """Milliseconds of each ask of each side, in turn."""
    rng = np.random.default_rng(0)
    for config in (SPACE.sample(rng) for _ in range(trials)):
        for side in sides.values():
            side.end(config)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asks + 1):
        config: Config = {}
        for name, side in sides.items():
            began = time.perf_counter()
            asked = side.ask()
            taken[name].append((time.perf_counter() - began) * 1e3)
            config = config or asked
        for side in sides.values():
            side.end(config)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--trials", nargs="+", type=int, help="finished trials before the first ask")
    parser.add_argument("--asks", type=int, default=15)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print(
        f"python {platform.python_version()}, optuna {version('optuna')}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'strategy':12} {'trials':>7} {'who':8} {'median':>9} {'slowest':>9} {'first':>9}  ms an ask")
    for name in arguments.strategies:
        for trials in arguments.trials or TRIALS.get(name, [1000]):
            sides: dict[str, Ours | Optunas] = {"ours": Ours(strategy(name))}
            if name in PEERS:
                sides["optuna"] = Optunas(PEERS[name]())
            medians = {}
            for who, (first, *later) in times(sides, trials, arguments.asks).items():
                medians[who] = statistics.median(later)
                print(f"{name:12} {trials:7} {who:8} {medians[who]:9.3f} {max(later):9.3f} {first:9.3f}", flush=True)
            if len(medians) > 1:
                print(f"{name:12} {trials:7} ratio    {medians['ours'] / medians['optuna']:9.3f}")


if __name__ == "__main__":
    main()
