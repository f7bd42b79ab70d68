"""What a trial reports after each epoch, beside its losses: only what is named is computed.

The scores are scikit-learn's, on the validation part; of several classes, precision, recall and F1 are the plain mean
over the classes ("macro"), and AUROC is that of each class against the rest. `val_top_K` is the share of samples whose
class is among the K most likely. A regression's scores are in the target's own units.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from archsearch.search.training.data import Prepared
from archsearch.search.training.tensors import Tensors
from archsearch.spaces.errors import DataError, SpecError, unknown

LOSSES = ("train_loss", "val_loss")
STANDARD = {True: "val_accuracy", False: "val_rmse"}  # by whether it is a classification; always reported
PROGRESS = ("gradient_norm", "learning_rate", "peak_memory_bytes", "samples_per_second")
COSTS = ("flops", "parameters")

# By the names in scikit-learn. Its scores of labels are given the most likely class.
_OF_LABELS = {
    "val_balanced_accuracy": "balanced_accuracy_score",
    "val_f1": "f1_score",
    "val_precision": "precision_score",
    "val_recall": "recall_score",
}
_MACRO = ("val_f1", "val_precision", "val_recall")
_OF_NUMBERS = {"val_mae": "mean_absolute_error", "val_r2": "r2_score"}
SCORES = {True: ("val_auroc", *_OF_LABELS), False: tuple(_OF_NUMBERS)}
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


def check_scores(names: Iterable[str], prepared: Prepared) -> None:
    """Raises DataError for a named score that is not defined on the validation part."""
    if "val_auroc" not in names:
        return
    counts = np.bincount(prepared.validation.targets, minlength=prepared.outputs)
    if not counts.all():
        raise DataError(
            f"val_auroc tells each class from the others, and the {len(prepared.validation)} validation samples have "
            f"none of class '{prepared.classes[counts.argmin()]}'; give more of it, make Split(validation=…) larger, "
            "or leave the metric out"
        )


def scores(names: Iterable[str], outputs: Tensor, data: Tensors) -> list[dict[str, float]]:
    """The named scores of each row of outputs (K, n, outputs) for the validation part; other names are passed over."""
    wanted = [name for name in names if name in SCORES[data.classification] or _TOP.fullmatch(name)]
    rows: list[dict[str, float]] = [{} for _ in range(len(outputs))]
    if not wanted:
        return rows
    # In the target's own units; its mean is in both, and shifts neither error nor R².
    given = torch.softmax(outputs.double(), -1) if data.classification else outputs.squeeze(-1) * data.target_std
    targets = data.validation_targets if data.classification else data.validation_targets * data.target_std
    for row, said in zip(rows, given.cpu(), strict=True):
        for name in wanted:
            # A row that has diverged has none, which its loss tells.
            row[name] = _score(name, targets.cpu(), said) if said.isfinite().all() else math.nan
    return rows


def _score(name: str, targets: Tensor, said: Tensor) -> float:
    """targets: (n,). said: (n, classes), the share of each class, or (n,) numbers."""
    from sklearn import metrics  # here, not above: it loads slowly, and most studies need none of it

    if top := _TOP.fullmatch(name):
        likeliest = said.topk(min(int(top[1]), said.shape[1])).indices  # (n, k)
        return (likeliest == targets.unsqueeze(1)).any(1).double().mean().item()
    if name in _OF_NUMBERS:
        return float(getattr(metrics, _OF_NUMBERS[name])(targets, said))
    classes = list(range(said.shape[1]))
    if name == "val_auroc":
        scored = said[:, 1] if len(classes) == 2 else said
        return float(metrics.roc_auc_score(targets, scored, multi_class="ovr", labels=classes))
    settings = {"average": "macro", "zero_division": 0, "labels": classes} if name in _MACRO else {}
    return float(getattr(metrics, _OF_LABELS[name])(targets, said.argmax(1), **settings))
