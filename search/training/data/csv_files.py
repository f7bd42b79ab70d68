"""A CSV file as a table: which columns are numbers, categories and dates, and which cells are mistakes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.csv_columns import Column
from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_proposals import check_columns
from archsearch.search.training.data.csv_table import Cells, CsvTable, read_csv
from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.missing import MissingMarks
from archsearch.search.training.data.number_format import PLAIN, NumberFormat
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.table_files import table_file
from archsearch.search.training.data.targets import check_target, check_task
from archsearch.spaces.errors import DataError


@dataclass(frozen=True, slots=True)
class Csv(DataSource):
    """A CSV file and how to read it; see `csv` for each field."""

    path: str
    target: str
    format: CsvFormat = field(default_factory=CsvFormat)
    numbers: NumberFormat = PLAIN
    missing: MissingMarks = field(default_factory=MissingMarks)
    categorical: tuple[str, ...] = ()
    dates: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()
    task: Task | None = None

    def __post_init__(self) -> None:
        check_task(self.task)
        check_target(self.target, categorical=self.categorical, drop=self.drop, dates=tuple(dict(self.dates)))

    def __str__(self) -> str:
        return f"'{self.path}'"

    def load(self) -> Samples:
        table = self._read()
        inputs: dict[str, Any] = {}
        targets: npt.NDArray[Any] = np.empty(0)
        dropped = []
        for name in table.names:
            if name == self.target:
                targets = self._targets(table)
            elif name in self.drop:
                dropped.append(name)
            elif name not in self.categorical and _is_row_number(table, name):
                dropped.append(f"{name}: row numbers")
            else:
                inputs[name] = self._input(table, name)
        if not inputs:
            raise DataError(f"'{self.path}' has no column but the target '{self.target}'; drop fewer columns")
        return Samples(inputs, targets, self.task, dropped=tuple(dropped))

    def load_targets(self) -> npt.NDArray[Any]:
        return self._targets(self._read(keep=(self.target,)))

    def _input(self, table: CsvTable, name: str) -> Any:
        values = table.columns[name]
        if not isinstance(values, Cells):
            return self.missing.without(values)
        column = self._column(table, name, values)
        if name in self.categorical:
            return column.categories()
        if (format := dict(self.dates).get(name)) is not None:
            return column.dates(format)
        if (numbers := column.numbers()) is not None:
            return numbers
        return column.dates() or column.categories()

    def _targets(self, table: CsvTable) -> npt.NDArray[Any]:
        values = table.columns[self.target]
        if not isinstance(values, Cells):
            if not np.isnan(self.missing.without(values)).any():
                return values
            # One is missing; the cell is read as text, to quote it.
            table = self._read(keep=(self.target,), as_text=(self.target,))
            values = table.columns[self.target]
        return self._column(table, self.target, values).targets(self.task)

    def _column(self, table: CsvTable, name: str, cells: Any) -> Column:
        return Column(self.path, name, cells, table.line_of, self.numbers, self.missing)

    def _read(self, keep: Collection[str] | None = None, as_text: Collection[str] = ()) -> CsvTable:
        file = table_file(self.path, self.format)
        table = read_csv(
            file,
            self.format,
            keep=keep,
            as_text=(*self.categorical, *dict(self.dates), *as_text),
            numbers=self.numbers,
            missing=self.missing.texts,
        )
        check_columns(
            file,
            self.format,
            table.names,
            table.unnamed,
            (self.target, *self.categorical, *dict(self.dates), *self.drop),
        )
        return table


def _is_row_number(table: CsvTable, name: str) -> bool:
    """Whether the column has no name and counts the rows from 0 or 1, as pandas and R write their index."""
    values = table.columns[name]
    if isinstance(values, Cells) or not (name in table.unnamed or name.startswith("Unnamed: ")):
        return False
    return values[0] in (0, 1) and bool((np.diff(values) == 1).all())
