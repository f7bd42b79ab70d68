"""The group or the time of each row, by which a split divides them: from a column, or from labels in the `Split`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.columns import CategoricalColumn, Table
from archsearch.search.training.data.loaded import LoadedData
from archsearch.search.training.data.split import Labels, Split
from archsearch.spaces.errors import DataError, unknown
from archsearch.studies.formatting import count


@dataclass(frozen=True, slots=True, eq=False)
class SplitKeys:
    """What a split divides the rows by, and the inputs that remain.

    Attributes:
        inputs: The inputs without the column of the keys.
        keys: (n,) the group of each row as a number, or its time; None if the split uses neither.
    """

    inputs: Table | Any
    keys: npt.NDArray[Any] | None = None


def split_keys(loaded: LoadedData, split: Split) -> SplitKeys:
    """Separate the column of the split from the inputs. Raises DataError for unusable columns or labels."""
    if isinstance(split.groups, Labels):
        return SplitKeys(loaded.inputs, _label_numbers(split.groups, len(loaded.targets), loaded.official_test))
    if split.column is None:
        return SplitKeys(loaded.inputs)
    if not isinstance(loaded.inputs, Table):
        other = "by_time=True for the order of the rows" if split.by_time else "groups= one label per row"
        raise DataError(f"Split names a column '{split.column}', but the data is not a table; pass {other}")
    column, rest = _pop_column(loaded.inputs, split.column)
    _check_complete(column, split.column)
    if split.by_time:
        return SplitKeys(rest, _times(column) if isinstance(column, CategoricalColumn) else column)
    groups = column.codes if isinstance(column, CategoricalColumn) else np.unique(column, return_inverse=True)[1]
    _check_official(groups, loaded.official_test, split.column)
    return SplitKeys(rest, groups)


def _label_numbers(labels: Labels, rows: int, official_test: int) -> npt.NDArray[np.int64]:
    """The group of each row as a number; -1 in the official test part, which has no labels."""
    if len(labels) != rows - official_test:
        outside = " outside the official test part" if official_test else ""
        raise DataError(
            f"Split.groups has {count(len(labels), 'label')} for {count(rows - official_test, 'row')}{outside}; give "
            "one per row"
        )
    number: dict[Any, int] = {}
    return np.array([number.setdefault(label, len(number)) for label in labels] + [-1] * official_test, dtype=np.int64)


def _pop_column(table: Table, name: str) -> tuple[CategoricalColumn | npt.NDArray[np.float64], Table]:
    """(the column, the table without it)."""
    known = (*table.names, *(each.name for each in table.categorical), *(each.name for each in table.dates))
    if name not in known:
        raise DataError(f"Split: {unknown('column', name, known)}")
    if len(known) == 1:
        raise DataError(
            f"the split uses '{name}', the only column besides the target; give a table that also has inputs"
        )
    if name in table.names:
        index = table.names.index(name)
        rest = replace(
            table,
            numbers=np.delete(table.numbers, index, axis=1),
            names=(*table.names[:index], *table.names[index + 1 :]),
        )
        return table.numbers[:, index], rest
    for date in table.dates:
        if date.name == name:
            return date.seconds, replace(table, dates=tuple(other for other in table.dates if other is not date))
    taken = next(column for column in table.categorical if column.name == name)
    return taken, replace(table, categorical=tuple(other for other in table.categorical if other is not taken))


def _check_complete(column: CategoricalColumn | npt.NDArray[np.float64], name: str) -> None:
    if isinstance(column, CategoricalColumn):
        missing = np.array([not text for text in column.categories])[column.codes]
    else:
        missing = np.isnan(column)
    if missing.any():
        raise DataError(
            f"column '{name}', which the split uses, has no value in {count(int(missing.sum()), 'row')}, the first "
            f"being row {missing.argmax()}; fill them in or remove those rows"
        )


def _check_official(keys: npt.NDArray[Any], official_test: int, name: str) -> None:
    own, official = np.split(keys, [len(keys) - official_test])
    if shared := len(np.intersect1d(own, official)):
        raise DataError(
            f"column '{name}' has {count(shared, 'group')} both in the official test part and outside it; remove the "
            "rows of these groups from one, or split without groups="
        )


def _times(column: CategoricalColumn) -> npt.NDArray[np.float64]:
    """Seconds since 1970 of each row; times without a time zone are in UTC."""
    return np.array([_seconds(column.name, text) for text in column.categories])[column.codes]


def _seconds(column: str, text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"column '{column}': got '{text[:40]}', expected a time like 2024-01-31, 2024-01-31 17:05 or a number; "
            "convert the column, or sort the rows and pass Split(by_time=True)"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
