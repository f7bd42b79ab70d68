"""Each technique of a recipe, through the whole loop: it does what it says, row by row, and can be taken up again."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from archsearch import MLP, Float, Space
from archsearch.search.protocols import TrialContext
from archsearch.search.training.loop import Diverged, Loop
from archsearch.search.training.metrics import metric_names
from archsearch.search.training.recipe import Recipe, stack_key
from archsearch.search.training.schedules import SCHEDULES
from archsearch.search.training.tensors import Tensors

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
        data = Tensors.from_prepared("cpu", blobs(samples, task=task))
        network = MLP(layers=2, units=16)
        named = metric_names(task, names)
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
    elsewhere |= {"loss", "augmentation", "functions", "techniques"}  # test_own_functions, test_own_techniques
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
    running = TrialContext(0, 1, config, 5, 7)

    def loop():
        return Loop(Own(), Tensors.from_prepared("cpu", blobs()), [running], 5, metric_names("classification"))

    whole, first, second = loop(), loop(), loop()
    results = [whole.epoch() for _ in range(5)]
    kept = [first.epoch() for _ in range(2)]
    second.restore(first.state())
    assert [*kept, *(second.epoch() for _ in range(3))] == results


@pytest.mark.parametrize("batch", [8, 16])  # of the epoch's 101 samples, the last step has 5 and 16 + 16 + 5
def test_accumulated_batches_make_the_step_of_one_large_batch(loop_of, trial, batch):
    small = reports(loop_of([trial(budget=3, batch_size=batch, accumulate=4, optimizer="sgd", momentum=0.0)]))[0]
    large = reports(loop_of([trial(budget=3, batch_size=4 * batch, optimizer="sgd", momentum=0.0)]))[0]
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


def test_mixup_blends_the_labels_as_it_does_the_inputs(loop_of, trial):
    """The loss is torch's of the blended one-hot labels."""
    loop = loop_of([trial(mixup=0.4), trial(mixup=1.0, seed=1)])
    loop._augmentation.epoch_begins(loop._training)
    index, data = torch.randperm(101)[:32].view(2, 16), loop._data
    losses = loop._batch_losses(data.train_inputs[index], data.train_targets[index], 20)
    share = loop._augmentation.share(20, 16).unsqueeze(-1)
    before = torch.cat([index[:, -1:], index[:, :-1]], 1)
    inputs, targets = data.train_inputs, torch.eye(3)[data.train_targets]
    outputs = loop._model(share * inputs[index] + (1 - share) * inputs[before])
    labels = share * targets[index] + (1 - share) * targets[before]
    expected = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    torch.testing.assert_close(losses.flatten(), expected)


def test_what_is_meant_for_training_is_not_in_the_validation(loop_of, trial):
    """Of weights that do not move, whatever they are trained with."""
    still = {"learning_rate": 1e-30, "budget": 1}
    techniques = ("label_smoothing", 0.3), ("class_weights", "balanced"), ("l2", 0.1), ("noise", 1.0), ("mixup", 1.0)
    ((plain,),) = reports(loop_of([trial(**still)]))
    for name, value in techniques:
        ((report,),) = reports(loop_of([trial(**still, **{name: value})]))
        assert report["val_loss"] == pytest.approx(plain["val_loss"])
        assert name == "l2" or report["train_loss"] != pytest.approx(plain["train_loss"], rel=1e-3)


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
    assert report["samples_per_second"] > 0
    assert report["peak_memory_bytes"] > 1e7
    assert report["val_top_2"] >= report["val_accuracy"]


def test_the_rate_that_is_told_is_that_of_the_last_step(loop_of, trial):
    """Of 7 steps an epoch and 3 epochs, along torch's cosine; each row its own."""
    trials = [trial(learning_rate=rate, schedule="cosine", budget=3) for rate in (0.02, 0.05)]
    for rate, rows in zip((0.02, 0.05), reports(loop_of(trials, names=["learning_rate"])), strict=True):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], rate)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3 * 7)
        rates = []
        for _ in range(3 * 7):
            rates.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        assert [report["learning_rate"] for report in rows] == pytest.approx(rates[6::7])


def test_the_gradient_norm_is_that_before_clipping(loop_of, trial):
    """In one step an epoch: the norm of the plain loss's gradient, by torch."""
    said = {"batch_size": 101, "learning_rate": 1e-30, "budget": 1}
    loop = loop_of([trial(**said, clip_norm=1e-3), trial(**said, seed=1)], names=["gradient_norm"])
    inputs = loop._data.train_inputs.expand(2, -1, -1)
    losses = [
        torch.nn.functional.cross_entropy(outputs, loop._data.train_targets) for outputs in loop._model.train()(inputs)
    ]
    expected = []
    for row, loss in enumerate(losses):
        gradients = torch.autograd.grad(loss, list(loop._model.parameters()), retain_graph=True)
        expected.append(torch.cat([gradient[row].flatten() for gradient in gradients]).norm().item())
    assert [report["gradient_norm"] for report in loop.epoch()] == pytest.approx(expected, rel=1e-4)


def test_the_stack_key_tells_apart_what_cannot_share_a_loop(trial):
    shared = [{"learning_rate": 0.5}, {"l1": 0.1}, {"schedule": "cosine"}, {"patience": 3}, {"label_smoothing": 0.1}]
    apart = [
        {"batch_size": 8}, {"accumulate": 2}, {"averaging": "ema"}, {"optimizer": "lion"}, {"mixup": 0.2},
        {"precision": "bfloat16"}, {"local_updates": "random"}, {"optimizer": "sgd", "nesterov": True},
    ]  # fmt: skip
    plain = stack_key(trial().config)
    assert {stack_key(trial(**said).config) for said in shared} == {plain}
    assert len({plain, *(stack_key(trial(**said).config) for said in apart)}) == len(apart) + 1
