"""The metrics that a trial reports after each epoch besides its losses. Only the requested ones are computed.

The scores are computed by scikit-learn on the validation data. With several classes or labels, precision, recall and F1
are macro averages, and AUROC is one-vs-rest. `val_top_K` is the top-K accuracy. Regression scores are in the units of
the target, and averaged over several targets.

A custom metric is a function, `metric(predictions, targets)`, and is reported under its name with the prefix "val_".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.search.training.data import Prepared
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.functions import check_function, name_of
from archsearch.search.training.tensors import Tensors
from archsearch.spaces.errors import DataError, SpecError, unknown

LOSSES = ("train_loss", "val_loss")
STANDARD: dict[Task, str] = {  # always reported
    "classification": "val_accuracy",
    "multilabel": "val_accuracy",
    "regression": "val_rmse",
}
PROGRESS = ("gradient_norm", "learning_rate", "peak_memory_bytes", "samples_per_second")
COSTS = ("flops", "parameters")

# Our names → the functions of sklearn.metrics. These take the most likely class of each sample, or its labels.
_OF_CLASSES = {
    "val_balanced_accuracy": "balanced_accuracy_score",
    "val_f1": "f1_score",
    "val_precision": "precision_score",
    "val_recall": "recall_score",
}
_MACRO = ("val_f1", "val_precision", "val_recall")
_OF_NUMBERS = {"val_mae": "mean_absolute_error", "val_r2": "r2_score"}
SCORES: dict[Task, tuple[str, ...]] = {
    "classification": ("val_auroc", *_OF_CLASSES),
    "multilabel": ("val_auroc", *_MACRO),
    "regression": tuple(_OF_NUMBERS),
}
_TOP = re.compile(r"val_top_([1-9]\d*)")

# The metrics that can be requested, in addition to `val_top_K` for any K.
EXTRA = (*COSTS, *PROGRESS, *dict.fromkeys(chain.from_iterable(SCORES.values())))

_TAKEN: dict[Task, str] = {"classification": "classes", "multilabel": "labels", "regression": "quantities"}


@dataclass(frozen=True, slots=True)
class Metric:
    """A custom metric, computed on the validation data.

    Attributes:
        name: The name under which it is reported, with the prefix "val_".
        function: Maps (predictions, targets) to a number. Both are tensors on the CPU. For classification: the class
            probabilities (n, classes) in float64, and the class indices (n,). For several labels: the probability of
            each label, (n, labels) in float64, and zeros and ones of int64. For regression: values (n,), or (n, k), in
            float64, in the units of the target.
    """

    name: str
    function: Callable[[Tensor, Tensor], Any] = field(repr=False)

    def __call__(self, predictions: Tensor, targets: Tensor) -> float:
        """The value of the metric. Raises TypeError if the function does not return a single number."""
        value = self.function(predictions, targets)
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError) as error:  # torch raises RuntimeError for several numbers
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise TypeError(
                f"metric {self.name} must return one number, got {got}; return for example their mean"
            ) from error


# What `Supervised(metrics=...)` accepts: names, functions, or a mapping from names to functions.
Functions = Mapping[str, Callable[..., Any]]
Given = Iterable["str | Metric | Callable[..., Any] | Functions"] | Functions


def own_metrics(given: Given) -> tuple[str | Metric, ...]:
    """Normalize the argument `metrics` of `Supervised`.

    Args:
        given: A tuple or list of names, functions and mappings from names to functions; or one such mapping.

    Returns:
        The names of built-in metrics, and a `Metric` for each function, without duplicates.

    Raises:
        SpecError: Two metrics have the same name, a function has the name of a built-in metric, or a value is not a
            name or a function with the signature of a metric.
    """
    if not isinstance(given, tuple | list | Mapping):
        raise SpecError(
            f"Supervised metrics must be a tuple or list of names or functions, got {given!r}; write ('parameters',) "
            "or (my_metric,)"
        )
    found: dict[str, str | Metric] = {}
    for each in _entries(given):
        name = each.name if isinstance(each, Metric) else each
        if isinstance(each, Metric) and (name in (*EXTRA, *LOSSES, *STANDARD.values()) or _TOP.fullmatch(name)):
            raise SpecError(f"'{name}' is the name of a built-in metric; rename your function")
        if found.setdefault(name, each) != each:
            raise SpecError(f"two metrics have the name '{name}'; rename one: metrics={{'another_name': function}}")
    return tuple(found.values())


def _entries(given: Any) -> Iterator[str | Metric]:
    if isinstance(given, Mapping):
        for name, function in given.items():
            if not isinstance(name, str) or not name:
                raise SpecError(
                    f"the name of a metric must be a string, got {name!r}; write metrics={{'name': function}}"
                )
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
    """Raise SpecError unless this is the name of a built-in metric, of either task."""
    if name not in EXTRA and not (isinstance(name, str) and _TOP.fullmatch(name)):
        raise SpecError(unknown("metric", str(name), {*EXTRA, "val_top_5"}))


def metric_names(task: Task, extra: Given = (), *, inferred: bool = False) -> tuple[str, ...]:
    """The names of all reported metrics: the losses, the accuracy or RMSE, and the additional ones.

    Args:
        task: The task.
        extra: The additional metrics, as `own_metrics` takes them.
        inferred: Whether the task was inferred from the targets, for the message of an error.

    Raises:
        SpecError: A metric is unknown, or is not defined for this task.
    """
    standard = (*LOSSES, STANDARD[task])
    known = {*standard, *SCORES[task], *PROGRESS, *COSTS}
    extra = own_metrics(extra)
    known |= {each.name for each in extra if isinstance(each, Metric)}
    names = [each.name if isinstance(each, Metric) else each for each in extra]
    for name in names:
        if name not in known and not _of_task(name, task):
            known |= {"val_top_5"} if task == "classification" else set()
            raise SpecError(unknown("metric", name, known, why=explain_task(name, task, inferred=inferred)))
    return (*standard, *(name for name in dict.fromkeys(names) if name not in standard))


def explain_task(name: str, task: Task, *, inferred: bool) -> str | None:
    """Why a metric of another task is not reported; None if it is not one.

    Args:
        name: The name of the metric.
        task: The task of the data.
        inferred: Whether the task was inferred from the targets.
    """
    others: list[Task] = [other for other in STANDARD if other != task and _of_task(name, other)]
    if not others or _of_task(name, task):
        return None
    if not inferred:
        return f"{name} is a metric of {others[0]}, and the task of this data is {task}"
    return (
        f"the targets were taken as {_TAKEN[task]}, so the task is {task}; to change this, pass task='{others[0]}' "
        "where the data is declared"
    )


def _of_task(name: str, task: Task) -> bool:
    top = task == "classification" and _TOP.fullmatch(name) is not None
    return top or name in (STANDARD[task], *SCORES[task])


def check_scores(metrics: Given, prepared: Prepared) -> None:
    """Try the metrics on random predictions for the validation data.

    Raises:
        DataError: A built-in score is not defined on this validation data.
        SpecError: A custom metric raises an exception, or does not return a finite number.
    """
    metrics = own_metrics(metrics)
    for metric in metrics:
        if isinstance(metric, Metric):
            _try(metric, prepared)
    if "val_auroc" not in metrics:
        return
    if prepared.task == "multilabel":
        _check_labels(prepared)
        return
    counts = np.bincount(prepared.validation.targets, minlength=prepared.outputs)
    if not counts.all():
        raise DataError(
            f"val_auroc compares each class with the others, but the {len(prepared.validation)} validation samples "
            f"have none of class '{prepared.classes[counts.argmin()]}'; add samples of it, increase "
            "Split(validation=...), or remove the metric"
        )


def _check_labels(prepared: Prepared) -> None:
    same = np.ptp(prepared.validation.targets, axis=0) == 0
    if same.any():
        label = prepared.classes[same.argmax()]
        raise DataError(
            f"val_auroc compares samples with and without each label, but label {label} is the same in all "
            f"{len(prepared.validation)} validation samples; add samples, increase Split(validation=...), or remove "
            "the metric"
        )


def _try(metric: Metric, prepared: Prepared) -> None:
    """Call the metric on random predictions. Raises SpecError if it fails or does not return a finite number."""
    rng, n = np.random.default_rng(0), len(prepared.validation)
    outputs = torch.from_numpy(rng.normal(size=(n, prepared.outputs)))
    targets = torch.tensor(prepared.validation.targets)
    std, mean = torch.as_tensor(prepared.target_std), torch.as_tensor(prepared.target_mean)
    match prepared.task:
        case "classification":
            given = torch.softmax(outputs, -1), targets
        case "multilabel":
            given = torch.sigmoid(outputs), targets.long()
        case "regression":
            values = outputs.squeeze(-1) if targets.dim() == 1 else outputs
            given = values * std + mean, targets.double() * std + mean
    try:
        value = metric(*given)
    except Exception as error:
        shapes = " and ".join(str(tuple(each.shape)) for each in given)
        raise SpecError(
            f"metric {metric.name} fails on predictions and targets of shapes {shapes}: {type(error).__name__}: "
            f"{error}; fix the function, or remove the metric"
        ) from error
    if not math.isfinite(value):
        raise SpecError(
            f"metric {metric.name} is {value} on random predictions for the {n} validation samples; return a finite "
            "number, or remove the metric"
        )


def scores(
    names: Iterable[str], outputs: Tensor, data: Tensors, metrics: Sequence[Metric] = ()
) -> list[dict[str, float]]:
    """Compute the scores and the custom metrics of each row on the validation data.

    Args:
        names: The names of the reported metrics. Those that are not scores are ignored.
        outputs: The outputs of the networks for all validation samples, (K, n, outputs).
        data: The data, with the validation targets.
        metrics: The custom metrics.

    Returns:
        For each row, its values by name; NaN for a row whose outputs are not finite.
    """
    wanted = [name for name in names if name in SCORES[data.task] or _TOP.fullmatch(name)]
    rows: list[dict[str, float]] = [{} for _ in range(len(outputs))]
    if not wanted and not metrics:
        return rows
    targets, mean = data.validation_targets.cpu(), data.target_mean
    match data.task:
        case "classification":
            given = torch.softmax(outputs.double(), -1).cpu()
        case "multilabel":
            given, targets = torch.sigmoid(outputs.double()).cpu(), targets.long()
        case "regression":
            # In the units of the target, but without its mean: adding it to both changes neither the errors nor R².
            given = (outputs.squeeze(-1) if data.one_number else outputs).cpu() * data.target_std
            targets = targets * data.target_std
    own_targets = targets.double() + mean if data.task == "regression" else targets
    for row, said in zip(rows, given, strict=True):
        finite = bool(said.isfinite().all())  # a diverged row has no scores; its loss reports it
        for name in wanted:
            row[name] = _score(name, data.task, targets, said) if finite else math.nan
        for metric in metrics:
            row[metric.name] = metric(said.double() + mean, own_targets.clone()) if finite else math.nan
    return rows


def _score(name: str, task: Task, targets: Tensor, said: Tensor) -> float:
    """The score of one row.

    Args:
        name: The name of the score.
        task: The task.
        targets: (n,), or (n, k) for several per sample.
        said: The predictions: probabilities (n, classes) or (n, labels), or values of the shape of the targets.
    """
    from sklearn import metrics  # imported here because it is slow to load, and most studies do not need it

    if top := _TOP.fullmatch(name):
        likeliest = said.topk(min(int(top[1]), said.shape[1])).indices  # (n, k)
        return (likeliest == targets.unsqueeze(1)).any(1).double().mean().item()
    if name in _OF_NUMBERS:
        return float(getattr(metrics, _OF_NUMBERS[name])(targets, said))
    if task == "multilabel":
        if name == "val_auroc":
            return float(metrics.roc_auc_score(targets, said, average="macro"))
        return float(getattr(metrics, _OF_CLASSES[name])(targets, said > 0.5, average="macro", zero_division=0))
    classes = list(range(said.shape[1]))
    if name == "val_auroc":
        scored = said[:, 1] if len(classes) == 2 else said
        return float(metrics.roc_auc_score(targets, scored, multi_class="ovr", labels=classes))
    settings = {"average": "macro", "zero_division": 0, "labels": classes} if name in _MACRO else {}
    return float(getattr(metrics, _OF_CLASSES[name])(targets, said.argmax(1), **settings))
