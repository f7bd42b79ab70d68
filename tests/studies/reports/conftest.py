"""Histories for the report's tests: told by hand, or made up at any size. Nothing trains, no clock is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from archsearch import Choice, Float, Int, Space, When
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Outcome,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

START = 1_790_000_000.0
SPACE = Space(lr=Float(1e-4, 1e-1, log=True), optimizer=Choice("sgd", "adamw"))


@dataclass(frozen=True)
class Told:
    """A trial by hand. `values` are its reports of the goal's metric; no `outcome`: it still runs.

    `also` is reported beside each of them. `repeats` are what further runs report of the goal's metric, once each.
    """

    values: Sequence[float] = (0.5,)
    outcome: Outcome | None = Finished()  # noqa: RUF009
    config: Mapping[str, Any] | None = None
    by: str | None = "random"
    worker: str = "w0"
    start: float | None = None  # seconds after the study's
    seconds: float = 10.0
    also: Mapping[str, float] | None = None
    repeats: Sequence[float] = ()
    why: str = ""


def record(**over: Any) -> StudyRecord:
    declared = {"name": "toy", "space": SPACE, "goals": (Goal("accuracy", True),), "budget": 3, "seed": 0}
    return StudyRecord(**{**declared, "strategy": "TPE()", "pruner": "NoPruner()", **over})


def history(*trials: Told, study: StudyRecord | None = None) -> History:
    """The fold of the events of these trials, one after the other unless `start` says otherwise."""
    study = study or record()
    return History.from_events(study, _events(study, trials))


def _events(study: StudyRecord, trials: Sequence[Told]) -> Iterator[Event]:
    yield SessionStarted(START, StoppingCriteria(), 1, "inline", "host", 1)
    clock = 0.0
    for number, told in enumerate(trials):
        at = START + (clock if told.start is None else told.start)
        config = told.config if told.config is not None else study.space.sample(np.random.default_rng(number))
        proposal = Proposal(config, study.budget, told.by or "", told.why or "", drawn_at_random=told.by == "random")
        yield Proposed(at, number, proposal, 0)
        yield Started(at, number, 1, told.worker)
        for step, value in enumerate(told.values, start=1):
            worked = told.seconds * step / len(told.values)
            metrics = {study.goal.metric: value, "loss": 1 - value, **(told.also or {})}
            yield Reported(at + worked, number, Report(step, metrics, worked))
        for attempt, value in enumerate(told.repeats, start=2):
            yield RunCompleted(at + told.seconds, number)
            yield Started(at + told.seconds, number, attempt, told.worker)
            metrics = {study.goal.metric: value, "loss": 1 - value, **(told.also or {})}
            yield Reported(at + told.seconds, number, Report(1, metrics, told.seconds))
        clock = at - START + told.seconds
        if told.outcome is not None:
            yield Ended(at + told.seconds, number, told.outcome)


def synthetic(
    n: int, *, seed: int = 0, skill: float = 1.0, name: str = "digits", budget: int = 20, **over: Any
) -> History:
    """A study as one comes out of a search: curves, pruned, failed and running trials, conditional parameters.

    `over`: of the record; `goals` and constraints may speak of "parameters" and "step_ms" too, and where
    `repeats` are asked for, every fifth trial that finishes has them.
    """
    rng = np.random.default_rng(seed)
    space = Space(
        layers=Int(1, 4),
        units=Choice(32, 64, 128, 256, ordered=True),
        activation=Choice("relu", "elu", "silu", None),
        dropout=Float(0.0, 0.5),
        optimizer=Choice("sgd", "adamw"),
        momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
        learning_rate=Float(1e-5, 1e-1, log=True),
        weight_decay=Float(1e-6, 1e-1, log=True),
        batch_size=Choice(32, 64, 128),
        extra_units=When("layers >= 3", Int(8, 256, log=True)),
    )
    declared = {"name": name, "space": space, "goals": (Goal("val_accuracy", True),), "budget": budget, "seed": seed}
    study = record(**{**declared, **over})
    told: list[Told] = []
    free_at = dict.fromkeys([f"worker-{i}" for i in range(4)], 0.0)
    for number in range(n):
        guided = number >= min(10, n // 2)
        config = space.sample(rng)
        if guided and skill:  # a pretended model: the best of some draws
            config = max((space.sample(rng) for _ in range(1 + int(4 * skill))), key=_quality)
        worker = min(free_at, key=lambda name: free_at[name])
        top = 0.25 + 0.7 * _quality(config) + 0.01 * rng.normal()
        curve = [top * (1 - math.exp(-(s + 1) / 5)) + 0.004 * rng.normal() for s in range(budget)]
        outcome: Outcome | None = Finished()
        if rng.random() < 0.04:
            curve, outcome = curve[: rng.integers(0, 4)], Failed("ValueError: loss is nan at step 3")
        elif guided and curve[4] < 0.42:
            curve, outcome = curve[:5], Pruned("in the lower half after 5 steps")
        elif number >= n - 3 and n > 10:
            curve, outcome = curve[: 3 + n - number], None
        seconds = (0.4 + rng.random()) * (1 + len(curve))
        more = study.repeats - 1 if outcome == Finished() and number % 5 == 0 else 0
        again = [curve[-1] + 0.01 * (i + 1) * (-1) ** i for i in range(more)]
        also = {"parameters": _parameters(config), "step_ms": 6.4 * config["layers"] / config["batch_size"]}
        by = "tpe" if guided else "random"
        told.append(Told(curve, outcome, config, by, worker, free_at[worker], seconds, also, again))
        free_at[worker] += seconds + 0.05
    return history(*told, study=study)


def _quality(config: Mapping[str, Any]) -> float:
    rate = math.exp(-((math.log10(config["learning_rate"]) + 2.5) ** 2))
    depth = {1: 0.7, 2: 0.95, 3: 1.0, 4: 0.9}[config["layers"]]
    return rate * depth * (1 - 0.5 * config["dropout"]) * (1.0 if config["optimizer"] == "adamw" else 0.85)


def _parameters(config: Mapping[str, Any]) -> float:
    return float(64 * config["units"] + (config["layers"] - 1) * config["units"] ** 2 + 10 * config["units"])


@pytest.fixture(scope="session")
def told() -> type[Told]:
    return Told


@pytest.fixture(scope="session")
def make_record() -> Callable[..., StudyRecord]:
    return record


@pytest.fixture(scope="session")
def make_history() -> Callable[..., History]:
    return history


@pytest.fixture(scope="session")
def make_synthetic() -> Callable[..., History]:
    return synthetic
