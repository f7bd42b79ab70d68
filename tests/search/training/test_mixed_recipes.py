"""Sixteen trials of mixed recipes in one stack, beside each of the sixteen alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from archsearch import MLP
from archsearch.search.training.loop import Diverged, Loop
from archsearch.search.training.metrics import metric_names
from archsearch.search.training.schedules import SCHEDULES
from archsearch.search.training.tensors import Tensors

EPOCHS = 5


@pytest.fixture
def sixteen(trial):
    """Trials that differ in whatever trials of one stack may; the network's width is theirs to share."""

    def make(width: int) -> list:
        rng = np.random.default_rng(0)
        mixed = [
            {
                "learning_rate": float(10 ** rng.uniform(-4, -1)), "dropout": float(rng.uniform(0, 0.5)),
                "weight_decay": float(rng.uniform(0, 0.1)), "schedule": str(rng.choice(SCHEDULES)),
                "warmup_epochs": int(rng.integers(3)), "l1": float(rng.choice([0, 1e-3])),
                "label_smoothing": float(rng.choice([0, 0.1])), "patience": int(rng.integers(1, 9)),
            }
            for _ in range(16)
        ]  # fmt: skip
        mixed[3]["clip_norm"] = mixed[7]["max_norm"] = mixed[9]["clip_value"] = 0.5
        mixed[5]["class_weights"] = "balanced"
        return [
            trial(seed=seed, budget=EPOCHS, units_1=width, units_2=width, **said) for seed, said in enumerate(mixed)
        ]

    return make


@pytest.fixture
def loop_of(blobs):
    def make(trials: list) -> Loop:
        data = Tensors.from_prepared("cpu", blobs())
        if torch.get_default_dtype() == torch.float64:
            floats = {each.name: getattr(data, each.name) for each in fields(data)}
            data = replace(data, **{name: value.double() for name, value in floats.items() if _single(value)})
        return Loop(MLP(layers=2, units=16), data, trials, EPOCHS, metric_names("classification"))

    return make


@pytest.fixture
def in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _single(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32


def reports(loop: Loop) -> list[list]:
    """Of each row, all that it says before its end."""
    found = []
    while not loop.over:
        found.append(loop.epoch())
    return [[report for report in rows if report is not None] for rows in zip(*found, strict=True)]


def test_widths_of_whole_cache_lines_are_bit_identical(sixteen, loop_of, one_thread):
    trials = sixteen(16)
    assert reports(loop_of(trials)) == [reports(loop_of([each]))[0] for each in trials]


def test_a_row_that_diverges_leaves_the_others_bit_identical(sixteen, loop_of, trial, one_thread):
    healthy = sixteen(16)[:15]
    sick = trial(seed=15, budget=EPOCHS, learning_rate=1e38)
    *together, last = reports(loop_of([*healthy, sick]))
    assert isinstance(last[0], Diverged)
    assert together == [reports(loop_of([each]))[0] for each in healthy]


def test_at_an_odd_width_the_first_epochs_losses_agree_within_rounding(sixteen, loop_of, one_thread):
    """Weights of float32 carry seven digits, and sums in another order change the last of them."""
    trials = sixteen(7)
    together = loop_of(trials).epoch()
    for each, mine in zip(trials, together, strict=True):
        (alone,) = loop_of([each]).epoch()
        for name in ("train_loss", "val_loss"):
            assert mine[name] == pytest.approx(alone[name], rel=1e-5)


def test_in_double_precision_the_final_ranking_is_the_same(sixteen, loop_of, in_double, one_thread):
    trials = sixteen(7)
    together = loop_of(trials)
    assert together._training.weights.dtype == torch.float64
    stacked = [rows[-1]["val_loss"] for rows in reports(together)]
    alone = [reports(loop_of([each]))[0][-1]["val_loss"] for each in trials]
    assert np.argsort(stacked).tolist() == np.argsort(alone).tolist()
    assert stacked == pytest.approx(alone, rel=1e-9)
