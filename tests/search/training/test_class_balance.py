"""The hint for imbalanced classes, and when it is not given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from archsearch import MLP, Choice, Random, Recipe, Study, Supervised, arrays
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.class_balance import imbalance_warning


def of(rare: int, common: int = 300, others: int = 0, **options):
    """Data with so many rows of each class; three fifths of them are for training."""
    labels = np.repeat(["yes", "no", "maybe"], [rare, common, others])
    inputs = np.random.default_rng(0).normal(size=(len(labels), 3))
    return arrays(inputs, labels, **options)


def own(predictions, targets):
    return 0.5


def test_the_hint_names_the_classes_and_what_to_change():
    warning = imbalance_warning(of(30, others=100).prepare(), Recipe(), ())
    assert warning == (
        "the classes are imbalanced: of 258 training samples, 180 are 'no' and 18 'yes', so that predicting the former "
        "for all of them is 69.8% accurate; compare trials by Supervised(metrics=('val_balanced_accuracy',)) and try "
        "Recipe(class_weights=Choice('none', 'balanced'))"
    )


def test_without_imbalance_there_is_none():
    assert imbalance_warning(of(35, others=100).prepare(), Recipe(), ()) is None
    numbers = replace(of(30).prepare(), task="regression", classes=())
    assert imbalance_warning(numbers, Recipe(), ()) is None


@pytest.mark.parametrize(
    ("recipe", "metrics", "end"),
    [
        (Recipe(class_weights="balanced"), (), "accurate; compare trials by Supervised(metrics=('val_balanced_acc"),
        (Recipe(class_weights=Choice("none", "balanced")), ("parameters",), "accurate; compare trials by Supervised("),
        (Recipe(), ("val_f1",), "accurate; try Recipe(class_weights=Choice('none', 'balanced'))"),
        (Recipe(), (own,), "accurate; try Recipe(class_weights=Choice('none', 'balanced'))"),
        (Recipe(class_weights="balanced"), ("val_auroc",), None),
    ],
)
def test_what_a_study_does_already_is_not_recommended(recipe, metrics, end):
    objective = Supervised(of(20), MLP(layers=1, units=4), recipe, metrics=metrics)
    (*warnings,) = objective.data_warnings(objective.prepare())
    assert len(warnings) == (end is not None)
    assert all(end in warning for warning in warnings)


def test_a_check_shows_it():
    objective = Supervised(of(20), MLP(layers=1, units=4))
    study = Study(name="s", objective=objective, maximize="val_accuracy", strategy=Random(), budget=1, trials=1)
    (warning,) = preflight(study, 1).warnings
    assert warning.startswith("the classes are imbalanced")
