"""A Parquet file as a table. Its columns have types, so nothing is inferred: text is categorical even if it is digits.

A `Split` by time or by group can use a column of dates or times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.dates import DateColumn
from archsearch.search.training.data.files import map_bytes
from archsearch.search.training.data.missing import USUAL_MARKS
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.targets import check_target, check_task
from archsearch.spaces.errors import DataError, unknown

# pandas stores the row numbers of a filtered table under such a name; they are no input.
PANDAS_INDEX = "__index_level_"


@dataclass(frozen=True, slots=True)
class Parquet(DataSource):
    """A Parquet file and how to read it; see `parquet` for each field."""

    path: str
    target: str
    categorical: tuple[str, ...]
    drop: tuple[str, ...]
    task: Task | None

    def __post_init__(self) -> None:
        check_task(self.task)
        check_target(self.target, categorical=self.categorical, drop=self.drop)

    def __str__(self) -> str:
        return f"'{self.path}'"

    def load(self) -> Samples:
        table = self._table()
        inputs: dict[str, Any] = {}
        for name in table.column_names:
            column = table[name]
            if name == self.target:
                continue
            if name not in self.categorical and _is_number(column.type):
                inputs[name] = _numbers(column)
                empty = bool(np.isnan(inputs[name]).all())
            elif name not in self.categorical and _is_date(column.type):
                dates = _dates(name, column)
                inputs[name] = dates
                empty = bool(np.isnan(dates.seconds).all())
            else:
                texts = _texts(column)
                inputs[name] = np.array(texts, dtype=object)
                empty = all(text.lower() in USUAL_MARKS for text in texts)
            if empty:
                raise self._error(name, f"has no value in any row; pass drop=['{name}']")
        if not inputs:
            raise DataError(f"'{self.path}' has no column but the target '{self.target}'; drop fewer columns")
        return Samples(inputs, self._targets(table[self.target]), self.task, dropped=self.drop)

    def load_targets(self) -> npt.NDArray[Any]:
        return self._targets(self._table(only=self.target)[self.target])

    def _table(self, only: str | None = None) -> Any:
        """The pyarrow table of the columns that are kept, or of one, with checked types and dictionaries decoded."""
        import pyarrow  # late: workers never load data, and pyarrow is slow to import
        import pyarrow.parquet

        content = map_bytes(self.path)
        if not len(content):
            raise DataError(f"'{self.path}' has 0 bytes; give a Parquet file with at least one row")
        try:
            file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(pyarrow.py_buffer(content)))
            schema = file.schema_arrow
            kept = self._kept(schema.names)
            self._check_types({name: _value_type(schema.field(name).type) for name in kept})
            kept = kept if only is None else [only]
            table = file.read(columns=kept)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"'{self.path}' cannot be read as Parquet ({reason}); download it again, or use csv() if it is text"
            ) from error
        if not len(table):
            raise DataError(f"'{self.path}' has columns but no rows; give at least one row")
        # By name, because reading "a" also reads a column "a.b".
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
            listed = ", ".join(f"'{name}' of {kind}" for name, kind in odd.items())
            target = "" if self.target not in odd else f" ('{self.target}' is the target: store it as numbers or text)"
            raise DataError(
                f"'{self.path}' has columns that are neither numbers, bools, text nor times: {listed}; store their "
                f"parts as numbers, or pass drop={[name for name in odd if name != self.target]}{target}"
            )

    def _targets(self, column: Any) -> npt.NDArray[Any]:
        """(n,) float64 or texts. Raises DataError for a missing or infinite one."""
        targets: npt.NDArray[Any]
        if _is_number(column.type):
            targets = _numbers(column)
            missing = np.flatnonzero(~np.isfinite(targets))
        else:
            targets = np.array(_texts(column), dtype=object)
            missing = np.flatnonzero([text.lower() in USUAL_MARKS for text in targets])
        if len(missing):
            row = int(missing[0])
            raise self._error(
                self.target,
                f"row {row}: got {column[row]}, expected a target; fill it in or remove the row "
                f"(rows without a target: {len(missing):,})",
            )
        return targets

    def _error(self, name: str, fault: str) -> DataError:
        return DataError(f"'{self.path}', column '{name}' {fault}")


def _value_type(kind: Any) -> Any:
    """The type of a column's values, also if it is dictionary-encoded."""
    import pyarrow

    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    # A column of nulls alone has its own type.
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal, types.is_null))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    texts = (types.is_string, types.is_large_string, types.is_string_view)
    return any(test(kind) for test in (*texts, types.is_boolean, types.is_date, types.is_timestamp))


def _is_date(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def _dates(name: str, column: Any) -> DateColumn:
    import pyarrow

    microseconds = column.cast(pyarrow.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    return DateColumn(name, np.asarray(_numbers(microseconds.cast(pyarrow.int64()))) / 1e6)


def _numbers(column: Any) -> npt.NDArray[np.float64]:
    """(n,), NaN where null."""
    import pyarrow

    # Not safe=True, which refuses integers that a float64 cannot represent exactly, above 2**53.
    return np.array(column.cast(pyarrow.float64(), safe=False).to_numpy())


def _texts(column: Any) -> tuple[str, ...]:
    """The cells as text, as a CSV file would have them; "" for null."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):  # Python has no nanoseconds
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    return tuple("" if value is None else str(value).strip() for value in column.to_pylist())
