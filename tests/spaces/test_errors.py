"""The one wording for a mistaken name, and which name was probably meant."""

from __future__ import annotations

import pytest

from archsearch.spaces.errors import nearest, unknown


def test_the_wording() -> None:
    assert unknown("metric", "los", ["loss", "accuracy"]) == (
        "unknown metric 'los'; known: accuracy, loss; did you mean 'loss'?"
    )
    assert unknown("metric", "x", []) == "unknown metric 'x'; known: none"


@pytest.mark.parametrize(
    ("got", "known", "meant"),
    [
        ("Relu", ["gelu", "relu", "tanh"], "relu"),
        ("ReLU", ["gelu", "relu", "tanh"], "relu"),
        ("LOSS", ["loss", "accuracy"], "loss"),
        ("loss", ["LOSS"], "LOSS"),
        ("lr", ["learning_rate", "layers"], "learning_rate"),
        ("LR", ["learning_rate", "layers"], "learning_rate"),
        ("wd", ["width", "weight_decay"], "weight_decay"),
        ("bs", ["batch_size", "base"], "batch_size"),
        ("acc", ["train_loss", "val_accuracy", "val_loss"], "val_accuracy"),
        ("acc", ["accuracy", "val_accuracy"], "accuracy"),
        ("val_acc", ["val_accuracy", "val_loss"], "val_accuracy"),
        ("valAcc", ["val_accuracy", "val_loss"], "val_accuracy"),
        ("validation_loss", ["train_loss", "val_loss"], "val_loss"),
        ("loss", ["train_loss", "val_loss"], "val_loss"),
        ("rmse", ["train_loss", "val_loss", "val_rmse"], "val_rmse"),
        ("optim", ["optimizer", "learning_rate"], "optimizer"),
        ("weight-decay", ["weight_decay"], "weight_decay"),
        ("weightdecay", ["weight_decay"], "weight_decay"),
        ("val_acuracy", ["val_accuracy", "val_loss"], "val_accuracy"),
        ("lr", ["lr_max", "units"], "lr_max"),
        ("lr", ["lr", "learning_rate"], "lr"),
        ("n_trials", ["trials", "timeout"], "trials"),
        ("study_name", ["name", "strategy"], "name"),
        ("n_jobs", ["workers", "trials"], "workers"),
        ("x", ["x_train", "y_train"], None),
        ("colour", ["width", "depth"], None),
        ("", ["width"], None),
    ],
)
def test_the_nearest_name(got: str, known: list[str], meant: str | None) -> None:
    assert nearest(got, known) == meant
