"""What TPE loses, or does not, by what makes it fast: whole numbers in the unit cube, and a cap on what it remembers.

    python benchmarks/tpe_cap.py FILE [--seeds 16] [--encoded 200] [--trials 450] [--processes 2]

Two made-up problems, one of mixed parameters, one conditional. On each seed's study, one trial after the other:

- encoding: TPE without a cap against Optuna's own loop (whole numbers as integer distributions), from the same ten
  random trials on, until there are `--encoded` trials;
- cap: TPE as it is against TPE without a cap, from the trial on at which the cap begins to work, until `--trials`.

What is found is kept in FILE, seed by seed, as JSON lines; a run that is started again goes on from there. Prints the
mean difference, the first less the second, over the seeds with its 95 % confidence interval: of log10 of the
best loss (the optimum is 0), and of log10 of the mean loss of all that was proposed in the part that differs.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from scipy import stats

from archsearch import TPE, Choice, Float, Int, Random, Repeat, Space, When
from archsearch.search.protocols import Strategy
from archsearch.spaces.domains import Domain, Value
from archsearch.spaces.flattening import Parameter
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Finished, Proposed, Report, Reported, Started, StudyRecord

UNCAPPED = TPE(remembered=10**9)

MIXED = Space(
    rate=Float(1e-5, 1e-1, log=True),
    decay=Float(1e-6, 1e-1, log=True),
    dropout=Float(0.0, 0.6),
    layers=Int(1, 8),
    warmup=Int(0, 40),
    width=Int(16, 1024, log=True),
    batch=Choice(16, 32, 64, 128, 256, ordered=True),
    optimizer=Choice("sgd", "adam", "rmsprop"),
    activation=Choice("relu", "elu", "gelu", "silu"),
    residual=Choice(True, False),
)
CONDITIONAL = Space(
    kind=Choice("cnn", "mlp", "cells"),
    optimizer=Choice("sgd", "adam"),
    rate=Float(1e-5, 1e-1, log=True),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    units=Repeat(Int(8, 512, log=True), times=Int(1, 4)),
    kernel=When("kind == 'cnn'", Int(1, 7)),
    filters=When("kind == 'cnn'", Int(8, 256, log=True)),
    dropout=When("kind == 'mlp'", Float(0.0, 0.6)),
    norm=When("kind != 'mlp'", Choice("batch", "layer", "none")),
)


def mixed(c: dict[str, Any]) -> float:
    """A valley that runs askew through rate and width, and a bowl in the rest."""
    rate, width = math.log10(c["rate"]) + 2.7, math.log2(c["width"]) - math.log2(160)
    loss = rate**2 / 2 + (rate + 0.3 * width) ** 2 / 5 + width**2 / 20 + (math.log10(c["decay"]) + 4) ** 2 / 20
    loss += 3 * (c["dropout"] - 0.23) ** 2 + (c["layers"] - 5) ** 2 / 18 + (c["warmup"] - 13) ** 2 / 400
    loss += (math.log2(c["batch"]) - 6) ** 2 / 12 + 0.1 * (not c["residual"])
    loss += {"sgd": 0.1, "adam": 0.0, "rmsprop": 0.2}[c["optimizer"]]
    return loss + {"relu": 0.1, "elu": 0.05, "gelu": 0.0, "silu": 0.02}[c["activation"]]


def conditional(c: dict[str, Any]) -> float:
    """The best is a CNN of three layers; an MLP is 0.15 worse at best, cells 0.3."""
    loss = (math.log10(c["rate"]) + 2.5) ** 2 / 3 + abs(c["units.times"] - 3) / 10
    loss += 4 * (c["momentum"] - 0.9) ** 2 if c["optimizer"] == "sgd" else 0.1
    loss += sum((math.log2(c.get(f"units_{k}", 2 ** (8 - k))) - (8 - k)) ** 2 / 25 for k in range(1, 5))
    match c["kind"]:
        case "cnn":
            loss += (c["kernel"] - 3) ** 2 / 27 + (math.log2(c["filters"]) - 5) ** 2 / 15
        case "mlp":
            loss += 0.15 + (c["dropout"] - 0.2) ** 2
        case _:
            loss += 0.3
    return loss + {"batch": 0.0, "layer": 0.05, "none": 0.2}.get(c.get("norm", ""), 0.0)


PROBLEMS: dict[str, tuple[Space, Callable[[dict[str, Any]], float]]] = {
    "mixed": (MIXED, mixed),
    "conditional": (CONDITIONAL, conditional),
}


def differences(problem: str, seed: int, encoded: int, trials: int) -> list[dict[str, Any]]:
    """What one seed says on both questions."""
    space, loss = PROBLEMS[problem]
    study = StudyRecord(problem, space, (Goal("loss", maximize=False),), 1, seed, strategy="", pruner="")

    def gone_on(strategy: Strategy, history: History, until: int) -> History:
        while (number := len(history.trials)) < until:
            (proposal,) = strategy.ask(history, 1, np.random.default_rng([seed, number]))
            report = Report(1, {"loss": loss(dict(proposal.config))}, 0.0)
            history = history.apply_all(
                [
                    Proposed(0.0, number, proposal, history.seq),
                    Started(0.0, number, 1, "here"),
                    Reported(0.0, number, report),
                    Ended(0.0, number, Finished()),
                ]
            )
        return history

    def losses(history: History) -> list[float]:
        return [history.loss(trial) or 0.0 for trial in history.trials]

    def difference(question: str, first: list[float], second: list[float], since: int) -> dict[str, Any]:
        best, proposed = (
            math.log10(of(first)) - math.log10(of(second)) for of in (min, lambda side: np.mean(side[since:]))
        )
        return {"problem": problem, "seed": seed, "question": question, "best": best, "proposed": proposed}

    start = gone_on(Random(), History(study), UNCAPPED.startup_trials)
    shared = gone_on(UNCAPPED, start, TPE().remembered)
    capped, uncapped = (losses(gone_on(strategy, shared, trials)) for strategy in (TPE(), UNCAPPED))
    return [
        difference("encoding", uncapped[:encoded], optunas(start, loss, encoded), len(start.trials)),
        difference("cap", capped, uncapped, len(shared.trials)),
    ]


def optunas(start: History, loss: Callable[[dict[str, Any]], float], trials: int) -> list[float]:
    """The losses of Optuna's own loop, after those of the start."""
    space = start.study.space
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=len(start.trials), seed=start.study.seed, multivariate=True, group=True, constant_liar=True
        )
    study = optuna.create_study(sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        return loss(space.walk(lambda parameter: suggested(trial, parameter)))

    for trial in start.trials:
        study.enqueue_trial({name: stored(space[name].domain, value) for name, value in trial.config.items()})
    study.optimize(objective, n_trials=trials)
    return [trial.value or 0.0 for trial in study.get_trials(deepcopy=False)]


def suggested(trial: optuna.Trial, parameter: Parameter) -> Value:
    match parameter.domain:
        case Float(low=low, high=high, log=log):
            return trial.suggest_float(parameter.name, low, high, log=log)
        case Int(low=low, high=high, log=log):
            return trial.suggest_int(parameter.name, low, high, log=log)
        case Choice(ordered=True, values=values):
            return values[trial.suggest_int(parameter.name, 0, len(values) - 1)]
        case Choice(values=values):
            return values[trial.suggest_categorical(parameter.name, range(len(values)))]


def stored(domain: Domain, value: Value) -> Value:
    return domain.index(value) if isinstance(domain, Choice) else value


def interval(differences: Sequence[float]) -> str:
    """Mean and half the width of its 95 % interval, by Student's t."""
    spread = stats.sem(differences) * stats.t.ppf(0.975, len(differences) - 1)
    return f"{np.mean(differences):+.3f} ± {spread:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--encoded", type=int, default=200, help="trials of each study of the encoding")
    parser.add_argument("--trials", type=int, default=450, help="trials of each study of the cap")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    found = [json.loads(line) for line in arguments.file.open()] if arguments.file.exists() else []
    done = {(each["problem"], each["seed"]) for each in found}
    wanted = [(problem, seed) for seed in range(arguments.seeds) for problem in PROBLEMS]
    with ProcessPoolExecutor(arguments.processes) as pool, arguments.file.open("a") as file:
        waiting = [
            pool.submit(differences, problem, seed, arguments.encoded, arguments.trials)
            for problem, seed in wanted
            if (problem, seed) not in done
        ]
        for future in as_completed(waiting):
            found += future.result()
            file.writelines(json.dumps(each) + "\n" for each in future.result())
            file.flush()
    print(f"{'problem':12} {'question':9} {'seeds':>5}  {'log10 best':>16}  {'log10 mean proposed':>20}")
    for problem in PROBLEMS:
        for question in ("encoding", "cap"):
            seeds = [each for each in found if (each["problem"], each["question"]) == (problem, question)]
            best, proposed = (interval([each[what] for each in seeds]) for what in ("best", "proposed"))
            print(f"{problem:12} {question:9} {len(seeds):5}  {best:>16}  {proposed:>20}")


if __name__ == "__main__":
    main()
