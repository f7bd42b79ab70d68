"""Hints about the frequency of classes and labels.

On data with imbalanced classes, the plain accuracy says little (He and Garcia, 2009, "Learning from imbalanced data",
section 4).
"""

from __future__ import annotations

import numpy as np

from archsearch.search.training.data import Prepared
from archsearch.search.training.metrics import SCORES, Given, Metric, own_metrics
from archsearch.search.training.recipe import Recipe
from archsearch.spaces.networks.arguments import extremes
from archsearch.studies.formatting import percent

RATIO = 10  # between the largest and the smallest class, from which classes count as imbalanced


def imbalance_warning(prepared: Prepared, recipe: Recipe, metrics: Given) -> str | None:
    """What to change if the classes of the training part are imbalanced.

    Args:
        prepared: The data.
        recipe: The recipe.
        metrics: The metrics that are reported in addition to the losses and the accuracy.

    Returns:
        A warning; None if the classes are balanced, or if the study takes account of their frequency already.
    """
    if prepared.task != "classification":
        return None
    counts = np.bincount(prepared.train.targets, minlength=prepared.outputs)
    common, rare = int(counts.argmax()), int(counts.argmin())
    if counts[common] < RATIO * counts[rare]:
        return None
    fixes = []
    if not any(isinstance(metric, Metric) or metric in SCORES["classification"] for metric in own_metrics(metrics)):
        fixes.append("compare trials by Supervised(metrics=('val_balanced_accuracy',))")
    if "balanced" not in extremes(recipe.class_weights):
        fixes.append("try Recipe(class_weights=Choice('none', 'balanced'))")
    if not fixes:
        return None
    return (
        f"the classes are imbalanced: of {counts.sum():,} training samples, {counts[common]:,} are "
        f"'{prepared.classes[common]}' and {counts[rare]:,} '{prepared.classes[rare]}', so that predicting the former "
        f"for all of them is {percent(counts[common] / counts.sum())} accurate; {' and '.join(fixes)}"
    )


def constant_labels_warning(prepared: Prepared) -> str | None:
    """Name the labels that are the same in all training samples; None if there are none, or for another task."""
    if prepared.task != "multilabel":
        return None
    same = np.flatnonzero(np.ptp(prepared.train.targets, axis=0) == 0)
    if not len(same):
        return None
    names = ", ".join(prepared.classes[label] for label in same)
    return (
        f"labels {names} are the same in all training samples, so nothing about them can be learned; add samples, or "
        "remove these labels"
    )
