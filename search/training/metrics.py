"""What a trial reports after each epoch, beside its losses: only what is named is computed.

The scores are scikit-learn's, on the validation part; of several classes, precision, recall and F1 are the plain mean
over the classes ("macro"), and AUROC is that of each class against the rest. `val_top_K` is the share of samples whose
class is among the K most likely. A regression's scores are in the target's own units.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.training.tensors import Tensors
from spaces.errors import SpecError, unknown

LOSSES = ("train_loss", "val_loss")
STANDARD = {True: "val_accuracy", False: "val_rmse"}  # by whether it is a classification; always reported
PROGRESS = ("gradient_norm", "learning_rate", "peak_memory_bytes", "samples_per_second")
COSTS = ("flops", "parameters")

Score = Callable[[NDArray[Any], NDArray[Any]], float]  # (targets, outputs) -> score


def classification_scores(classes: int) -> dict[str, Score]:
    """The scores by name, as functions of class indices (n,) and class probabilities (n, classes)."""
    from sklearn import metrics  # here, not above: it loads slowly, and most studies need none of it

    def of_labels(score: Callable[..., float], **settings: Any) -> Score:
        return lambda targets, shares: float(score(targets, shares.argmax(axis=1), **settings))

    def auroc(targets: NDArray[Any], shares: NDArray[Any]) -> float:
        if classes == 2:
            return float(metrics.roc_auc_score(targets, shares[:, 1]))
        return float(metrics.roc_auc_score(targets, shares, multi_class="ovr", labels=np.arange(classes)))

    macro = {"average": "macro", "zero_division": 0, "labels": np.arange(classes)}
    return {
        "val_balanced_accuracy": of_labels(metrics.balanced_accuracy_score),
        "val_precision": of_labels(metrics.precision_score, **macro),
        "val_recall": of_labels(metrics.recall_score, **macro),
        "val_f1": of_labels(metrics.f1_score, **macro),
        "val_auroc": auroc,
    }


def regression_scores() -> dict[str, Score]:
    """The scores by name, as functions of targets (n,) and predictions (n,)."""
    from sklearn import metrics  # as above

    return {
        "val_mae": lambda targets, guesses: float(metrics.mean_absolute_error(targets, guesses)),
        "val_r2": lambda targets, guesses: float(metrics.r2_score(targets, guesses)),
    }


SCORES = {
    True: ("val_auroc", "val_balanced_accuracy", "val_f1", "val_precision", "val_recall"),
    False: ("val_mae", "val_r2"),
}
_TOP = re.compile(r"val_top_([1-9]\d*)")


# What may be named; and `val_top_K` for any K.
EXTRA = (*COSTS, *PROGRESS, *SCORES[True], *SCORES[False])


def check_name(name: object) -> None:
    """Raises SpecError unless it is the name of a metric of some task."""
    if name not in EXTRA and not (isinstance(name, str) and _TOP.fullmatch(name)):
        raise SpecError(unknown("metric", str(name), {*EXTRA, "val_top_5"}))


def metric_names(classification: bool, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of what is reported: always the losses and the accuracy or RMSE, and what is named beside them.

    Raises SpecError for a name that there is not for this task.
    """
    standard = (*LOSSES, STANDARD[classification])
    known = {*standard, *SCORES[classification], *PROGRESS, *COSTS}
    for name in extra:
        if name not in known and not (classification and _TOP.fullmatch(name)):
            raise SpecError(unknown("metric", name, known | ({"val_top_5"} if classification else set())))
    return (*standard, *(name for name in dict.fromkeys(extra) if name not in standard))


def scores(names: Iterable[str], outputs: Tensor, data: Tensors) -> list[dict[str, float]]:
    """The named scores of each row of outputs (K, n, outputs) for the validation part; other names are passed over."""
    wanted = [name for name in names if name in SCORES[data.classification] or _TOP.fullmatch(name)]
    rows: list[dict[str, float]] = [{} for _ in range(len(outputs))]
    if not wanted:
        return rows
    targets = data.validation_targets.cpu().numpy()
    if data.classification:
        given = torch.softmax(outputs.double(), dim=-1).cpu().numpy()  # (K, n, classes)
        known = classification_scores(given.shape[-1])
    else:
        given = outputs.squeeze(-1).double().cpu().numpy() * data.target_std  # (K, n)
        # The mean of the targets is in both, and shifts neither error nor R².
        targets, known = targets * data.target_std, regression_scores()
    for row, shares in zip(rows, given, strict=True):
        for name in wanted:
            if not np.isfinite(shares).all():
                row[name] = math.nan  # the row has diverged, which its loss tells
            elif top := _TOP.fullmatch(name):
                row[name] = _within_top(int(top[1]), targets, shares)
            else:
                row[name] = known[name](targets, shares)
    return rows


def _within_top(k: int, targets: NDArray[Any], shares: NDArray[Any]) -> float:
    likelier = (shares > shares[np.arange(len(targets)), targets][:, None]).sum(axis=1)
    return float((likelier < k).mean())
