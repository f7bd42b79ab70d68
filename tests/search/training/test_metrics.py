"""The named metrics are scikit-learn's, on what the networks say of the validation part."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from archsearch import SpecError, breast_cancer
from archsearch.search.training.metrics import EXTRA, check_name, metric_names, scores
from archsearch.search.training.tensors import Tensors


def of(blobs, task, names):
    """(scores of two rows, targets, what each row says), in the target's own units."""
    prepared = blobs(task=task)
    data = Tensors.from_prepared("cpu", prepared)
    outputs = torch.randn(2, len(prepared.validation), data.outputs, generator=torch.Generator().manual_seed(0))
    return scores(names, outputs, data), prepared, outputs


def test_the_scores_of_classes(blobs):
    names = ("val_auroc", "val_balanced_accuracy", "val_f1", "val_precision", "val_recall", "val_top_2")
    rows, prepared, outputs = of(blobs, "classification", names)
    targets = prepared.validation.targets
    for row, said in zip(rows, outputs, strict=True):
        shares = torch.softmax(said.double(), -1).numpy()
        guesses = shares.argmax(1)
        assert row == pytest.approx(
            {
                "val_auroc": metrics.roc_auc_score(targets, shares, multi_class="ovr"),
                "val_balanced_accuracy": metrics.balanced_accuracy_score(targets, guesses),
                "val_f1": metrics.f1_score(targets, guesses, average="macro"),
                "val_precision": metrics.precision_score(targets, guesses, average="macro"),
                "val_recall": metrics.recall_score(targets, guesses, average="macro"),
                "val_top_2": metrics.top_k_accuracy_score(targets, shares, k=2),
            }
        )


def test_the_scores_of_a_regression_are_in_the_targets_own_units(blobs):
    rows, prepared, outputs = of(blobs, "regression", ("val_mae", "val_r2"))
    targets = prepared.validation.targets * 20.0 + 50.0
    for row, said in zip(rows, outputs, strict=True):
        guesses = said.squeeze(-1).double().numpy() * 20.0 + 50.0
        expected = {
            "val_mae": metrics.mean_absolute_error(targets, guesses),
            "val_r2": metrics.r2_score(targets, guesses),
        }
        assert row == pytest.approx(expected, rel=1e-5)


def test_other_names_are_passed_over(blobs):
    assert of(blobs, "classification", ("val_loss", "learning_rate", "parameters"))[0] == [{}, {}]


def test_names_follow_the_task():
    assert metric_names("classification", ["val_f1", "val_f1", "val_loss"]) == (
        "train_loss",
        "val_loss",
        "val_accuracy",
        "val_f1",
    )
    assert metric_names("regression", ["val_r2"]) == ("train_loss", "val_loss", "val_rmse", "val_r2")
    assert metric_names("classification", ["val_top_3"])[-1] == "val_top_3"
    for task, name in (
        ("classification", "val_r2"),
        ("regression", "val_f1"),
        ("regression", "val_top_3"),
        ("classification", "val_top_0"),
    ):
        with pytest.raises(SpecError, match=f"unknown metric '{name}'"):
            metric_names(task, [name])
    for name in (*EXTRA, "val_top_7"):
        check_name(name)
    with pytest.raises(SpecError, match="did you mean 'val_auroc'"):
        check_name("val_auc")


def test_two_classes_need_the_share_of_the_second_alone():
    prepared = breast_cancer().prepare()
    outputs = torch.randn(1, len(prepared.validation), 2, generator=torch.Generator().manual_seed(1))
    (row,) = scores(["val_auroc"], outputs, Tensors.from_prepared("cpu", prepared))
    shares = torch.softmax(outputs[0].double(), -1).numpy()[:, 1]
    assert row["val_auroc"] == pytest.approx(metrics.roc_auc_score(prepared.validation.targets, shares))
