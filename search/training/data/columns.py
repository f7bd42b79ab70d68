"""A table: columns of numbers, categories and dates, made from named arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.dates import DateColumn
from archsearch.search.training.data.missing import USUAL_MARKS
from archsearch.spaces.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalColumn:
    """A column of categories.

    Attributes:
        name: The name of the column.
        categories: The distinct texts, sorted; "" stands for a missing value.
        codes: (n,) indices into `categories`.
    """

    name: str
    categories: tuple[str, ...]
    codes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of all kinds.

    Attributes:
        numbers: (n, k) the numeric columns; NaN where a value is missing.
        names: (k,) the names of the numeric columns.
        categorical: The categorical columns, of n rows each.
        dates: The columns of dates and times, likewise.
        dropped: Columns of the source that were left out, and why, for the summary.
    """

    numbers: npt.NDArray[np.float64]
    names: tuple[str, ...]
    categorical: tuple[CategoricalColumn, ...] = ()
    dates: tuple[DateColumn, ...] = ()
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)


def table_from_columns(
    columns: Mapping[str, npt.ArrayLike | CategoricalColumn | DateColumn], rows: int, dropped: tuple[str, ...] = ()
) -> Table:
    """The table of these columns, the numeric ones first.

    Raises:
        DataError: A column has another length than `rows`, more than one dimension, or values of mixed types.
    """
    numbers: dict[str, npt.NDArray[np.float64]] = {}
    categorical: list[CategoricalColumn] = []
    dates: list[DateColumn] = []
    for name, values in columns.items():
        if not isinstance(name, str) or not name:
            raise DataError(f"a column's name must be a non-empty text, got {name!r}; rename it")
        if isinstance(values, CategoricalColumn):
            categorical.append(values)
            continue
        if isinstance(values, DateColumn):
            dates.append(values)
            continue
        if isinstance(values, list | tuple):
            values = np.array(values, dtype=object)  # NumPy would turn [1, "a"] into text without an error
        array = as_array(values, f"column '{name}'")
        if array.shape != (rows,):
            raise DataError(
                f"column '{name}' has shape {array.shape}, expected ({rows},): one value per target; reshape it"
            )
        if array.dtype.kind == "M":
            dates.append(DateColumn(name, _seconds(array)))
            continue
        texts = _texts(name, array)
        if texts is None:
            numbers[name] = array.astype(np.float64)
        else:
            categorical.append(categorical_column(name, texts))
    if not numbers and not categorical and not dates:
        raise DataError("inputs have no columns; give at least one, {'name': values}")
    block = np.column_stack(list(numbers.values())) if numbers else np.empty((rows, 0))
    return Table(block, tuple(numbers), tuple(categorical), tuple(dates), dropped)


def categorical_column(name: str, cells: Iterable[str]) -> CategoricalColumn:
    """The cells as categories; every spelling of a missing value becomes the category ""."""
    clean = ["" if cell.lower() in USUAL_MARKS else cell for cell in cells]
    categories = tuple(sorted(set(clean)))
    index = {category: code for code, category in enumerate(categories)}
    return CategoricalColumn(name, categories, np.array([index[cell] for cell in clean], dtype=np.int64))


def as_array(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    """`np.asarray`. Raises DataError for what cannot become an array, such as ragged lists or tensors on a GPU."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} cannot be converted to an array: {error}; give rows of equal length, in main memory"
        ) from error


def is_missing(value: object) -> bool:
    """Whether a Python value stands for a missing one: None or NaN."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _seconds(times: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Seconds since 1970; NaN for NaT."""
    seconds: npt.NDArray[np.float64] = (times.astype("datetime64[us]") - np.datetime64(0, "us")) / np.timedelta64(
        1, "s"
    )
    return seconds


def _texts(name: str, array: npt.NDArray[Any]) -> list[str] | None:
    """The cells of a categorical column, "" where missing; None for a numeric one."""
    match array.dtype.kind:
        case "i" | "u" | "f":
            return None
        case "b" | "U":
            return [str(cell).strip() for cell in array.tolist()]
        case "O":  # as pandas has columns of text, and lists with None become
            kinds = {type(cell) for cell in array.tolist() if not is_missing(cell)}
            if all(issubclass(kind, str) for kind in kinds) or kinds <= {bool, np.bool_}:
                return ["" if is_missing(cell) else str(cell).strip() for cell in array.tolist()]
            if all(issubclass(kind, int | float | np.number) and kind is not bool for kind in kinds):
                return None
            got = "values of " + ", ".join(sorted(kind.__name__ for kind in kinds))
        case _:
            got = str(array.dtype)
    raise DataError(f"column '{name}' must be all numbers, text, bools or dates, got {got}; convert it to one of them")
