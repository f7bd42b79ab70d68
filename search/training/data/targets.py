"""Targets: which task they imply, and their conversion to class indices or to numbers."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.prepared import Task
from archsearch.spaces.errors import DataError, unknown

# Integers with more distinct values than this are a quantity (an age, a count), not classes.
MOST_CLASSES = 20


def check_task(task: Task | None) -> None:
    """Raises DataError unless `task` is the name of a task, or None to infer it from the targets."""
    if task is not None and task not in get_args(Task):
        raise DataError(unknown("task", str(task), get_args(Task)))


def check_target(target: str, **options: tuple[str, ...]) -> None:
    """Raises DataError when an option that lists columns also lists the target."""
    for option, listed in options.items():
        if target in listed:
            raise DataError(
                f"target column '{target}' is listed in {option}=; remove it there (to treat numbers as classes, pass "
                "task='classification')"
            )


def infer_task(targets: npt.NDArray[Any]) -> Task:
    """Classification for text, bools, and integers with few distinct values; regression for other numbers."""
    if targets.dtype.kind not in "iuf":
        return "classification"
    whole = targets.dtype.kind in "iu" or bool((targets == np.floor(targets)).all())
    return "classification" if whole and len(np.unique(targets)) <= MOST_CLASSES else "regression"


def encode_targets(targets: npt.NDArray[Any], task: Task) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """((n,) int64 class indices and the classes), or ((n,) float64 numbers and ())."""
    return class_indices(targets) if task == "classification" else (regression_targets(targets), ())


def class_indices(targets: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """((n,) class index of each row, the sorted classes). Raises DataError when there is only one class."""
    values, indices = np.unique(targets, return_inverse=True)
    classes = tuple(_class_name(value) for value in values)
    if len(classes) < 2:
        raise DataError(f"every row has the class '{classes[0]}'; give data with at least two classes")
    return indices.astype(np.int64, copy=False), classes


def regression_targets(targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n,) float64 targets of a regression. Raises DataError for text."""
    if targets.dtype.kind not in "biuf":
        raise DataError(f"task='regression' needs numeric targets, got '{targets[0]}'; use task='classification'")
    return targets.astype(np.float64)


def _class_name(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
