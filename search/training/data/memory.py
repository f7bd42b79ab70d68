"""Arrays that the user already holds: checked, and told as rows and columns where they are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import all_finite, blocks, joined
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw, Table
from archsearch.search.training.data.streaming import Empty
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Arrays:
    """inputs (n, features) or (n, ...), targets (n,), and perhaps an official test part of the same kind."""

    inputs: npt.NDArray[Any]
    targets: npt.NDArray[Any]
    task: Task | None = None
    test: Pair | None = None

    def __post_init__(self) -> None:
        check_task(self.task)

    def __repr__(self) -> str:
        test = "" if self.test is None else f", test={self.test[0].shape}"
        return f"Arrays({self.inputs.dtype} {self.inputs.shape}, {self.targets.dtype} {self.targets.shape}{test})"

    def read(self) -> Raw:
        return self.read_into(np.empty)

    def read_into(self, empty: Empty) -> Raw:
        inputs, targets = _checked(self.inputs, self.targets, "")
        official_test = 0
        if self.test is not None:
            test_inputs, test_targets = _checked(*self.test, "test ")
            if test_inputs.shape[1:] != inputs.shape[1:]:
                raise DataError(
                    f"test inputs have shape (n, *{test_inputs.shape[1:]}), the others (n, *{inputs.shape[1:]}); "
                    "give both the same features"
                )
            inputs, targets = joined(empty, inputs, test_inputs), np.concatenate([targets, test_targets])
            official_test = len(test_targets)
        if inputs.ndim > 2:
            return Raw(inputs, targets, self.task, official_test)
        names = tuple(f"x{column}" for column in range(inputs.shape[1]))
        return Raw(Table(inputs.astype(np.float64), names), targets, self.task, official_test)


def _checked(inputs: npt.NDArray[Any], targets: npt.NDArray[Any], part: str) -> Pair:
    if inputs.dtype.kind == "O":
        inputs = _as_float(inputs, f"{part}inputs")
    if inputs.dtype.kind not in "biuf":
        raise DataError(
            f"{part}inputs must be numbers, got {inputs.dtype}; encode them first, or use csv(), which takes "
            "text columns"
        )
    if targets.ndim != 1:
        raise DataError(
            f"{part}targets must have shape (n,), got {targets.shape}; use targets.ravel(), or targets.argmax(axis=1) "
            "if they are one-hot"
        )
    if len(inputs.shape) < 2:
        raise DataError(f"{part}inputs must have shape (n, features), got {inputs.shape}; use inputs.reshape(-1, 1)")
    if len(inputs) != len(targets):
        raise DataError(f"{len(inputs)} {part}inputs but {len(targets)} {part}targets; give one target per input")
    if inputs.size == 0:
        raise DataError(f"{part}inputs are empty, got shape {inputs.shape}; give at least one row and one feature")
    _check_finite(inputs, f"{part}inputs")
    return inputs, _checked_targets(targets, part)


def _checked_targets(targets: npt.NDArray[Any], part: str) -> npt.NDArray[Any]:
    if targets.dtype.kind == "O":  # as pandas and mixed lists give them
        missing = [row for row, value in enumerate(targets) if value is None or value != value]
        if missing:
            raise DataError(
                f"{part}targets have {len(missing)} missing values, the first at row {missing[0]}; drop those rows"
            )
        if not all(isinstance(value, str) for value in targets):
            kinds = {type(value) for value in targets}
            targets = targets.astype(bool) if kinds == {bool} else _as_float(targets, f"{part}targets")
    if targets.dtype.kind not in "biufUO":
        raise DataError(f"{part}targets must be numbers, bools or text, got {targets.dtype}; convert them")
    _check_finite(targets, f"{part}targets")
    return targets


def _as_float(values: npt.NDArray[Any], what: str) -> npt.NDArray[np.float64]:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} mix kinds that are not all numbers ({error}); convert them to one kind") from error


def _check_finite(values: npt.NDArray[Any], what: str) -> None:
    if all_finite(values):
        return
    count = 0
    first: tuple[int, ...] = ()
    for some in blocks(values):
        places = np.argwhere(~np.isfinite(values[some]))
        if len(places) and not count:
            first = (some.start + int(places[0][0]), *map(int, places[0][1:]))
        count += len(places)
    where = f"row {first[0]}" + (f", column {', '.join(map(str, first[1:]))}" if len(first) > 1 else "")
    raise DataError(
        f"{what} have {count} values that are not finite, the first at {where}: {values[first]}; "
        "fill them in or drop those rows"
    )
