"""The cells of one column of a CSV file as numbers, categories, dates or texts, or the mistake in them, by its line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.columns import CategoricalColumn
from archsearch.search.training.data.csv_table import Cells
from archsearch.search.training.data.dates import DateColumn, date_formats, iso_seconds, parsed_seconds
from archsearch.search.training.data.missing import SUSPECTED_MARKS, MissingMarks
from archsearch.search.training.data.number_format import NUMERIC_SHARE, PLAIN, NumberFormat, recognize
from archsearch.search.training.data.prepared import Task
from archsearch.spaces.errors import DataError


@dataclass(frozen=True, slots=True)
class Column:
    """A column of texts.

    Attributes:
        path: The file, for messages.
        name: The column.
        cells: Its cells.
        line_of: From a row to its line of the file.
        number_format: How numbers are written.
        missing: What stands for a missing value.
        has_options: Whether the source has arguments for other notations, which messages can name.
    """

    path: str
    name: str
    cells: Cells
    line_of: Callable[[int], int]
    number_format: NumberFormat = PLAIN
    missing: MissingMarks = field(default_factory=MissingMarks)
    has_options: bool = True

    def numbers(self) -> npt.NDArray[np.float64] | None:
        """(n,) with NaN where missing; None for a categorical column.

        Raises:
            DataError: The column has no value, is numeric but for a few cells, or holds numbers in another notation.
        """
        parsed = self._parsed()
        if all(self._is_missing(value) for value in self.cells.values):
            raise DataError(f"{self._location()} has no value in any row; pass drop=['{self.name}']")
        odd = [value for value, number in parsed.items() if number is None]
        if odd:
            self._check_marks(odd)
            self._check_notation(f"categorical=['{self.name}']")
            rows, present = self._rows(odd), len(self.cells.codes) - len(self._rows(self._marks()))
            if len(rows) > (1 - NUMERIC_SHARE) * present:
                return None
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}', expected a number like "
                f"{present - len(rows):,} of this column's {present:,} values; fix {_these(rows)}, or pass "
                f"categorical=['{self.name}']"
            )
        values = np.array([parsed.get(value, math.nan) for value in self.cells.values], dtype=np.float64)
        return values[self.cells.codes]

    def categories(self) -> CategoricalColumn:
        """The cells as categories; all spellings of a missing value are the category ""."""
        clean = ["" if self._is_missing(value) else value for value in self.cells.values]
        categories = tuple(sorted(set(clean)))
        index = {category: code for code, category in enumerate(categories)}
        codes = np.array([index[value] for value in clean], dtype=np.int64)
        return CategoricalColumn(self.name, categories, codes[self.cells.codes])

    def dates(self, format: str | None = None) -> DateColumn | None:
        """The cells as dates or times; None for a column of others.

        Args:
            format: A format of `datetime.strptime`; None for dates such as 2024-01-31.

        Raises:
            DataError: A cell does not have the given format, or all have one that is not given.
        """
        present = [value for value in self.cells.values if not self._is_missing(value)]
        found = {
            value: iso_seconds(value) if format is None else parsed_seconds(value, format)
            for value in (present if format is not None else present[:1])
        }
        if format is None and None not in found.values():
            found = {value: iso_seconds(value) for value in present}
        odd = [value for value, seconds in found.items() if seconds is None]
        if not odd:
            seconds = np.array(
                [math.nan if (number := found.get(value)) is None else number for value in self.cells.values],
                dtype=np.float64,
            )
            return DateColumn(self.name, seconds[self.cells.codes])
        if format is not None:
            rows = self._rows(odd)
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}', expected a date like {format!r}; fix "
                f"{_these(rows)} or the format in dates="
            )
        if formats := date_formats(present):
            rows = self._rows(present)
            either = f" (or {formats[1]!r})" if len(formats) > 1 else ""
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}', which looks like a date, as do all values; "
                f"pass dates={{'{self.name}': {formats[0]!r}}}{either}, categorical=['{self.name}'] or "
                f"drop=['{self.name}']"
            )
        return None

    def texts(self) -> tuple[str, ...]:
        """The cells unchanged. Raises DataError for an empty one."""
        if "" in self.cells.values:
            rows = self._rows([""])
            raise DataError(
                f"{self._location(rows[0])}: got an empty cell, expected a text; fill in {_these(rows)} or remove "
                "the row"
            )
        return tuple(map(self.cells.values.__getitem__, self.cells.codes.tolist()))

    def targets(self, task: Task | None) -> npt.NDArray[Any]:
        """(n,) numbers if every cell is one, else the texts. Raises DataError for a missing or odd cell."""
        if marks := self._marks():
            rows = self._rows(marks)
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}', expected a target; fill in "
                f"{_these(rows)} or remove the row"
            )
        parsed = self._parsed()
        odd = [value for value, number in parsed.items() if number is None]
        if not odd:
            return np.array([parsed[value] for value in self.cells.values], dtype=np.float64)[self.cells.codes]
        if task != "classification":
            self._check_notation("task='classification'")
        rows = self._rows(odd)
        if task == "regression" or (task is None and len(rows) <= (1 - NUMERIC_SHARE) * len(self.cells.codes)):
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}', expected a number as target; fix "
                f"{_these(rows)}, or pass task='classification'"
            )
        longest = max(map(len, self.cells.values))
        kind = np.str_ if longest <= 64 else object  # an array of texts has room for the longest in each row
        return np.array(self.cells.values, dtype=kind)[self.cells.codes]

    def _parsed(self) -> dict[str, float | None]:
        """The number in each distinct cell that is not missing; None where there is none."""
        parse = self.number_format.parse
        return {value: parse(value) for value in self.cells.values if not self._is_missing(value)}

    def _is_missing(self, value: str) -> bool:
        texts, numbers = self.missing.texts, self.missing.numbers
        return value.lower() in texts or (bool(numbers) and self.number_format.parse(value) in numbers)

    def _marks(self) -> list[str]:
        return [value for value in self.cells.values if self._is_missing(value)]

    def _rows(self, values: list[str]) -> list[int]:
        """The rows with these cells."""
        chosen = set(values)
        is_chosen = np.array([value in chosen for value in self.cells.values], dtype=bool)
        rows: list[int] = np.flatnonzero(is_chosen[self.cells.codes]).tolist()
        return rows

    def _check_marks(self, odd: list[str]) -> None:
        """Raise DataError for a column of numbers and what often stands for a missing one."""
        if all(value.lower() in SUSPECTED_MARKS for value in odd) and len(odd) < len(self.cells.values) - len(
            self._marks()
        ):
            rows = self._rows(odd)
            raise DataError(
                f"{self._location(rows[0])}: got '{self.cells[rows[0]]}' among numbers, in {len(rows):,} rows; if it "
                f"stands for a missing value, pass missing={sorted(odd)!r}, else categorical=['{self.name}']"
            )

    def _check_notation(self, otherwise: str) -> None:
        """Raise DataError for numbers in another notation."""
        times = np.bincount(self.cells.codes, minlength=len(self.cells.values)).tolist()
        counts = {value: n for value, n in zip(self.cells.values, times, strict=True) if not self._is_missing(value)}
        odd = [value for value in counts if self.number_format.parse(value) is None]
        found = recognize(counts)
        if found is None and NUMERIC_SHARE * sum(counts.values()) <= sum(
            counts[value] for value in odd if PLAIN.parse(value) is not None
        ):
            found = PLAIN  # where another notation is declared
        if found is None:
            return
        rows = self._rows(odd)
        cell = self.cells[rows[0]]
        both = self.number_format.joined(found)
        if not self.has_options or both is None:
            remedy = (
                "write numbers as 1234.5" if not self.has_options else f"write numbers as {self.number_format} says"
            )
        else:
            either = f" (or decimal=',' if {cell} is less than 1,000)" if _may_be_decimal(cell, found, counts) else ""
            remedy = f"pass {both}{either}"
        raise DataError(
            f"{self._location(rows[0])}: got '{cell}', a number in another notation, as in {len(rows):,} of "
            f"{len(self.cells.codes):,} rows; {remedy}; or pass {otherwise} if these are names"
        )

    def _location(self, row: int | None = None) -> str:
        line = "" if row is None else f", line {self.line_of(row)}"
        return f"'{self.path}'{line}, column '{self.name}'"


def _may_be_decimal(cell: str, found: NumberFormat, counts: dict[str, int]) -> bool:
    return found.thousands == "," and all(
        NumberFormat(",", None, found.units).parse(cell) is not None for cell in counts
    )


def _these(rows: list[int]) -> str:
    return "this cell" if len(rows) == 1 else f"all {len(rows):,} such cells"
