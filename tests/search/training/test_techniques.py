"""Each technique of a recipe, through the whole loop: it does what it says, row by row, and can be taken up again."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from search.protocols import Running
from search.training.loop import Diverged, Loop
from search.training.metrics import metric_names
from search.training.recipe import Recipe, stack_key
from search.training.schedules import SCHEDULES
from search.training.tensors import Tensors
from spaces import Float, Space
from spaces.networks import MLP

TECHNIQUES = {
    "nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    **{name: {"optimizer": name, "weight_decay": 0.1} for name in ("adagrad", "adam", "lion", "rmsprop", "sgd")},
    **{f"schedule {name}": {"schedule": name} for name in SCHEDULES if name not in ("constant", "plateau", "step")},
    "plateau": {"schedule": "plateau", "schedule_epochs": 1, "learning_rate": 0.3},
    "warm-up": {"warmup_epochs": 2},
    "schedule step": {"schedule": "step", "schedule_decay": 0.5, "schedule_epochs": 2},
    "l1": {"l1": 1e-2},
    "l2": {"l2": 1e-1},
    "label smoothing": {"label_smoothing": 0.2},
    "clip norm": {"clip_norm": 0.01, "optimizer": "sgd"},
    "clip value": {"clip_value": 0.001, "optimizer": "sgd"},
    "class weights": {"class_weights": "balanced"},
    "accumulate": {"accumulate": 2},
    "bfloat16": {"precision": "bfloat16"},
    "ema": {"averaging": "ema", "ema_decay": 0.8},
    "swa": {"averaging": "swa", "swa_start": 0.25},
    "noise": {"noise": 0.2},
    "mixup": {"mixup": 0.4},
    "random blocks": {"local_updates": "random", "block_fraction": 0.4},
    "cyclic blocks": {"local_updates": "cyclic", "block_fraction": 0.4},
    "last blocks": {"local_updates": "last", "block_fraction": 0.4},
    "ball": {"max_norm": 1.0},
    "early stopping": {"patience": 1, "learning_rate": 0.1},
}
ALL = {
    "optimizer": "adam", "schedule": "one_cycle", "warmup_epochs": 1, "l1": 1e-4, "label_smoothing": 0.1,
    "clip_norm": 1.0, "accumulate": 2, "averaging": "ema", "ema_decay": 0.9, "noise": 0.1, "mixup": 0.2,
    "local_updates": "random", "block_fraction": 0.7, "max_norm": 3.0, "patience": 4, "dropout": 0.2,
}  # fmt: skip


@pytest.fixture
def loop_of(blobs):
    def make(trials, *, task="classification", names=(), samples=101):
        data = Tensors.on("cpu", blobs(samples, task=task))
        network = MLP(layers=2, units=16)
        named = metric_names(task == "classification", names)
        return Loop(network, data, trials, trials[0].budget, named)

    return make


def reports(loop):
    found = []
    while not loop.over:
        found.append(loop.epoch())
    return [list(rows) for rows in zip(*found, strict=True)]


@pytest.mark.parametrize("name", TECHNIQUES)
def test_each_technique_changes_what_is_learnt(loop_of, trial, name):
    plain, changed = (reports(loop_of([trial(budget=4, **said)]))[0] for said in ({}, TECHNIQUES[name]))
    assert changed != plain
    assert all(math.isfinite(value) for report in changed for value in report.values())


def test_every_setting_of_the_recipe_has_a_technique_here():
    tested = {name for said in (*TECHNIQUES.values(), ALL) for name in said}
    elsewhere = {"rotation", "shift", "flip", "cutout"}  # test_augmentation
    elsewhere |= {"reduction", "reduction_dimension"}  # test_reduction
    assert set(Recipe.__dataclass_fields__) - elsewhere <= tested | {"batch_size", "weight_decay"}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_row_is_what_it_is_alone(loop_of, trial, one_thread, name):
    said = TECHNIQUES[name]
    rows = [{**said, "learning_rate": rate} for rate in (1e-2, 3e-3)]
    trials = [trial(seed=seed, budget=3, dropout=0.2 * seed, **row) for seed, row in enumerate(rows)]
    together = reports(loop_of(trials))
    for each, mine in zip(trials, together, strict=True):
        alone = reports(loop_of([each]))[0]
        assert [report for report in mine if report is not None] == alone


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("at", [1, 3])
def test_going_on_from_a_saved_state_equals_never_having_stopped(loop_of, trial, one_thread, task, at):
    said = ALL if task == "classification" else {k: v for k, v in ALL.items() if k != "label_smoothing"}
    trials = [trial(seed=seed, budget=6, norm="batch", **said) for seed in (1, 2)]
    whole, first, second = (loop_of(trials, task=task) for _ in range(3))
    results = [whole.epoch() for _ in range(6)]
    kept = [first.epoch() for _ in range(at)]
    state = first.state()
    first.epoch()  # what goes on does not change what was saved
    second.restore(state)
    assert [*kept, *(second.epoch() for _ in range(6 - at))] == results


class Own:
    """A user's family whose modules draw noise, keep statistics, and do not use one of their parameters."""

    space = Space(drop=Float(0.1, 0.5))

    def build(self, config, inputs, outputs):
        layers = [torch.nn.Linear(*inputs.shape, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(config["drop"])]
        module = torch.nn.Sequential(*layers, torch.nn.Linear(8, outputs))
        module.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
        return module


def test_a_users_own_module_goes_on_from_a_saved_state_too(blobs, trial, one_thread):
    config = {"drop": 0.4} | {name: trial(averaging="swa").config[name] for name in ("averaging", *Recipe().space)
                              if name != "momentum"}  # fmt: skip
    running = Running(0, 1, config, 5, 7)

    def loop():
        return Loop(Own(), Tensors.on("cpu", blobs()), [running], 5, metric_names(True))

    whole, first, second = loop(), loop(), loop()
    results = [whole.epoch() for _ in range(5)]
    kept = [first.epoch() for _ in range(2)]
    second.restore(first.state())
    assert [*kept, *(second.epoch() for _ in range(3))] == results


def test_accumulated_batches_make_the_step_of_one_large_batch(loop_of, trial):
    small = reports(loop_of([trial(budget=3, batch_size=8, accumulate=4, optimizer="sgd", momentum=0.0)]))[0]
    large = reports(loop_of([trial(budget=3, batch_size=32, optimizer="sgd", momentum=0.0)]))[0]
    for one, other in zip(small, large, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_label_smoothing_is_torchs(loop_of, trial):
    loop = loop_of([trial(label_smoothing=0.3), trial(label_smoothing=0.1)])
    outputs, targets = torch.randn(2, 9, 3), torch.randint(3, (2, 9))
    for row, smoothing in enumerate((0.3, 0.1)):
        expected = torch.nn.functional.cross_entropy(
            outputs[row], targets[row], label_smoothing=smoothing, reduction="none"
        )
        torch.testing.assert_close(loop._losses.trained(outputs, targets)[row], expected)


def test_balanced_class_weights_are_scikit_learns(loop_of, trial):
    from sklearn.utils.class_weight import compute_class_weight

    loop = loop_of([trial(class_weights="balanced")])
    targets = loop._data.train_targets
    weights = compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    outputs = torch.randn(1, len(targets), 3)
    plain = torch.nn.functional.cross_entropy(outputs[0], targets, reduction="none")
    expected = plain * torch.tensor(weights[targets.numpy()], dtype=torch.float32)
    torch.testing.assert_close(loop._losses.trained(outputs, targets[None])[0], expected)


def test_sixteen_mixed_recipes_in_one_stack_are_the_sixteen_alone(loop_of, trial, one_thread):
    """Also beside a row that diverges at once."""
    rng = np.random.default_rng(0)
    mixed = [
        {
            "learning_rate": float(10 ** rng.uniform(-4, -1)), "dropout": float(rng.uniform(0, 0.5)),
            "weight_decay": float(rng.uniform(0, 0.1)), "schedule": str(rng.choice(SCHEDULES)),
            "warmup_epochs": int(rng.integers(3)), "l1": float(rng.choice([0, 1e-3])),
            "label_smoothing": float(rng.choice([0, 0.1])), "patience": int(rng.integers(1, 9)),
        }
        for _ in range(15)
    ]  # fmt: skip
    mixed += [{"learning_rate": 1e38}]
    mixed[3]["clip_norm"] = mixed[7]["max_norm"] = mixed[9]["clip_value"] = 0.5
    trials = [trial(seed=seed, budget=5, **said) for seed, said in enumerate(mixed)]
    together = reports(loop_of(trials))
    for each, mine in zip(trials[:-1], together, strict=False):
        assert [report for report in mine if report is not None] == reports(loop_of([each]))[0]
    assert isinstance(together[-1][0], Diverged)


def test_early_stopping_ends_a_row_with_its_best_epoch(loop_of, trial):
    trials = [trial(budget=30, learning_rate=0.1, patience=3), trial(budget=30, learning_rate=1e-4)]
    stopped, going = reports(loop_of(trials))
    ended = [report for report in stopped if report is not None]
    assert len(ended) < 30 == len([report for report in going if report is not None])
    losses = [report["val_loss"] for report in ended]
    best = min(losses[:-1])
    assert losses[-1] == best
    assert losses.index(best) == len(losses) - 1 - 3  # the epoch that was followed by three that were no better
    assert ended[-1]["val_accuracy"] == ended[losses.index(best)]["val_accuracy"]


def test_a_row_that_comes_to_its_end_with_patience_reports_its_best(loop_of, trial):
    (rows,) = reports(loop_of([trial(budget=8, learning_rate=0.1, patience=100)]))
    assert rows[-1]["val_loss"] == min(report["val_loss"] for report in rows)


@pytest.mark.parametrize("rate", [1e38, 1e6])
def test_divergence_ends_the_row_with_its_reason_and_leaves_the_others(loop_of, trial, one_thread, rate):
    sick, healthy = (
        trial(seed=1, budget=4, optimizer="sgd", learning_rate=rate),
        trial(seed=2, budget=4, optimizer="sgd"),
    )
    (first, *rest), others = reports(loop_of([sick, healthy]))
    assert isinstance(first, Diverged)
    assert re.fullmatch(r"train_loss (is nan|exploded to \S+) after epoch 1; lower the learning rate, .*", str(first))
    assert rest == [None] * 3
    assert others == reports(loop_of([healthy]))[0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_row_that_diverges_spoils_nobodys_scores(loop_of, trial, task):
    names = ("val_auroc", "val_f1", "val_top_2") if task == "classification" else ("val_r2", "val_mae")
    trials = [trial(optimizer="sgd", learning_rate=rate, budget=2) for rate in (1e38, 1e-2)]
    sick, healthy = reports(loop_of(trials, task=task, names=names))
    assert isinstance(sick[0], Diverged)
    assert all(math.isfinite(report[name]) for report in healthy for name in names)


def test_what_is_named_is_measured(loop_of, trial):
    names = ("learning_rate", "gradient_norm", "samples_per_second", "peak_memory_bytes", "val_f1", "val_top_2")
    ((report, *_),) = reports(loop_of([trial(learning_rate=0.02, schedule="exponential")], names=names))
    assert list(report) == ["train_loss", "val_loss", "val_accuracy", *names]
    assert report["learning_rate"] == 0.02
    assert report["gradient_norm"] > 0
    assert report["samples_per_second"] > 0
    assert report["peak_memory_bytes"] > 1e7
    assert report["val_top_2"] >= report["val_accuracy"]


FRESH = """
from search.protocols import Running
from search.training import Supervised, digits
from spaces import Float, Space
from spaces.networks import MLP
import json, torch
torch.set_num_threads(1)
objective = Supervised(digits(), MLP(layers=1, units=16, dropout=0.2, norm="batch"))
objective.attach(objective.prepare())
said = {}
config = {"layers": 1, "units_1": 16, "activation": "relu", "dropout": 0.2, "norm": "batch", "learning_rate": 1e-3,
          "batch_size": 64, "weight_decay": 0.0} | said
print(json.dumps(list(objective(Running(0, 1, config, 2, 7)))))
"""


def test_the_same_trial_in_fresh_processes_gives_the_same_bits():
    said = {**ALL, "rotation": 15.0, "shift": 1, "flip": True, "cutout": 2}
    code = FRESH.replace("said = {}", f"said = {said!r}")
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "12"
    )
    assert first == second
    assert "val_loss" in first


def test_the_stack_key_tells_apart_what_cannot_share_a_loop(trial):
    shared = [{"learning_rate": 0.5}, {"l1": 0.1}, {"schedule": "cosine"}, {"patience": 3}, {"label_smoothing": 0.1}]
    apart = [
        {"batch_size": 8}, {"accumulate": 2}, {"averaging": "ema"}, {"optimizer": "lion"}, {"mixup": 0.2},
        {"precision": "bfloat16"}, {"local_updates": "random"}, {"optimizer": "sgd", "nesterov": True},
    ]  # fmt: skip
    plain = stack_key(trial().config)
    assert {stack_key(trial(**said).config) for said in shared} == {plain}
    assert len({plain, *(stack_key(trial(**said).config) for said in apart)}) == len(apart) + 1
