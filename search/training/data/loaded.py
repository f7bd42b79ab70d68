"""Load a source and check what it returned, so that all sources have the same checks and error messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import all_finite, blocks
from archsearch.search.training.data.columns import Table, as_array, is_missing, table_from_columns
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples, Texts
from archsearch.search.training.data.streaming import Allocate
from archsearch.search.training.data.targets import check_task, infer_task, resolve_task
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

Pair = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedData:
    """A data set that was loaded and checked, before anything is split or fitted.

    Attributes:
        inputs: A Table, Texts, or an array (n, ...) of finite numbers with at least three dimensions.
        targets: (n,) bools, finite numbers or text, or (n, k) of them for several per row.
        task: The task; None infers it from the targets.
        official_test: How many of the last rows are the data set's own test part.
    """

    inputs: Table | Texts | npt.NDArray[Any]
    targets: npt.NDArray[Any]
    task: Task | None = None
    official_test: int = 0


def load_checked(source: DataSource, allocate: Allocate = np.empty) -> LoadedData:
    """Load the source and check what it returned.

    Args:
        source: The source.
        allocate: Makes the arrays to load into; see `DataSource.load_into`.

    Raises:
        DataError: The samples cannot be used. The message names the source.
    """
    samples: object = source.load_into(allocate)  # a user's method may return anything
    if not isinstance(samples, Samples):
        raise DataError(
            f"{type(source).__name__}.load() must return Samples, got {type(samples).__name__}; write return "
            "Samples(inputs, targets)"
        )
    try:
        return _checked(samples)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def load_task(source: DataSource) -> Task | None:
    """The task, as the source declares it or as its targets imply it; None if only `load` can tell.

    Raises:
        DataError: The targets cannot be used.
    """
    declared: Task | None = getattr(source, "task", None)
    if declared is not None or (values := source.load_targets()) is None:
        return declared
    try:
        targets = checked_targets(as_array(values, "targets"))
        # A fault in the values is reported with its row when everything is loaded.
        return infer_task(targets) if len(targets) and all_finite(targets) else None
    except DataError as error:
        raise DataError(f"{source}: {error}") from error


def checked_pair(inputs: npt.NDArray[Any], targets: npt.NDArray[Any], part: str = "") -> Pair:
    """Check the types and shapes of inputs and targets; that they are finite is checked later.

    Args:
        inputs: (n, ...) numbers.
        targets: (n,) numbers, bools or text, or (n, k) for several per row.
        part: "test " in messages about a test part.

    Returns:
        Both arrays, converted if they hold Python objects.

    Raises:
        DataError: A type or shape is wrong, or the lengths differ.
    """
    if inputs.dtype.kind == "O":
        inputs = _as_float(inputs, f"{part}inputs")
    if inputs.dtype.kind not in "biuf":
        raise DataError(
            f"{part}inputs must be numbers, got {inputs.dtype}; encode them first, or use what takes columns of text: "
            "csv(), or a DataSource with inputs={'name': values}"
        )
    if inputs.ndim < 2:
        raise DataError(f"{part}inputs must have shape (n, features), got {inputs.shape}; use inputs.reshape(-1, 1)")
    targets = checked_targets(targets, part)
    if len(inputs) != len(targets):
        raise DataError(
            f"{count(len(inputs), f'{part}input')} but {count(len(targets), f'{part}target')}; give one "
            "target per input"
        )
    if inputs.size == 0:
        raise DataError(f"{part}inputs are empty, got shape {inputs.shape}; give at least one row and one feature")
    return inputs, targets


def checked_targets(targets: npt.NDArray[Any], part: str = "") -> npt.NDArray[Any]:
    """Check the type and shape of targets; that they are finite is checked later.

    Args:
        targets: (n,) numbers, bools or text; or (n, k), several per row.
        part: "test " in messages about a test part.

    Returns:
        The targets, (n,) or (n, k) with k of at least 2, converted if they hold Python objects.

    Raises:
        DataError: They have another shape, mixed types or missing values.
    """
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim not in (1, 2) or 0 in targets.shape[1:]:
        raise DataError(
            f"{part}targets must have shape (n,), or (n, k) for several per row, got {targets.shape}; reshape them"
        )
    if targets.dtype.kind == "O":  # as pandas and mixed lists give them
        missing = [row for row, value in enumerate(targets) if any(is_missing(each) for each in np.atleast_1d(value))]
        if missing:
            raise DataError(
                f"{part}targets have {count(len(missing), 'missing value')}, the first at row {missing[0]}; drop those "
                "rows"
            )
        kinds = {type(value) for value in targets.flat}
        if kinds == {bool}:
            targets = targets.astype(bool)
        elif not all(issubclass(kind, str) for kind in kinds):
            targets = _as_float(targets, f"{part}targets")
    if targets.dtype.kind not in "biufUO":
        raise DataError(f"{part}targets must be numbers, bools or text, got {targets.dtype}; convert them")
    return targets


def _checked(samples: Samples) -> LoadedData:
    check_task(samples.task)
    targets = checked_targets(as_array(samples.targets, "targets"))
    inputs: Table | Texts | npt.NDArray[Any]
    if isinstance(samples.inputs, Mapping):
        inputs = table_from_columns(samples.inputs, len(targets), samples.dropped)
    elif isinstance(samples.inputs, Texts):
        inputs = _checked_texts(samples.inputs, len(targets))
    else:
        inputs, targets = checked_pair(as_array(samples.inputs, "inputs"), targets)
    if not len(targets):
        raise DataError("there are no samples; give at least one")
    official = samples.official_test
    if isinstance(official, bool) or not isinstance(official, int) or not 0 <= official < len(targets):
        raise DataError(
            f"official_test must be how many of the last samples are the test part, from 0 to {len(targets) - 1}, "
            f"got {official!r}"
        )
    own = len(targets) - official
    _check_finite(targets, "targets", own)
    if isinstance(inputs, np.ndarray):
        _check_finite(inputs, "inputs", own)
        if inputs.ndim == 2:
            names = tuple(f"x{column}" for column in range(inputs.shape[1]))
            inputs = Table(inputs.astype(np.float64), names)
    return LoadedData(inputs, targets, resolve_task(samples.task, targets), official)


def _checked_texts(texts: Texts, targets: int) -> Texts:
    if len(texts.texts) != targets:
        raise DataError(f"{count(len(texts.texts), 'text')} but {count(targets, 'target')}; give one target per text")
    for row, text in enumerate(texts.texts):
        if not isinstance(text, str) or not text.strip():
            got = "an empty text" if isinstance(text, str) else f"a {type(text).__name__}"
            raise DataError(f"texts must be non-empty text, got {got} at row {row}; fill it in or drop the row")
    return texts


def _as_float(values: npt.NDArray[Any], what: str) -> npt.NDArray[np.float64]:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} mix types that are not all numbers ({error}); convert them to one type") from error


def _check_finite(values: npt.NDArray[Any], what: str, own: int) -> None:
    """Raise DataError for NaN and infinity.

    Args:
        values: (n, ...) numbers, or text, which passes.
        what: "inputs" or "targets".
        own: How many rows precede the official test part, whose rows are counted from 0 again.
    """
    if all_finite(values):
        return
    found = 0
    first: tuple[int, ...] = ()
    for some in blocks(values):
        places = np.argwhere(~np.isfinite(values[some]))
        if len(places) and not found:
            first = (some.start + int(places[0][0]), *map(int, places[0][1:]))
        found += len(places)
    part, row = ("test ", first[0] - own) if first[0] >= own else ("", first[0])
    where = f"row {row}" + (f", column {', '.join(map(str, first[1:]))}" if len(first) > 1 else "")
    raise DataError(
        f"{part}{what} have {count(found, 'non-finite value')}, the first at {where}: {values[first]}; "
        "fill them in or drop those rows"
    )
