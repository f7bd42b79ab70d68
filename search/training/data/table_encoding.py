"""A table as a network's inputs: scaled numbers, dates as numbers, categories as 0/1 columns or codes.

Everything is fitted on the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.columns import CategoricalColumn, Table
from archsearch.search.training.data.prepared import Cleaning
from archsearch.search.training.data.scaling import Scaling, table_scaler
from archsearch.search.training.data.split import Rows
from archsearch.search.training.data.table_warnings import is_free_text, table_warnings
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

MOST_EXTREME = 1e30  # float32 ends at 3e38, and the standard deviation squares

# A column with more categories is an identifier or free text, and would fill the memory as one-hot. Codes may have more
# categories, as long as there are two rows per category on average to learn from.
MOST_CATEGORIES = 1000

CategoryEncoding = Literal["one_hot", "codes"]


@dataclass(frozen=True, slots=True)
class FittedTable:
    """What was fitted on the training rows.

    Attributes:
        encode: From row numbers (n,) to inputs (n, columns).
        cleaning: What was repaired.
        feature_names: As in `Prepared`.
        categories: As in `Prepared`.
    """

    encode: Callable[[Rows], npt.NDArray[np.float32]]
    cleaning: Cleaning
    feature_names: tuple[str, ...]
    categories: tuple[int, ...]


def fit_table(table: Table, train: Rows, encoding: CategoryEncoding, scaling: Scaling) -> FittedTable:
    """Fit the preprocessing of a table. Numeric columns come first, then the categorical ones.

    Args:
        table: The whole table.
        train: (n,) the row numbers of the training part.
        encoding: Whether a categorical column becomes 0/1 columns or one column of codes.
        scaling: How numeric columns are scaled.

    Raises:
        DataError: A value is extreme, a column has too many categories, or no column varies.
    """
    from sklearn.impute import SimpleImputer  # late: workers never prepare data, and scikit-learn is slow to import
    from sklearn.pipeline import make_pipeline

    _check_range(table)
    varying = _without_constants(_with_numbers_of_dates(table, train), train)
    _check_categories(varying, encoding)
    scaler = make_pipeline(SimpleImputer(strategy="median"), table_scaler(scaling))
    if varying.names:
        scaler.fit(varying.numbers[train])
    fit = _as_codes if encoding == "codes" else _one_hot
    columns = [fit(column, train) for column in varying.categorical]

    def encode(rows: Rows) -> npt.NDArray[np.float32]:
        arrays: list[npt.NDArray[Any]] = [scaler.transform(varying.numbers[rows])] if varying.names else []
        return np.concatenate([*arrays, *(column.encode(rows) for column in columns)], axis=1, dtype=np.float32)

    names = (*varying.names, *(name for column in columns for name in column.names))
    return FittedTable(
        encode,
        Cleaning(
            rows=len(table),
            columns=_width(table),
            filled=int(np.isnan(varying.numbers).sum()),
            constant=_constants(table, varying),
            unseen=sum(column.unseen for column in columns),
            kinds=_kinds(table, len(names)),
            warnings=table_warnings(table),
        ),
        feature_names=names,
        categories=tuple(column.codes for column in columns) if encoding == "codes" else (),
    )


@dataclass(frozen=True, slots=True)
class _EncodedColumn:
    """How a categorical column is encoded.

    Attributes:
        encode: From row numbers (n,) to inputs (n, k).
        names: (k,) the names of these inputs.
        unseen: How many cells have a category that no training row has.
        codes: The number of codes; 0 for a one-hot encoding.
    """

    encode: Callable[[Rows], npt.NDArray[Any]]
    names: tuple[str, ...]
    unseen: int
    codes: int = 0


def _one_hot(column: CategoricalColumn, train: Rows) -> _EncodedColumn:
    seen = np.unique(column.codes[train])
    names = tuple(f"{column.name}={column.categories[code] or '(missing)'}" for code in seen)
    return _EncodedColumn(lambda rows: column.codes[rows, None] == seen, names, _unseen(column, seen))


def _as_codes(column: CategoricalColumn, train: Rows) -> _EncodedColumn:
    seen = np.unique(column.codes[train])
    codes = np.zeros(len(column.categories))  # 0: unseen
    codes[seen] = np.arange(1, len(seen) + 1)
    return _EncodedColumn(
        lambda rows: codes[column.codes[rows, None]], (column.name,), _unseen(column, seen), codes=len(seen) + 1
    )


def _unseen(column: CategoricalColumn, seen: npt.NDArray[np.int64]) -> int:
    return int((~np.isin(column.codes, seen)).sum())


def _width(table: Table) -> int:
    return len(table.names) + len(table.categorical) + len(table.dates)


def _constants(table: Table, varying: Table) -> int:
    """How many columns of the table are not among the varying ones."""
    names = (*table.names, *(each.name for each in table.categorical), *(each.name for each in table.dates))
    return len(set(names) - {*varying.names, *(column.name for column in varying.categorical)})


def _kinds(table: Table, inputs: int) -> str:
    kinds = [
        count(len(table.names), "number") if table.names else "",
        count(len(table.categorical), "category", "categories") if table.categorical else "",
        count(len(table.dates), "date") if table.dates else "",
        f"{count(len(table.dropped), 'column')} left out ({', '.join(table.dropped)})" if table.dropped else "",
    ]
    return f"{', '.join(filter(None, kinds))} → {count(inputs, 'input')}"


def _with_numbers_of_dates(table: Table, train: Rows) -> Table:
    """The table with numeric columns in place of its dates; parts such as the hour only if they vary in training."""
    if not table.dates:
        return table
    inputs: dict[str, npt.NDArray[np.float64]] = {}
    for column in table.dates:
        for name, values in column.inputs().items():
            present = values[train][~np.isnan(values[train])]
            if name == column.name or (len(present) and np.ptp(present) > 0):
                inputs[name] = values
    return Table(np.column_stack([table.numbers, *inputs.values()]), (*table.names, *inputs), table.categorical)


def _without_constants(table: Table, train: Rows) -> Table:
    """The table without the columns that have at most one distinct value in the training part."""
    numbers = table.numbers[train]
    # fmax and fmin ignore NaN unless there is nothing else; then the comparison of NaN is False.
    varies = np.fmax.reduce(numbers) > np.fmin.reduce(numbers)
    categorical = tuple(column for column in table.categorical if len(np.unique(column.codes[train])) > 1)
    if not varies.any() and not categorical:
        raise DataError(
            f"no column varies in the training part of {count(len(train), 'row')}, so there is nothing to learn from; "
            "check the columns"
        )
    names = tuple(name for name, kept in zip(table.names, varies, strict=True) if kept)
    return Table(table.numbers[:, varies], names, categorical)


def _check_categories(table: Table, encoding: CategoryEncoding) -> None:
    for column in table.categorical:
        most = max(MOST_CATEGORIES, len(column.codes) // 2) if encoding == "codes" else MOST_CATEGORIES
        if len(column.categories) > most:
            example = next(text for text in column.categories if text)
            texts = "; if it is free text, see text()" if is_free_text(column) else ""
            hint = "" if encoding == "codes" else "; categories='codes' allows one category per two rows"
            raise DataError(
                f"column '{column.name}' has {len(column.categories):,} distinct texts such as '{example[:40]}', "
                f"expected at most {most:,} categories; leave the column out (drop=['{column.name}']), or write "
                f"numbers as 1234.5{hint}{texts}"
            )


def _check_range(table: Table) -> None:
    # Such a value overflows in the standard deviation or in float32, and becomes NaN. Some programs write the largest
    # float for a missing value.
    extreme = np.abs(table.numbers) > MOST_EXTREME  # False for NaN
    for column in np.flatnonzero(extreme.any(axis=0)):
        value = table.numbers[extreme[:, column], column][0]
        raise DataError(
            f"column '{table.names[column]}' contains {value:g}, beyond ±{MOST_EXTREME:g}; if it stands for a missing "
            "value, leave the cell empty, otherwise use a larger unit"
        )
