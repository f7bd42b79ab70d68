"""The rows of a sheet of an Excel workbook (.xlsx), as a CSV file would have them. Needs openpyxl."""

from __future__ import annotations

import io
import warnings
from datetime import datetime, time
from typing import Any

from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_records import Record
from archsearch.spaces.errors import DataError, unknown

WORKBOOK = "xl/workbook.xml"  # the file in a zip archive that makes it a workbook


def workbook_records(path: str, content: bytes, format: CsvFormat) -> list[Record]:
    """(row of the sheet, from 1; its cells as text) of each row that is not blank.

    Raises:
        DataError: openpyxl is not installed, the workbook is damaged, or it is unclear which sheet to read.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"'{path}' is an Excel workbook; run `pip install openpyxl` to read it, or save the sheet as CSV"
        ) from error
    try:
        with warnings.catch_warnings(action="ignore"):  # of styles and validations that it does not support
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheet = _sheet(path, book, format.sheet)
            rows = [[_text(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"'{path}' is an Excel workbook that cannot be read ({error}); save it as CSV") from error
    width = max((index + 1 for row in rows for index, cell in enumerate(row) if cell), default=0)
    numbered = [(line, [*row, *[""] * width][:width]) for line, row in enumerate(rows, 1) if line > format.skip_rows]
    return [(line, row) for line, row in numbered if any(row) and not _is_comment(row, format.comment)]


def _sheet(path: str, book: Any, name: str | None) -> Any:
    names = book.sheetnames
    if name is not None and name not in names:
        raise DataError(f"'{path}': {unknown('sheet', name, names)}")
    if name is None and len(names) > 1:
        raise DataError(
            f"'{path}' has {len(names)} sheets; choose one, such as sheet='{names[0]}' (of {', '.join(names)})"
        )
    return book[name or names[0]]


def _is_comment(row: list[str], mark: str | None) -> bool:
    return mark is not None and row[0].startswith(mark)


def _text(cell: object) -> str:
    """As in a CSV file: an empty cell is "", 3.0 is 3, and midnight is a date."""
    match cell:
        case None:
            return ""
        case float() if cell.is_integer():
            return str(int(cell))
        case datetime() if cell.time() == time():
            return cell.date().isoformat()
        case _:
            return str(cell).strip()
