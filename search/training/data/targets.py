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


def resolve_task(declared: Task | None, targets: npt.NDArray[Any]) -> Task:
    """The task of the targets.

    Args:
        declared: The task that the source declares; "classification" means "multilabel" for several targets per row.
            None infers it: text, bools, and integers with few distinct values are classes, and several columns of 0 and
            1 or of bools are labels; other numbers are a regression.
        targets: (n,) or (n, k) bools, finite numbers or text.

    Raises:
        DataError: The targets do not fit the declared task, or may mean two things.
    """
    if targets.ndim == 1:
        if declared == "multilabel":
            raise DataError(
                f"task='multilabel' needs targets of shape (n, labels), a column of 0 and 1 for each label, got "
                f"{targets.shape}; use task='classification' for one class per row"
            )
        return declared or _task_of_one(targets)
    if targets.dtype.kind not in "biuf":
        raise DataError(
            f"targets of shape {targets.shape} must be numbers or bools, got text; encode labels as columns of 0 and "
            "1, as scikit-learn's MultiLabelBinarizer does, or give one class per row"
        )
    if declared == "regression":
        return "regression"
    if not _are_labels(targets):
        return _task_of_numbers(declared, targets)
    if declared != "multilabel" and bool((targets.sum(axis=1) == 1).all()):
        raise DataError(
            f"targets of shape {targets.shape} have exactly one 1 in every row, so they seem to be one-hot; pass "
            "targets.argmax(axis=1) for one class per row, or task='multilabel' for independent labels"
        )
    return "multilabel"


def infer_task(targets: npt.NDArray[Any]) -> Task:
    """`resolve_task` for targets whose task is not declared."""
    return resolve_task(None, targets)


def _task_of_one(targets: npt.NDArray[Any]) -> Task:
    if targets.dtype.kind not in "iuf":
        return "classification"
    return "classification" if _are_few(targets) else "regression"


def _task_of_numbers(declared: Task | None, targets: npt.NDArray[Any]) -> Task:
    """The task of several columns of other numbers than 0 and 1."""
    if declared is not None:
        row, column = np.argwhere((targets != 0) & (targets != 1))[0]
        raise DataError(
            f"labels must be 0 or 1, got {targets[row, column]} at row {row}, column {column} of targets "
            f"{targets.shape}; use task='regression' for quantities, or give one column of classes at a time"
        )
    if _are_few(targets):
        raise DataError(
            f"targets of shape {targets.shape} are whole numbers from {targets.min():g} to {targets.max():g}, which "
            "may be classes or quantities; pass task='regression' for quantities, or one column of classes at a time"
        )
    return "regression"


def _are_labels(targets: npt.NDArray[Any]) -> bool:
    return targets.dtype.kind == "b" or bool(((targets == 0) | (targets == 1)).all())


def _are_few(targets: npt.NDArray[Any]) -> bool:
    """Whether they are whole numbers with few distinct values."""
    whole = targets.dtype.kind in "iu" or bool((targets == np.floor(targets)).all())
    return whole and len(np.unique(targets)) <= MOST_CLASSES


def encode_targets(targets: npt.NDArray[Any], task: Task) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The targets as numbers.

    Args:
        targets: (n,), or (n, k) for several targets per row.
        task: Their task, as `resolve_task` returns it.

    Returns:
        For a classification, (n,) int64 class indices and the names of the classes; for several labels, (n, k) float32
        zeros and ones and the names of the labels, which are their column numbers; for a regression, (n,) or (n, k)
        float64 numbers and no names.

    Raises:
        DataError: There is nothing to learn, or the targets of a regression are text.
    """
    match task:
        case "classification":
            return class_indices(targets)
        case "multilabel":
            return label_indicators(targets), tuple(map(str, range(targets.shape[1])))
        case "regression":
            return regression_targets(targets), ()


def class_indices(targets: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """((n,) class index of each row, the sorted classes). Raises DataError when there is only one class."""
    values, indices = np.unique(targets, return_inverse=True)
    classes = tuple(_class_name(value) for value in values)
    if len(classes) < 2:
        raise DataError(f"every row has the class '{classes[0]}'; give data with at least two classes")
    return indices.astype(np.int64, copy=False), classes


def label_indicators(targets: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(n, k) zeros and ones. Raises DataError for a label that is the same in every row."""
    labels = targets.astype(np.float32)
    for column, same in enumerate(np.ptp(labels, axis=0) == 0):
        if same:
            raise DataError(
                f"label {column}, a column of the targets {targets.shape}, is {labels[0, column]:g} in every row; "
                "remove it"
            )
    return labels


def regression_targets(targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(n,) or (n, k) float64 targets of a regression. Raises DataError for text."""
    if targets.dtype.kind not in "biuf":
        raise DataError(f"task='regression' needs numeric targets, got '{targets[0]}'; use task='classification'")
    return targets.astype(np.float64)


def _class_name(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
