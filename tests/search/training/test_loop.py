"""The loop: what it reports, that it repeats, that rows stay apart, and that it learns."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from archsearch import MLP, Inputs, Recipe, Supervised, diabetes, digits
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.loop import Diverged

DIGITS = """
from archsearch.search.protocols import TrialContext
from archsearch import MLP, Inputs, Supervised, digits
import torch
torch.set_num_threads(1)
objective = Supervised(digits(), MLP(layers=1, units=16))
objective.attach(objective.prepare())
config = {"layers": 1, "units_1": 16, "activation": "relu", "dropout": 0.2, "norm": "batch",
          "optimizer": "adamw", "learning_rate": 1e-3, "batch_size": 64, "weight_decay": 0.0}
result = list(objective(TrialContext(0, 1, config, 2, 7)))
"""

ROWS = [
    {"learning_rate": 1e-3, "dropout": 0.0, "weight_decay": 0.0, "seed": 1},
    {"learning_rate": 1e-2, "dropout": 0.3, "weight_decay": 0.1, "seed": 2},
    {"learning_rate": 3e-3, "dropout": 0.5, "weight_decay": 1e-3, "seed": 3},
]


def by_trial(objective, trials):
    return [list(reports) for reports in zip(*objective.run_stack(trials), strict=True)]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_report_each_epoch_with_the_promised_names(blobs, objective_on, trial, task):
    prepared = blobs(task=task)
    objective = objective_on(prepared)
    reports = list(objective(trial(budget=4)))
    assert len(reports) == 4
    assert all(tuple(metrics) == objective.metrics_of(prepared) for metrics in reports)
    assert all(isinstance(value, float) for metrics in reports for value in metrics.values())


def test_the_first_epochs_numbers_are_those_of_a_plain_computation(blobs, objective_on, trial):
    """With a learning rate too small to change anything, every loss is that of the starting weights."""
    prepared = blobs()
    (metrics,) = objective_on(prepared)(trial(seed=3, budget=1, learning_rate=1e-30))
    generator = torch.Generator().manual_seed(3)
    start = MLP(layers=2, units=16).stack([trial().config], Inputs((5,)), 3, [generator])
    losses = {}
    for name, part in (("train", prepared.train), ("val", prepared.validation)):
        outputs = start(torch.tensor(part.inputs)[None])[0]
        losses[name] = torch.nn.functional.cross_entropy(outputs, torch.tensor(part.targets)).item()
    assert metrics["train_loss"] == pytest.approx(losses["train"], rel=1e-5)
    assert metrics["val_loss"] == pytest.approx(losses["val"], rel=1e-5)
    right = (outputs.argmax(-1) == torch.tensor(prepared.validation.targets)).float().mean().item()
    assert metrics["val_accuracy"] == pytest.approx(right)


def test_rmse_is_in_the_targets_own_units(blobs, objective_on, trial):
    (metrics,) = objective_on(blobs(task="regression"))(trial(budget=1))
    assert metrics["val_rmse"] == pytest.approx(20 * math.sqrt(metrics["val_loss"]))


class Watched(MLP):
    """Keeps the training batches that its stacks are given."""

    batches: ClassVar[list[torch.Tensor]] = []

    def stack(self, *arguments):
        model = super().stack(*arguments)
        model.register_forward_pre_hook(
            lambda module, given: self.batches.append(given[0]) if module.training else None
        )
        return model


def test_each_epoch_shows_every_row_every_sample_once_in_an_order_of_its_own(blobs, objective_on, trial):
    prepared = blobs(101)
    Watched.batches.clear()
    objective = replace(objective_on(prepared), network=Watched(layers=2, units=16))
    objective.attach(prepared)
    list(objective.run_stack([trial(seed=1), trial(seed=2)]))
    sizes = [batch.shape[1] for batch in Watched.batches]
    assert sizes == [16, 16, 16, 16, 16, 16, 5] * 2
    first, second = torch.cat(Watched.batches[:7], 1), torch.cat(Watched.batches[7:], 1)  # (2, 101, 5)
    orders = [[sample.tolist() for sample in row] for row in (*first, *second)]
    assert all(sorted(order) == sorted(prepared.train.inputs.tolist()) for order in orders)
    assert len({str(order) for order in (*orders, prepared.train.inputs.tolist())}) == 5


def test_dropout_is_on_again_after_the_first_evaluation(blobs, objective_on, trial):
    objective = objective_on(blobs())
    (_, noisy), (_, quiet) = (list(objective(trial(learning_rate=1e-30, dropout=rate))) for rate in (0.5, 0.0))
    assert noisy["train_loss"] != pytest.approx(quiet["train_loss"], rel=1e-3)
    assert noisy["val_loss"] == pytest.approx(quiet["val_loss"])


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_validation_in_chunks_gives_what_one_piece_gives(blobs, objective_on, trial, monkeypatch, norm):
    objective = objective_on(blobs())
    whole = list(objective(trial(norm=norm)))
    monkeypatch.setattr("archsearch.search.training.loop.CHUNK", 7)
    pieces = list(objective(trial(norm=norm)))
    for one, other in zip(whole, pieces, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd"},
        {"learning_rate": 2e-2},
        {"batch_size": 17},
        {"weight_decay": 0.5},
        {"dropout": 0.5},
        {"norm": "batch"},
        {"seed": 1},
    ],
)
def test_every_parameter_changes_the_result(blobs, objective_on, trial, change):
    objective = objective_on(blobs())
    assert list(objective(trial())) != list(objective(trial(**change)))


def test_momentum_changes_the_result(blobs, objective_on, trial):
    objective = objective_on(blobs())
    assert list(objective(trial(optimizer="sgd"))) != list(objective(trial(optimizer="sgd", momentum=0.5)))


def test_the_same_seed_gives_the_same_numbers_whatever_torchs_global_state(blobs, objective_on, trial):
    objective = objective_on(blobs())
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = list(objective(trial(dropout=0.5)))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert list(objective(trial(dropout=0.5))) == first


def test_the_same_seed_gives_the_same_numbers_in_a_fresh_process(one_thread):
    here: dict[str, object] = {}
    exec(DIGITS, here)
    there = subprocess.run(
        [sys.executable, "-c", DIGITS + "print(result)"], capture_output=True, text=True, check=True, timeout=120
    )
    assert there.stdout.strip() == str(here["result"])


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_stack_gives_each_trial_what_it_gets_alone(
    blobs, objective_on, trial, one_thread, task, optimizer, norm, activation
):
    """To the last bit, for widths of whole cache lines (16 floats), also after partial batches."""
    objective = objective_on(blobs(task=task))
    settings = {"optimizer": optimizer, "norm": norm, "activation": activation, "budget": 3}
    trials = [trial(**settings, **row) for row in ROWS]
    assert by_trial(objective, trials) == [list(objective(each)) for each in trials]


@pytest.mark.parametrize("activation", ["mish", "relu"])
def test_odd_widths_agree_within_rounding(blobs, objective_on, trial, activation):
    objective = objective_on(blobs())
    trials = [trial(units_1=7, units_2=33, activation=activation, **row) for row in ROWS]
    for stacked, each in zip(by_trial(objective, trials), trials, strict=True):
        for one, other in zip(stacked, objective(each), strict=True):
            assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_row_that_turns_nan_hurts_no_neighbour(blobs, objective_on, trial, one_thread, optimizer, norm):
    objective = objective_on(blobs(task="regression"))
    rows = [*ROWS[:2], {"learning_rate": 1e38, "dropout": 0.5, "weight_decay": 1.0, "seed": 4}]
    trials = [trial(optimizer=optimizer, norm=norm, budget=3, **row) for row in rows]
    *healthy, sick = by_trial(objective, trials)
    assert isinstance(sick[0], Diverged)
    assert sick[1:] == [None, None]
    assert healthy == [list(objective(each)) for each in trials[:2]]


def test_the_prepared_arrays_are_not_written_to(blobs, objective_on, trial):
    prepared = blobs()
    before = [part.inputs.tobytes() + part.targets.tobytes() for part in (prepared.train, prepared.validation)]
    list(objective_on(prepared)(trial()))
    assert [p.inputs.tobytes() + p.targets.tobytes() for p in (prepared.train, prepared.validation)] == before


def test_the_data_and_not_its_order_in_memory_decides_a_class(blobs, objective_on, trial):
    """Validation targets that are all wrong by one give an accuracy near nought: targets do reach the score."""
    prepared = blobs(300)
    wrong = Part(prepared.validation.inputs, (prepared.validation.targets + 1) % 3)
    *_, right = objective_on(prepared)(trial(budget=5))
    *_, shifted = objective_on(replace(prepared, validation=wrong))(trial(budget=5))
    assert right["val_accuracy"] > 0.7
    assert shifted["val_accuracy"] < 0.3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_digits_are_learned(trial, optimizer):
    objective = Supervised(digits(), MLP(layers=2, units=64), Recipe(optimizer=optimizer))
    objective.attach(objective.prepare())
    rate = {"sgd": 0.02, "adamw": 3e-3}[optimizer]
    *_, last = objective(trial(budget=10, units_1=64, units_2=64, optimizer=optimizer, learning_rate=rate))
    assert last["val_accuracy"] > 0.95


def test_diabetes_is_predicted_better_than_by_the_mean(trial):
    objective = Supervised(diabetes(), MLP(layers=2, units=16))
    shared = objective.prepare()
    objective.attach(shared)
    *_, last = objective(trial(budget=20, learning_rate=3e-3, weight_decay=0.1))
    assert last["val_rmse"] < 0.85 * shared.target_std
