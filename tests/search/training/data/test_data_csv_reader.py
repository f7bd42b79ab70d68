"""pyarrow's reader and the exact one agree on every file, and what pyarrow would read otherwise is read exactly."""

from __future__ import annotations

import csv as python_csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import csv
from archsearch.search.training.data import csv_table
from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_records import csv_records
from archsearch.search.training.data.csv_table import Cells, read_csv
from archsearch.search.training.data.missing import USUAL_MARKS
from archsearch.search.training.data.number_format import PLAIN
from archsearch.search.training.data.table_files import TableFile
from archsearch.spaces.errors import DataError

CELLS = st.sampled_from(
    ["1", "2.5", "-3e4", " 7 ", "+8", "NA", "nan", "n/A", "", "inf", "1_0", "word", 'a "b"', '"', "é ", "x,y", "l\nm"]
)


def texts(file: TableFile, format: CsvFormat, **options: object) -> list[list[object]] | str:
    """The columns as lists, or the error."""
    try:
        table = read_csv(file, format, **options)
    except DataError as error:
        return str(error).partition(";")[0]  # the exact file has no content from which to propose a format
    columns = []
    for column in table.columns.values():
        if isinstance(column, Cells):
            columns.append([column[row] for row in range(len(column.codes))])
        else:
            columns.append([None if math.isnan(value) else value for value in column.tolist()])
    return columns


def parsed(column: list[object]) -> list[object]:
    """What a column of numbers becomes; a column of other texts unchanged."""
    found = [None if cell.lower() in USUAL_MARKS else PLAIN.parse(cell) for cell in column]
    bad = [
        cell for cell, number in zip(column, found, strict=True) if number is None and cell.lower() not in USUAL_MARKS
    ]
    return column if bad or not any(number is not None for number in found) else found


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\n\n"])
)
def test_both_readers_agree(rows, end):
    written = io.StringIO(newline="")
    python_csv.writer(written, lineterminator=end).writerows([["a", "b"], *rows])
    content, format = written.getvalue().encode(), CsvFormat()
    exact = texts(TableFile("x", lambda: csv_records("x", content, format)), format)
    fast_file = TableFile("x", lambda: csv_records("x", content, format), content)
    assert texts(fast_file, format) == exact
    numbers = texts(fast_file, format, as_text=(), missing=USUAL_MARKS)
    assert [
        column if column == wanted else parsed(wanted) for column, wanted in zip(numbers, exact, strict=True)
    ] == numbers


@given(st.text('ab",\n \r', max_size=30), st.booleans())
def test_both_readers_agree_on_any_text(text, quotes):
    content, format = b"a,b\n" + text.encode(), CsvFormat(quotes=quotes)
    exact = TableFile("x", lambda: csv_records("x", content, format))
    fast = TableFile("x", exact.records, content)
    assert texts(fast, format) == texts(exact, format)


@pytest.mark.parametrize("late", ["inf", "word", "1_0", "1e999"])
def test_a_column_whose_first_values_are_numbers_may_end_otherwise(tmp_path: Path, late: str, monkeypatch):
    monkeypatch.setattr(csv_table, "SAMPLE_BYTES", 100)
    lines = [f"{row},{row % 2}" for row in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines, f"{late},1", ""]))
    with pytest.raises(DataError, match=f"line 202, column 'x': got '{late}', expected a number"):
        csv(tmp_path / "t.csv", target="y").prepare()


def test_a_missing_target_below_numbers_is_told_by_its_line_and_text(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(csv_table, "SAMPLE_BYTES", 100)
    lines = [f"{row},{row / 7}" for row in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines, "5,#N/A", ""]))
    with pytest.raises(DataError, match="line 202, column 'y': got '#N/A', expected a target; fill in this cell"):
        csv(tmp_path / "t.csv", target="y").prepare()


def test_numbers_are_those_of_python(tmp_path: Path):
    numbers = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    (tmp_path / "t.csv").write_text(
        "x,y\n" + "".join(f"{number!r},{row}\n" for row, number in enumerate(numbers.tolist()))
    )
    np.testing.assert_array_equal(csv(tmp_path / "t.csv", target="y").source.load().inputs["x"], numbers)
