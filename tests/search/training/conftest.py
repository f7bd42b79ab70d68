"""Small prepared data, and trials, for the training tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from archsearch import MLP, Prepared, Supervised
from archsearch.search.protocols import TrialContext
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.technique import Training


class Given:
    """Data that is already prepared."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def prepare(self) -> Prepared:
        return self.prepared


def _blobs(samples: int = 101, task: str = "classification", seed: int = 0) -> Prepared:
    """Three noisy clouds in five dimensions, or a noisy linear target of mean 50 and standard deviation 20."""
    rng = np.random.default_rng(seed)

    def part(n: int) -> Part:
        inputs = rng.normal(size=(n, 5)).astype(np.float32)
        if task == "classification":
            targets = rng.integers(3, size=n)
            inputs[np.arange(n), targets] += 2
        else:
            targets = (inputs @ np.arange(5) / 5.5 + rng.normal(size=n) / 10).astype(np.float32)
        inputs.flags.writeable = targets.flags.writeable = False  # as Ray maps them
        return Part(inputs, targets)

    if task == "classification":
        return Prepared("classification", part(samples), part(60), part(30), classes=("a", "b", "c"))
    return Prepared("regression", part(samples), part(60), part(30), target_mean=50.0, target_std=20.0)


def _objective_on(prepared: Prepared, **arguments: Any) -> Supervised:
    objective = Supervised(Given(prepared), MLP(layers=2, units=16), **arguments)
    objective.attach(objective.prepare())
    return objective


def _trial(seed: int = 0, budget: int | None = 2, device: str = "cpu", **changes: Any) -> TrialContext:
    """A trial of the fixed network with the given parameters changed."""
    config = {
        "layers": 2, "units_1": 16, "units_2": 16, "activation": "relu", "dropout": 0.0, "norm": "none",
        "optimizer": "adamw", "learning_rate": 1e-2, "batch_size": 16, "weight_decay": 0.0,
    } | changes  # fmt: skip
    if config["optimizer"] == "sgd":
        config.setdefault("momentum", 0.9)
    return TrialContext(number=seed, attempt=1, config=config, budget=budget, seed=seed, device=device)


@pytest.fixture
def blobs() -> Callable[..., Prepared]:
    return _blobs


@pytest.fixture
def objective_on() -> Callable[..., Supervised]:
    return _objective_on


@pytest.fixture
def trial() -> Callable[..., TrialContext]:
    return _trial


@pytest.fixture
def training_of() -> Callable[..., Training]:
    """The training of a stack with these configs and weights (K, P)."""

    def make(configs: Sequence[Mapping[str, Any]], weights: torch.Tensor, **changes: Any) -> Training:
        settings = {"model": torch.nn.Module(), "epochs": 4, "steps": 3, "samples": 48, "shape": (5,)} | changes
        return Training(configs, weights=weights, **{"seeds": range(len(configs)), **settings})

    return make


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
