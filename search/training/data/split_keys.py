"""What a split goes by: the group or the time of every row, from a column that is then no input, or as it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.raw import Raw, Table, Words
from archsearch.search.training.data.split import Labels, Split
from archsearch.spaces.errors import DataError, unknown


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """What is left as inputs; and per row, for `split_rows`, the number of its group, or its time, or nothing."""

    inputs: Table | Any
    keys: npt.NDArray[Any] | None = None


def split_keys(raw: Raw, split: Split) -> Keyed:
    """Take the split's column out of the inputs. Raises DataError for a column that cannot be used, or odd labels."""
    if isinstance(split.groups, Labels):
        return Keyed(raw.inputs, _numbered(split.groups, len(raw.targets), raw.official_test))
    if split.column is None:
        return Keyed(raw.inputs)
    if not isinstance(raw.inputs, Table):
        other = "by_time=True, for the order of the rows" if split.by_time else "groups= one label per row"
        raise DataError(f"Split names a column '{split.column}', but the data is no table; give {other}")
    column, rest = _taken(raw.inputs, split.column)
    _check_complete(column, split.column)
    if split.by_time:
        return Keyed(rest, _times(column) if isinstance(column, Words) else column)
    groups = column.codes if isinstance(column, Words) else np.unique(column, return_inverse=True)[1]
    _check_official(groups, raw.official_test, split.column)
    return Keyed(rest, groups)


def _numbered(labels: Labels, count: int, official_test: int) -> npt.NDArray[np.int64]:
    """The number of each row's group; -1 in the official test part, which has no labels."""
    if len(labels) != count - official_test:
        outside = " outside the official test part" if official_test else ""
        raise DataError(
            f"Split.groups gives {len(labels):,} labels for {count - official_test:,} rows{outside}; give one per row"
        )
    number: dict[Any, int] = {}
    return np.array([number.setdefault(label, len(number)) for label in labels] + [-1] * official_test, dtype=np.int64)


def _taken(table: Table, name: str) -> tuple[Words | npt.NDArray[np.float64], Table]:
    """(the column, the table without it)."""
    known = (*table.names, *(words.name for words in table.words))
    if name not in known:
        raise DataError(f"Split: {unknown('column', name, known)}")
    if len(known) == 1:
        raise DataError(f"the split takes '{name}', the only column beside the target; give a table with inputs")
    if name in table.names:
        index = table.names.index(name)
        rest = replace(
            table,
            numbers=np.delete(table.numbers, index, axis=1),
            names=(*table.names[:index], *table.names[index + 1 :]),
        )
        return table.numbers[:, index], rest
    words = next(words for words in table.words if words.name == name)
    return words, replace(table, words=tuple(other for other in table.words if other is not words))


def _check_complete(column: Words | npt.NDArray[np.float64], name: str) -> None:
    if isinstance(column, Words):
        missing = np.array([not text for text in column.categories])[column.codes]
    else:
        missing = np.isnan(column)
    if missing.any():
        raise DataError(
            f"column '{name}', which the split goes by, has no value in {missing.sum():,} rows, the first row "
            f"{missing.argmax()}; fill it in or remove those rows"
        )


def _check_official(keys: npt.NDArray[Any], official_test: int, name: str) -> None:
    free, official = np.split(keys, [len(keys) - official_test])
    if shared := len(np.intersect1d(free, official)):
        raise DataError(
            f"{shared:,} groups of column '{name}' are in the official test part and outside it; take their rows "
            "out of one, or split without groups"
        )


def _times(words: Words) -> npt.NDArray[np.float64]:
    """Seconds since 1970 of each row; times without a zone are in UTC."""
    return np.array([_seconds(words.name, text) for text in words.categories])[words.codes]


def _seconds(column: str, text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"column '{column}': got '{text[:40]}', expected a time like 2024-01-31, 2024-01-31 17:05 or a number; "
            "write them so, or sort the rows and pass Split(by_time=True)"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
