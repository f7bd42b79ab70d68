"""A Parquet file as a table. Its columns have types, so nothing is guessed: text is categories, also of digits.

Dates and times are text, as in a CSV file; a `Split` by time or by group can take such a column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.csv_files import MISSING, Column
from archsearch.search.training.data.files import read_bytes
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw, Table, Words
from archsearch.search.training.data.targets import check_target, check_task
from archsearch.spaces.errors import DataError, unknown

# pandas keeps a table's row numbers under such a name once rows were filtered: no property of a row.
PANDAS_INDEX = "__index_level_"


@dataclass(frozen=True, slots=True)
class Parquet:
    """A Parquet file and how to read it; see `parquet` for the meaning of each field."""

    path: str
    target: str
    categorical: tuple[str, ...]
    drop: tuple[str, ...]
    task: Task | None

    def __post_init__(self) -> None:
        check_task(self.task)
        check_target(self.target, categorical=self.categorical, drop=self.drop)

    def read(self) -> Raw:
        table = self._table()
        numbers: dict[str, npt.NDArray[np.float64]] = {}
        words: list[Words] = []
        for name in table.column_names:
            column = table[name]
            if name == self.target:
                continue
            if name not in self.categorical and _is_number(column.type):
                numbers[name] = _numbers(column)
                empty = bool(np.isnan(numbers[name]).all())
            else:
                words.append(Column(self.path, name, _texts(column), ()).words())
                empty = words[-1].categories == ("",)
            if empty:
                raise self._error(name, f"has no value in any row; pass drop=['{name}']")
        if not numbers and not words:
            raise DataError(f"'{self.path}' has no column but the target '{self.target}'; drop fewer columns")
        block = np.column_stack(list(numbers.values())) if numbers else np.empty((len(table), 0))
        return Raw(Table(block, tuple(numbers), tuple(words)), self._targets(table[self.target]), self.task)

    def _table(self) -> Any:
        """The pyarrow table without dropped columns, its types checked, and none of them a dictionary any more."""
        import pyarrow  # here, not above: workers never read, and pyarrow loads slowly
        import pyarrow.parquet

        content = read_bytes(self.path)
        if not content:
            raise DataError(f"'{self.path}' is empty: got no bytes; give a Parquet file with at least one row")
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
            schema = file.schema_arrow
            kept = self._kept(schema.names)
            self._check_types({name: _value_type(schema.field(name).type) for name in kept})
            table = file.read(columns=kept)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"'{self.path}' cannot be read as Parquet ({reason}); get it again, or use csv() if it is text"
            ) from error
        if not len(table):
            raise DataError(f"'{self.path}' has columns but no rows; give at least one row")
        # Of what was kept alone: "a" may bring a column "a.b" along.
        return pyarrow.table({name: table[name].cast(_value_type(table[name].type)) for name in kept})

    def _kept(self, names: list[str]) -> list[str]:
        for name in (self.target, *self.categorical, *self.drop):
            if name not in names:
                raise DataError(f"'{self.path}': {unknown('column', name, names)}")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"'{self.path}' has two columns named '{twice}'; rename one")
        left_out = {*self.drop, *(name for name in names if name.startswith(PANDAS_INDEX) and name != self.target)}
        return [name for name in names if name not in left_out]

    def _check_types(self, types: dict[str, Any]) -> None:
        odd = {name: kind for name, kind in types.items() if not _is_number(kind) and not _is_text(kind)}
        if odd:
            told = ", ".join(f"'{name}' of {kind}" for name, kind in odd.items())
            target = "" if self.target not in odd else f" ('{self.target}' is the target: write it as numbers or text)"
            raise DataError(
                f"'{self.path}' has columns that are neither numbers, bools, text nor times: {told}; write their parts "
                f"as numbers, or pass drop={[name for name in odd if name != self.target]}{target}"
            )

    def _targets(self, column: Any) -> npt.NDArray[Any]:
        """(n,) float64 or texts. Raises DataError for a missing or infinite one."""
        targets: npt.NDArray[Any]
        if _is_number(column.type):
            targets = _numbers(column)
            missing = np.flatnonzero(~np.isfinite(targets))
        else:
            targets = np.array(_texts(column), dtype=object)
            missing = np.flatnonzero([text.lower() in MISSING for text in targets])
        if len(missing):
            row = int(missing[0])
            raise self._error(
                self.target,
                f"row {row}: got {column[row]}, expected a target; fill it in or remove the row ({len(missing)} such)",
            )
        return targets

    def _error(self, name: str, fault: str) -> DataError:
        return DataError(f"'{self.path}', column '{name}' {fault}")


def _value_type(kind: Any) -> Any:
    """The type of the values, of which a dictionary keeps each once."""
    import pyarrow

    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    # A column of nothing but nulls has a type of its own.
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal, types.is_null))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    texts = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in (*texts, types.is_boolean, types.is_date, types.is_timestamp))


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    """(n,), NaN where null."""
    import pyarrow

    # Not safe: a float holds whole numbers only up to 2**53 exactly.
    return np.array(column.cast(pyarrow.float64(), safe=False).to_numpy())


def _texts(column: Any) -> tuple[str, ...]:
    """The cells as a CSV file would have them, "" for null."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):  # Python has no nanoseconds
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    return tuple("" if value is None else str(value).strip() for value in column.to_pylist())
