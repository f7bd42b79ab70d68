"""A CSV file as records of equal length, each with the line on which it starts: exact and slow, to locate mistakes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count


class QuoteError(DataError):
    """Quotes that do not match."""


Record = tuple[int, list[str]]  # (the line on which it starts, from 1; its fields)


def csv_records(path: str, content: bytes, format: CsvFormat) -> Iterator[Record]:
    """The records that are not blank. Raises QuoteError for quotes that do not match."""
    # strict: an unclosed quote would otherwise silently swallow the rest of the file.
    reader = csv.reader(
        io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""),
        delimiter=format.separator,
        quoting=csv.QUOTE_MINIMAL if format.quotes else csv.QUOTE_NONE,
        strict=True,
    )
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise QuoteError(
            f"'{path}', line {start}: {error}; fix the quotes of this record, or pass quotes=False if they are "
            "ordinary characters"
        ) from error


def equal_records(
    path: str, records: Iterator[Record], format: CsvFormat, hint: Callable[[], str | None]
) -> Iterator[Record]:
    """The records below the header, which must all have as many fields as the first record.

    Args:
        path: The file, for messages.
        records: All records of the file.
        format: Its format.
        hint: What to pass instead, if the format is wrong; asked only for a message.

    Raises:
        DataError: Lines have different numbers of fields, in all of the file.
    """
    width: int | None = None
    odd: list[tuple[int, int]] = []  # (line, fields)
    for line, row in _with_hint(records, hint):
        if width is None:
            width = len(row)
            if format.header:
                continue
        if len(row) != width:
            odd.append((line, len(row)))
        elif not odd:
            yield line, row
    if odd:
        mark = repr(format.delimiter)
        how = f"that contains {mark} must be in double quotes" if format.quotes else f"cannot contain {mark}"
        others = "" if len(odd) == 1 else f" and {len(odd) - 1:,} more"
        fix = hint() or f"fix the line{others} (a field {how})"
        raise DataError(f"'{path}', line {odd[0][0]}: got {count(odd[0][1], 'field')}, expected {width}; {fix}")


def _with_hint(records: Iterator[Record], hint: Callable[[], str | None]) -> Iterator[Record]:
    try:
        yield from records
    except QuoteError as error:
        fix = hint()
        if fix in (None, "pass quotes=False"):
            raise
        raise DataError(f"{str(error).partition('; ')[0]}; {fix}") from error


def line_of(records: Iterator[Record], row: int) -> int:
    """The line of the file on which a row starts."""
    return next(islice(records, row, None))[0]


def column_names(path: str, header: Sequence[str], names: Sequence[str] | None, delimiter: str) -> tuple[str, ...]:
    """The names of the columns; those without a name are called c0, c1, …

    Raises:
        DataError: There are not as many names as columns, or two are the same.
    """
    columns = tuple(cell.strip() for cell in header) if names is None else tuple(names)
    if len(columns) != len(header):
        raise DataError(
            f"'{path}' has {count(len(header), 'column')}, but names= gives {len(columns)}; give one name per column, "
            f"and check delimiter={delimiter!r}"
        )
    columns = tuple(name or f"c{index}" for index, name in enumerate(columns))
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"'{path}' has two columns named '{twice}'; rename one, or pass header=False if the first line is data"
        )
    return columns
