"""What to pass to read a file whose lines do not fit: another delimiter, comment lines, lines above the header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from archsearch.search.training.data.csv_content import csv_content
from archsearch.search.training.data.csv_format import BLANKS, CsvFormat
from archsearch.search.training.data.csv_records import Record, csv_records
from archsearch.search.training.data.number_format import PLAIN
from archsearch.search.training.data.table_files import TableFile
from archsearch.spaces.errors import DataError, unknown

SAMPLE_BYTES = 2**16
MOST_SKIPPED = 30  # lines
FEWEST_RECORDS = 3  # with the header; fewer are alike by chance
_DELIMITERS = (",", ";", "\t", "|", BLANKS)
_COMMENTS = ("#", "%", "//")


def proposed_format(file: TableFile, format: CsvFormat, wanted: Collection[str] = ()) -> str | None:
    """A hint with the arguments with which the first lines are records of one length; None if none are known.

    Args:
        file: The file, as read in `format`.
        format: The format that does not fit.
        wanted: Names that the header must have.
    """
    if file.content is None:
        return None
    sample = file.content[:SAMPLE_BYTES]
    if len(file.content) > SAMPLE_BYTES:
        sample = sample[: sample.rfind(b"\n") + 1]
    if not wanted and _fits(_records(file.path, sample, format)):
        return None  # the mistake is further down
    for other in _formats(file.path, sample, format):
        records = _records(file.path, sample, other)
        if _fits(records) and set(wanted) <= {cell.strip() for cell in records[0][1]}:
            return f"pass {_difference(format, other)}"
    widths = [len(row) for _, row in _records(file.path, sample, format)]
    if len(widths) >= FEWEST_RECORDS and set(widths[1:]) == {widths[0] + 1}:
        return "name the first column in the header, or remove the delimiter at the end of the rows"
    return None


def _formats(path: str, sample: bytes, format: CsvFormat) -> Iterator[CsvFormat]:
    """The formats to try, the closest first."""
    delimiters = dict.fromkeys((format.delimiter, *_DELIMITERS))
    marks = [mark for mark in _COMMENTS if any(line.startswith(mark.encode()) for line in sample.splitlines())]
    changed = [
        replace(format, delimiter=delimiter, comment=comment, quotes=quotes)
        for comment in dict.fromkeys((format.comment, *marks))
        for quotes in ((format.quotes, not format.quotes) if b'"' in sample else (format.quotes,))
        for delimiter in delimiters
    ]
    yield from (each for each in changed if each != format)
    for each in changed:
        if lines := _lines_above(_records(path, sample, each)):
            yield replace(each, skip_rows=lines)


def _lines_above(records: list[Record]) -> int:
    """How many lines precede the first record of those that all have the same length, the longest."""
    if not records:
        return 0
    width = max(Counter(len(row) for _, row in records))
    first = next(index for index, (_, row) in enumerate(records) if len(row) == width)
    lines = records[first][0] - 1
    # A header that lacks one name is not to be skipped.
    return lines if lines <= MOST_SKIPPED and (first != 1 or len(records[0][1]) != width - 1) else 0


def _records(path: str, sample: bytes, format: CsvFormat) -> list[Record]:
    """The records of the sample; none if it cannot be read so."""
    try:
        content = csv_content(path, sample, replace(format, encoding="utf-8"))
        return list(csv_records(path, content, format))
    except DataError:
        return []


def _fits(records: list[Record]) -> bool:
    widths = {len(row) for _, row in records}
    return len(records) >= FEWEST_RECORDS and len(widths) == 1 and widths != {1}


def _difference(format: CsvFormat, other: CsvFormat) -> str:
    """What differs, as arguments of `csv`."""
    names = ("delimiter", "quotes", "comment", "skip_rows")
    changed = [name for name in names if getattr(format, name) != getattr(other, name)]
    return ", ".join(f"{name}={_literal(getattr(other, name))}" for name in changed)


def _literal(value: object) -> str:
    return r"r'\s+'" if value == BLANKS else repr(value)


def check_columns(
    file: TableFile, format: CsvFormat, names: Sequence[str], unnamed: Sequence[str], wanted: Collection[str]
) -> None:
    """Raise DataError for a column that the file does not have, with the format that would have it.

    Args:
        file: The file.
        format: The format in which it was read.
        names: The names of its columns.
        unnamed: Those of them that have no name in the header.
        wanted: The names of columns that must exist.
    """
    if format.delimiter == " " and any(name != names[0] for name in unnamed):
        raise DataError(f"'{file.path}' has several blanks between the names of its columns; pass delimiter=r'\\s+'")
    for name in wanted:
        if name in names:
            continue
        hint = None
        if format.header and format.names is None:
            hint = proposed_format(file, format, wanted)
            if hint is None and any(PLAIN.parse(each) is not None for each in names):
                hint = "if the first line is data, pass header=False, names=[…]"
        if hint is None and len(names) == 1:
            hint = f"is delimiter={format.delimiter!r} right?"
        raise DataError(f"'{file.path}': {unknown('column', name, names)}{f'; {hint}' if hint else ''}")
