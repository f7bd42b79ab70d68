"""Training on several targets per sample: the loss, the metrics, stacks, and the techniques that apply."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn.functional import binary_cross_entropy_with_logits

from archsearch import MLP, Choice, Float, Random, Recipe, SpecError, Split, Study, Supervised, arrays
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.class_balance import constant_labels_warning
from archsearch.search.training.losses import Losses
from archsearch.search.training.metrics import scores
from archsearch.search.training.tensors import Tensors

TASKS = ("multilabel", "regression")
STD = np.array([2.0, 500.0, 0.1])


def data_of(task, rows=150, **options):
    """Three targets that are linear in the inputs: their signs, or values of very different sizes."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(rows, 4))
    values = inputs @ rng.normal(size=(4, 3)) + rng.normal(size=(rows, 3)) / 20
    return arrays(inputs, values > 0.3 if task == "multilabel" else values * STD + 7.0, **options)


@pytest.fixture
def objective_of(trial):
    def make(task, recipe=None, network=None, **arguments):
        options = {"split": arguments.pop("split")} if "split" in arguments else {}
        network = network or MLP(layers=2, units=16)
        objective = Supervised(data_of(task, **options), network, recipe or Recipe(), **arguments)
        objective.attach(objective.prepare())
        return objective

    return make


@pytest.fixture(params=TASKS)
def task(request):
    return request.param


def outputs_for(data):
    return torch.randn(2, len(data.validation_targets), 3, generator=torch.Generator().manual_seed(0))


def test_the_losses_are_those_of_torch(task):
    data = Tensors.from_prepared("cpu", data_of(task).prepare())
    outputs, targets = outputs_for(data), data.validation_targets
    assert targets.shape == (30, 3)
    found = Losses([{}, {}], data).plain(outputs, targets.expand(2, -1, -1))
    function = binary_cross_entropy_with_logits if task == "multilabel" else torch.nn.functional.mse_loss
    expected = torch.stack([function(row, targets, reduction="none") for row in outputs]).mean(-1)
    torch.testing.assert_close(found, expected)


def test_the_scores_of_labels_are_those_of_scikit_learn():
    data = Tensors.from_prepared("cpu", data_of("multilabel").prepare())
    names, outputs = ("val_auroc", "val_f1", "val_precision", "val_recall"), outputs_for(data)
    targets = data.validation_targets.numpy()
    for row, said in zip(scores(names, outputs, data), outputs.numpy(), strict=True):
        assert row == pytest.approx(
            {
                "val_auroc": metrics.roc_auc_score(targets, said, average="macro"),
                "val_f1": metrics.f1_score(targets, said > 0, average="macro"),
                "val_precision": metrics.precision_score(targets, said > 0, average="macro"),
                "val_recall": metrics.recall_score(targets, said > 0, average="macro"),
            }
        )


def test_the_scores_of_numbers_are_in_the_units_of_each_target():
    prepared = data_of("regression").prepare()
    data = Tensors.from_prepared("cpu", prepared)
    outputs = outputs_for(data)
    targets = prepared.validation.targets * prepared.target_std + prepared.target_mean
    for row, said in zip(scores(("val_mae", "val_r2"), outputs, data), outputs.numpy(), strict=True):
        values = said * prepared.target_std + prepared.target_mean
        expected = {
            "val_mae": metrics.mean_absolute_error(targets, values),
            "val_r2": metrics.r2_score(targets, values),
        }
        assert row == pytest.approx(expected, rel=1e-5)


def test_what_is_always_reported(objective_of, trial, task):
    """The loss and the score are those of the predictions that a metric of one's own is given."""
    seen = []

    def watch(predictions, targets):
        seen.append((predictions, targets))
        return 0.0

    objective = objective_of(task, metrics=(watch,))
    (report,) = objective(trial(budget=1))
    predictions, targets = (each.numpy() for each in seen[-1])
    assert predictions.shape == targets.shape == (30, 3)
    if task == "multilabel":
        assert seen[-1][1].dtype == torch.int64
        assert list(report) == ["train_loss", "val_loss", "val_accuracy", "val_watch"]
        assert report["val_accuracy"] == pytest.approx(1 - metrics.hamming_loss(targets, predictions > 0.5))
        entropy = -np.where(targets == 1, np.log(predictions), np.log(1 - predictions)).mean()
        assert report["val_loss"] == pytest.approx(entropy, rel=1e-5)
    else:
        assert list(report) == ["train_loss", "val_loss", "val_rmse", "val_watch"]
        errors = np.sqrt(((predictions - targets) ** 2).mean(axis=0))
        assert report["val_rmse"] == pytest.approx(metrics.root_mean_squared_error(targets, predictions), rel=1e-5)
        assert report["val_loss"] == pytest.approx(((errors / objective.prepare().target_std) ** 2).mean(), rel=1e-5)


def test_it_learns(objective_of, trial, task):
    score = "val_f1" if task == "multilabel" else "val_r2"
    objective = objective_of(task, Recipe(learning_rate=0.02), metrics=(score,))
    *_, last = objective(trial(budget=30, learning_rate=0.02))
    assert last[score] > 0.85


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_a_row_is_what_it_is_alone(objective_of, trial, one_thread, task, mixup):
    extra = ("val_f1", "val_auroc") if task == "multilabel" else ("val_r2", "val_mae")
    objective = objective_of(task, Recipe(mixup=mixup, averaging="ema", patience=2), metrics=extra)
    settings = {"averaging": "ema", "ema_decay": 0.9, "patience": 2, **({"mixup": mixup} if mixup else {})}
    trials = [
        trial(seed=seed, budget=3, learning_rate=0.01 * seed, dropout=0.1 * seed, **settings) for seed in (1, 2, 3)
    ]
    assert len({objective.stack_key(each.config) for each in trials}) == 1
    together = zip(*objective.run_stack(trials), strict=True)
    for each, mine in zip(trials, together, strict=True):
        assert [row for row in mine if row is not None] == list(objective(each))


class Kept:
    due, state = True, None

    def save(self, state):
        self.state, self.due = pickle.loads(pickle.dumps(state)), False


def test_a_trial_goes_on_from_its_checkpoint(objective_of, trial, one_thread, task):
    objective, kept = objective_of(task), Kept()
    running = trial(budget=4)
    whole = list(objective(replace(running, checkpoint_writer=kept)))
    assert list(objective(replace(running, restored=kept.state))) == whole[1:]


def own_loss(predictions, targets):
    """Called with the logits, or the standardized values, of one network."""
    assert predictions.shape == targets.shape == (len(targets), 3)
    if targets.min() >= 0:  # labels
        return binary_cross_entropy_with_logits(predictions, targets, reduction="none").mean(-1)
    return (predictions - targets).square().mean(-1)


def test_the_built_in_loss_as_ones_own_trains_alike(objective_of, trial, task):
    plain, own = objective_of(task), objective_of(task, Recipe(loss=own_loss))
    own.check_functions(own.prepare())
    for one, other in zip(plain(trial(mixup=0.2)), own(trial(mixup=0.2, loss="own_loss")), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_loss_of_each_target_is_refused(objective_of, task):
    objective = objective_of(task, Recipe(loss=lambda predictions, targets: (predictions - targets).square()))
    with pytest.raises(SpecError, match=r"the loss of each sample, .* shape \(2,\), .* got a tensor of shape \(2, 3\)"):
        objective.check_functions(objective.prepare())
    objective = objective_of(task, Recipe(loss=lambda predictions, targets: (predictions - targets).square().sum()))
    with pytest.raises(SpecError, match="returns the sum over the samples"):
        objective.check_functions(objective.prepare())


@pytest.mark.parametrize("setting", [{"class_weights": "balanced"}, {"label_smoothing": 0.1}])
def test_what_is_for_one_class_per_sample_is_refused(task, setting):
    (name,) = setting
    with pytest.raises(SpecError, match=f"Recipe {name} needs classes, but the task is {task}"):
        Supervised(data_of(task), MLP(layers=1, units=4), Recipe(**setting)).prepare()


@pytest.mark.parametrize("name", ["val_top_2", "val_balanced_accuracy", "val_r2"])
def test_scores_that_labels_do_not_have(name):
    objective = Supervised(data_of("multilabel"), MLP(layers=1, units=4), metrics=(name,))
    with pytest.raises(
        SpecError, match=f"unknown metric '{name}'; known: .*val_precision.*the targets were taken as lab"
    ):
        objective.peek_metrics()


def test_a_label_that_is_missing_in_a_part():
    labels = np.random.default_rng(0).integers(2, size=(60, 3))
    prepared = arrays(np.random.default_rng(0).normal(size=(60, 2)), labels).prepare()
    assert constant_labels_warning(prepared) is None
    rare = prepared.train.targets.copy()
    rare[:, 1] = 0
    odd = replace(prepared, train=replace(prepared.train, targets=rare))
    assert constant_labels_warning(odd).startswith("labels 1 are the same in all training samples")
    rare = prepared.validation.targets.copy()
    rare[:, 2] = 1

    class Odd:
        def prepare(self):
            return replace(prepared, validation=replace(prepared.validation, targets=rare))

    Supervised(Odd(), MLP(layers=1, units=4), Recipe(batch_size=8), metrics=("val_f1",)).prepare()
    with pytest.raises(Exception, match="label 2 is the same in all 12 validation samples"):
        Supervised(Odd(), MLP(layers=1, units=4), Recipe(batch_size=8), metrics=("val_auroc",)).prepare()


def test_a_study_with_folds_and_reduced_inputs(tmp_path, task):
    goal = {"multilabel": {"maximize": "val_f1"}, "regression": {"minimize": "val_rmse"}}[task]
    recipe = Recipe(learning_rate=Float(1e-3, 1e-1, log=True), reduction=Choice("none", "pca"), batch_size=32)
    extra = ("val_f1", "flops") if task == "multilabel" else ("val_r2", "flops")
    objective = Supervised(data_of(task, split=Split(folds=2)), MLP(layers=1, units=8), recipe, extra, epochs=3)
    study = Study(name="several", objective=objective, strategy=Random(), trials=3, budget=2, executor="inline", **goal)
    found = preflight(study, 20)
    assert (found.failed, found.rehearsal.failed, found.warnings) == (0, 0, [])
    history = study.run(tmp_path / "several.db", quiet=True)
    assert len(history.in_state("finished")) == 3
    assert all(math.isfinite(value) for value in history.best.reports[-1].metrics.values())


def test_arrays_may_be_read_only():
    prepared = data_of("regression").prepare()
    prepared.target_std.flags.writeable = prepared.target_mean.flags.writeable = False  # as Ray maps them
    data = Tensors.from_prepared("cpu", prepared)  # a warning would be an error
    assert data.target_std.tolist() == prepared.target_std.tolist()
