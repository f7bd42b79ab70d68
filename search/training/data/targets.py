"""What the target column says: classes or a quantity, and how a network is given either."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.prepared import Task
from archsearch.spaces.errors import DataError, unknown

# Whole numbers are classes up to this many distinct values, and a quantity (an age, a count) beyond.
MOST_CLASSES = 20


def check_task(task: Task | None) -> None:
    """Raises DataError unless `task` is a task's name, or None for "decide from the targets"."""
    if task is not None and task not in get_args(Task):
        raise DataError(unknown("task", str(task), get_args(Task)))


def check_target(target: str, **options: tuple[str, ...]) -> None:
    """Raises DataError when an option that lists columns lists the target too."""
    for option, listed in options.items():
        if target in listed:
            raise DataError(
                f"target column '{target}' is listed in {option}=; take it out (task='classification' makes a target's "
                "numbers classes)"
            )


def infer_task(targets: npt.NDArray[Any]) -> Task:
    """Text and bools are classes; so are whole numbers with few distinct values; other numbers are a quantity."""
    if targets.dtype.kind not in "iuf":
        return "classification"
    whole = targets.dtype.kind in "iu" or bool((targets == np.floor(targets)).all())
    return "classification" if whole and len(np.unique(targets)) <= MOST_CLASSES else "regression"


def numbered(targets: npt.NDArray[Any], task: Task) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """((n,) int64 class indices and the classes), or ((n,) float64 quantities and none)."""
    return class_indices(targets) if task == "classification" else (quantities(targets), ())


def class_indices(targets: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """((n,) index of each row's class, the sorted classes). Raises DataError when there is only one."""
    values, indices = np.unique(targets, return_inverse=True)
    classes = tuple(_class_name(value) for value in values)
    if len(classes) < 2:
        raise DataError(f"every row is of class '{classes[0]}': nothing to tell apart; give at least two classes")
    return indices.astype(np.int64, copy=False), classes


def quantities(targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n,) float64 targets of a regression. Raises DataError for text."""
    if targets.dtype.kind not in "biuf":
        raise DataError(f"task='regression' needs numbers as targets, got {targets[0]!r}; use task='classification'")
    return targets.astype(np.float64)


def _class_name(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
