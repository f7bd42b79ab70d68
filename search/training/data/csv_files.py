"""A CSV file as a table: which columns are numeric, which are categorical, and which cells are mistakes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.columns import MISSING
from archsearch.search.training.data.csv_records import Records, check_delimiter, read_records
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.targets import check_target, check_task
from archsearch.spaces.errors import DataError, unknown

# From this share of numbers on, a column is numeric and its other cells are mistakes; below, it is categorical.
NUMERIC_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Csv(DataSource):
    """A CSV file and how to read it; see `csv` for each field."""

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

    def __str__(self) -> str:
        return f"'{self.path}'"

    def load(self) -> Samples:
        records = self._read()
        inputs: dict[str, npt.NDArray[Any]] = {}
        targets: npt.NDArray[Any] = np.empty(0)
        for name, cells in records.cells.items():
            column = Column(self.path, name, cells, records.lines)
            if name == self.target:
                targets = column.targets(self.task)
            elif name in self.drop:
                continue
            elif name not in self.categorical and (values := column.numbers()) is not None:
                inputs[name] = values
            else:
                inputs[name] = np.array(cells, dtype=object)
        if not inputs:
            raise DataError(f"'{self.path}' has no column but the target '{self.target}'; drop fewer columns")
        return Samples(inputs, targets, self.task)

    def load_targets(self) -> npt.NDArray[Any]:
        records = self._read(keep=(self.target,))
        return Column(self.path, self.target, records.cells[self.target], records.lines).targets(self.task)

    def _read(self, keep: Collection[str] | None = None) -> Records:
        records = read_records(
            self.path,
            delimiter=self.delimiter,
            encoding=self.encoding,
            header=self.header,
            names=self.names,
            keep=keep,
        )
        for name in (self.target, *self.categorical, *self.drop):
            if name not in records.names:
                hint = f"; is delimiter={self.delimiter!r} right?" if len(records.names) == 1 else ""
                raise DataError(f"'{self.path}': {unknown('column', name, records.names)}{hint}")
        return records


@dataclass(frozen=True, slots=True)
class Column:
    """The cells of one column, with the line of the file on which each is."""

    path: str
    name: str
    cells: tuple[str, ...]
    lines: tuple[int, ...]

    def numbers(self) -> npt.NDArray[np.float64] | None:
        """(n,) with NaN where missing; None for a categorical column.

        Raises:
            DataError: The column has no value, or is numeric but for a few cells.
        """
        parsed = {cell: _number(cell) for cell in set(self.cells) if cell.lower() not in MISSING}
        if not parsed:
            raise DataError(f"{self._location()} has no value in any row; pass drop=['{self.name}']")
        odd = [row for row, cell in enumerate(self.cells) if parsed.get(cell, 0.0) is None]
        if not odd:
            return np.array([parsed.get(cell, math.nan) for cell in self.cells], dtype=np.float64)
        present = sum(cell in parsed for cell in self.cells)
        if len(odd) > (1 - NUMERIC_SHARE) * present:
            return None
        raise DataError(
            f"{self._location(odd[0])}: got '{self.cells[odd[0]]}', expected a number like {present - len(odd):,} of "
            f"this column's {present:,} values; fix {_cells(odd)}, or pass categorical=['{self.name}']"
        )

    def texts(self) -> tuple[str, ...]:
        """The cells unchanged. Raises DataError for an empty one."""
        empty = [row for row, cell in enumerate(self.cells) if not cell]
        if empty:
            raise DataError(
                f"{self._location(empty[0])}: got an empty cell, expected a text; fill in {_cells(empty)} or remove "
                "the row"
            )
        return self.cells

    def targets(self, task: Task | None) -> npt.NDArray[Any]:
        """(n,) numbers if every cell is one, else the texts. Raises DataError for a missing or odd cell."""
        missing = [row for row, cell in enumerate(self.cells) if cell.lower() in MISSING]
        if missing:
            raise DataError(
                f"{self._location(missing[0])}: got '{self.cells[missing[0]]}', expected a target; fill in "
                f"{_cells(missing)} or remove the row"
            )
        parsed = {cell: _number(cell) for cell in set(self.cells)}
        odd = [row for row, cell in enumerate(self.cells) if parsed[cell] is None]
        if not odd:
            return np.array([parsed[cell] for cell in self.cells], dtype=np.float64)
        few = len(odd) <= (1 - NUMERIC_SHARE) * len(self.cells)
        if task == "regression" or (task is None and few):
            raise DataError(
                f"{self._location(odd[0])}: got '{self.cells[odd[0]]}', expected a number as target; fix "
                f"{_cells(odd)}, or pass task='classification'"
            )
        return np.array(self.cells, dtype=object)

    def _location(self, row: int | None = None) -> str:
        line = "" if row is None else f", line {self.lines[row]}"
        return f"'{self.path}'{line}, column '{self.name}'"


def _cells(rows: list[int]) -> str:
    return "this cell" if len(rows) == 1 else f"all {len(rows):,} such cells"


def _number(cell: str) -> float | None:
    """The finite number in a cell, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None  # only Python reads 1_0 as 10
