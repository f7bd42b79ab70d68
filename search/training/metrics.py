"""What a trial reports after each epoch, beside its losses: only what is named is computed.

The scores are scikit-learn's, on the validation part; of several classes, precision, recall and F1 are the plain mean
over the classes ("macro"), and AUROC is that of each class against the rest. `val_top_K` is the share of samples whose
class is among the K most likely. A regression's scores are in the target's own units.

A metric of the user's own is a function, `metric(predictions, targets)`, which is reported as `val_` and its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.search.training.data import Prepared
from archsearch.search.training.functions import check_function, name_of
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


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the user's own, computed on the validation part.

    Attributes:
        name: As it is reported, with "val_".
        function: From (predictions, targets) to a number. Both are tensors on the host: of classes the probabilities
            (n, classes) in double precision and the whole numbers (n,), of a regression (n,) each in the target's own
            units.
    """

    name: str
    function: Callable[[Tensor, Tensor], Any] = field(repr=False)

    def __call__(self, predictions: Tensor, targets: Tensor) -> float:
        """The metric's value. Raises TypeError for what is not one number."""
        value = self.function(predictions, targets)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError) as error:  # torch's error for many numbers
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise TypeError(f"metric {self.name} must return one number, got {got}; return its mean") from error


# What a user may write: names, functions, or a mapping from names to functions.
Functions = Mapping[str, Callable[..., Any]]
Given = Iterable["str | Metric | Callable[..., Any] | Functions"] | Functions


def own_metrics(given: Given) -> tuple[str | Metric, ...]:
    """The metrics of an objective, from what its user wrote.

    Args:
        given: Names, functions, and mappings from names to functions; or one such mapping.

    Returns:
        Names and `Metric`s, each once.

    Raises:
        SpecError: For a name that is given to two, or is built in, and for what cannot be called as a metric.
    """
    if not isinstance(given, tuple | list | Mapping):
        raise SpecError(
            f"Supervised metrics must be names or functions, got {given!r}; write ('parameters',) or (my_metric,)"
        )
    found: dict[str, str | Metric] = {}
    for each in _entries(given):
        name = each.name if isinstance(each, Metric) else each
        if isinstance(each, Metric) and (name in (*EXTRA, *LOSSES, *STANDARD.values()) or _TOP.fullmatch(name)):
            raise SpecError(f"'{name}' is the name of a built-in metric; give your own function another name")
        if found.setdefault(name, each) != each:
            raise SpecError(f"two metrics are called '{name}'; write metrics={{'another_name': function}}")
    return tuple(found.values())


def _entries(given: Any) -> Iterator[str | Metric]:
    if isinstance(given, Mapping):
        for name, function in given.items():
            if not isinstance(name, str) or not name:
                raise SpecError(f"a metric's name must be text, got {name!r}; write metrics={{'name': function}}")
            check_function(f"Supervised metric '{name}'", "metric", function)
            yield Metric(name if name.startswith("val_") else f"val_{name}", function)
        return
    for each in given:
        if isinstance(each, Mapping):
            yield from _entries(each)
        elif isinstance(each, str | Metric):
            yield each
        else:
            check_function("a Supervised metric", "metric", each)
            if not (name := name_of(each)).isidentifier():
                raise SpecError(f"a metric needs a name, got {name}; write metrics={{'my_metric': lambda ...}}")
            yield from _entries({name: each})


def check_name(name: object) -> None:
    """Raises SpecError unless it is the name of a metric of some task."""
    if name not in EXTRA and not (isinstance(name, str) and _TOP.fullmatch(name)):
        raise SpecError(unknown("metric", str(name), {*EXTRA, "val_top_5"}))


def metric_names(classification: bool, extra: Given = ()) -> tuple[str, ...]:
    """The names of what is reported: always the losses and the accuracy or RMSE, and what is named beside them.

    Raises SpecError for a name that there is not for this task.
    """
    standard = (*LOSSES, STANDARD[classification])
    known = {*standard, *SCORES[classification], *PROGRESS, *COSTS}
    extra = own_metrics(extra)
    known |= {each.name for each in extra if isinstance(each, Metric)}
    names = [each.name if isinstance(each, Metric) else each for each in extra]
    for name in names:
        if name not in known and not (classification and _TOP.fullmatch(name)):
            raise SpecError(unknown("metric", name, known | ({"val_top_5"} if classification else set())))
    return (*standard, *(name for name in dict.fromkeys(names) if name not in standard))


def check_scores(metrics: Given, prepared: Prepared) -> None:
    """Try the metrics on random predictions for the validation part.

    Raises:
        DataError: For a named score that is not defined there.
        SpecError: For a metric of the user's own that raises, or gives no finite number.
    """
    metrics = own_metrics(metrics)
    for metric in metrics:
        if isinstance(metric, Metric):
            _try(metric, prepared)
    if prepared.task != "classification" or "val_auroc" not in metrics:
        return
    counts = np.bincount(prepared.validation.targets, minlength=prepared.outputs)
    if not counts.all():
        raise DataError(
            f"val_auroc tells each class from the others, and the {len(prepared.validation)} validation samples have "
            f"none of class '{prepared.classes[counts.argmin()]}'; give more of it, make Split(validation=…) larger, "
            "or leave the metric out"
        )


def _try(metric: Metric, prepared: Prepared) -> None:
    """Raises SpecError where the metric fails on random predictions."""
    rng, n = np.random.default_rng(0), len(prepared.validation)
    outputs = torch.from_numpy(rng.normal(size=(n, prepared.outputs)))
    targets = torch.tensor(prepared.validation.targets)
    if prepared.task == "classification":
        given = torch.softmax(outputs, -1), targets
    else:
        std, mean = prepared.target_std, prepared.target_mean
        given = outputs.squeeze(-1) * std + mean, targets.double() * std + mean
    try:
        value = metric(*given)
    except Exception as error:
        shapes = " and ".join(str(tuple(each.shape)) for each in given)
        raise SpecError(
            f"metric {metric.name} fails on predictions and targets of shapes {shapes}: {type(error).__name__}: "
            f"{error}; fix the function, or leave the metric out"
        ) from error
    if not math.isfinite(value):
        raise SpecError(
            f"metric {metric.name} is {value} on random predictions for the {n} validation samples; return a finite "
            "number, or leave the metric out"
        )


def scores(
    names: Iterable[str], outputs: Tensor, data: Tensors, metrics: Sequence[Metric] = ()
) -> list[dict[str, float]]:
    """The named scores of each row of outputs (K, n, outputs) for the validation part, and the user's own metrics.

    Other names are passed over.
    """
    wanted = [name for name in names if name in SCORES[data.classification] or _TOP.fullmatch(name)]
    rows: list[dict[str, float]] = [{} for _ in range(len(outputs))]
    if not wanted and not metrics:
        return rows
    # In the target's own units; its mean is in both, and shifts neither error nor R².
    given = torch.softmax(outputs.double(), -1) if data.classification else outputs.squeeze(-1) * data.target_std
    targets = data.validation_targets if data.classification else data.validation_targets * data.target_std
    mean = 0 if data.classification else data.target_mean
    targets = targets.cpu()
    own_targets = targets if data.classification else targets.double() + mean
    for row, said in zip(rows, given.cpu(), strict=True):
        finite = bool(said.isfinite().all())  # a row that has diverged has no scores, which its loss tells
        for name in wanted:
            row[name] = _score(name, targets, said) if finite else math.nan
        for metric in metrics:
            row[metric.name] = metric(said.double() + mean, own_targets.clone()) if finite else math.nan
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
