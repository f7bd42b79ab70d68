"""A CSV file as a table: which columns are numbers, which are words, and which cells are neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.csv_records import Records, check_delimiter, read_records
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw, Table, Words
from archsearch.search.training.data.targets import check_target, check_task
from archsearch.spaces.errors import DataError, unknown

MISSING = frozenset({"", "na", "n/a", "nan", "null", "?"})  # in any case of letters

# From this share of numbers on, a column is taken for numbers, and its other cells for mistakes.
MOSTLY = 0.8


@dataclass(frozen=True, slots=True)
class Csv:
    """A CSV file and how to read it; see `csv` for the meaning of each field."""

    path: str
    target: str
    header: bool = True
    names: tuple[str, ...] | None = None
    delimiter: str = ","
    categorical: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    task: Task | None = None
    encoding: str = "utf-8-sig"

    def __post_init__(self) -> None:
        check_task(self.task)
        check_delimiter(self.delimiter)
        check_target(self.target, categorical=self.categorical, drop=self.drop)

    def read(self) -> Raw:
        records = read_records(
            self.path, delimiter=self.delimiter, encoding=self.encoding, header=self.header, names=self.names
        )
        self._check_names(records)
        numbers: dict[str, npt.NDArray[np.float64]] = {}
        words: list[Words] = []
        targets: npt.NDArray[Any] = np.empty(0)
        for name, cells in zip(records.names, records.cells, strict=True):
            column = Column(self.path, name, cells, records.lines)
            if name == self.target:
                targets = column.targets(self.task)
            elif name in self.drop:
                continue
            elif name not in self.categorical and (values := column.numbers()) is not None:
                numbers[name] = values
            else:
                words.append(column.words())
        if not numbers and not words:
            raise DataError(f"'{self.path}' has no column but the target '{self.target}'; drop fewer columns")
        block = np.column_stack(list(numbers.values())) if numbers else np.empty((len(targets), 0))
        return Raw(Table(block, tuple(numbers), tuple(words)), targets, self.task)

    def _check_names(self, records: Records) -> None:
        for name in (self.target, *self.categorical, *self.drop):
            if name not in records.names:
                hint = f"; is delimiter={self.delimiter!r} right?" if len(records.names) == 1 else ""
                raise DataError(f"'{self.path}': {unknown('column', name, records.names)}{hint}")


@dataclass(frozen=True, slots=True)
class Column:
    """One column's cells, with the lines they stand on."""

    path: str
    name: str
    cells: tuple[str, ...]
    lines: tuple[int, ...]

    def numbers(self) -> npt.NDArray[np.float64] | None:
        """(n,) with NaN where missing; None for a column of words. Raises DataError for one nearly of numbers."""
        parsed = {cell: _number(cell) for cell in set(self.cells) if cell.lower() not in MISSING}
        if not parsed:
            raise DataError(f"{self._at()} has no value in any row; pass drop=['{self.name}']")
        odd = [row for row, cell in enumerate(self.cells) if parsed.get(cell, 0.0) is None]
        if not odd:
            return np.array([parsed.get(cell, math.nan) for cell in self.cells], dtype=np.float64)
        present = sum(cell in parsed for cell in self.cells)
        if len(odd) > (1 - MOSTLY) * present:
            return None
        raise DataError(
            f"{self._at(odd[0])}: got '{self.cells[odd[0]]}', expected a number like {present - len(odd):,} of this "
            f"column's {present:,} values; mend it ({len(odd)} such), or pass categorical=['{self.name}']"
        )

    def texts(self) -> tuple[str, ...]:
        """The cells as they stand. Raises DataError for an empty one."""
        empty = [row for row, cell in enumerate(self.cells) if not cell]
        if empty:
            raise DataError(
                f"{self._at(empty[0])}: got nothing, expected a text; fill it in or remove the row ({len(empty)} such)"
            )
        return self.cells

    def words(self) -> Words:
        """The column as categories, "" standing for all spellings of a missing value."""
        clean = ["" if cell.lower() in MISSING else cell for cell in self.cells]
        categories = tuple(sorted(set(clean)))
        index = {category: code for code, category in enumerate(categories)}
        return Words(self.name, categories, np.array([index[cell] for cell in clean], dtype=np.int64))

    def targets(self, task: Task | None) -> npt.NDArray[Any]:
        """(n,) numbers where every cell is one, else the texts. Raises DataError for a missing or odd one."""
        missing = [row for row, cell in enumerate(self.cells) if cell.lower() in MISSING]
        if missing:
            raise DataError(
                f"{self._at(missing[0])}: got '{self.cells[missing[0]]}', expected a target; fill it in or remove the "
                f"row ({len(missing)} such)"
            )
        parsed = {cell: _number(cell) for cell in set(self.cells)}
        odd = [row for row, cell in enumerate(self.cells) if parsed[cell] is None]
        if not odd:
            return np.array([parsed[cell] for cell in self.cells], dtype=np.float64)
        few = len(odd) <= (1 - MOSTLY) * len(self.cells)
        if task == "regression" or (task is None and few):
            raise DataError(
                f"{self._at(odd[0])}: got '{self.cells[odd[0]]}', expected a number as target; mend it "
                f"({len(odd)} such), or pass task='classification'"
            )
        return np.array(self.cells, dtype=object)

    def _at(self, row: int | None = None) -> str:
        line = "" if row is None else f", line {self.lines[row]}"
        return f"'{self.path}'{line}, column '{self.name}'"


def _number(cell: str) -> float | None:
    """The finite number that a cell spells, else None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None  # Python reads 1_0 as 10; nobody else does
