"""A CSV file as records of equal length, each with the line of the file on which it starts."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from archsearch.search.training.data.files import read_bytes
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

# How many non-ASCII characters it takes to tell UTF-8 reliably: by chance, one of seven GBK characters is valid UTF-8.
ENOUGH_CHARACTERS = 8
_LEAD_BYTE = re.compile(rb"[\xc0-\xff]")  # the first byte of a non-ASCII character in UTF-8


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of a CSV file, column by column.

    Attributes:
        names: The names of all columns of the file.
        cells: The cells of each column that was kept, one per row, stripped of surrounding white space.
        lines: The line of the file on which each row starts, from 1.
    """

    names: tuple[str, ...]
    cells: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]


def check_delimiter(delimiter: str) -> None:
    """Raises DataError for what cannot separate fields."""
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DataError(f"delimiter must be one character, got {delimiter!r}; ',', ';' and '\\t' are common")


def read_records(
    path: str,
    *,
    delimiter: str,
    encoding: str,
    header: bool,
    names: Sequence[str] | None,
    quotes: bool = True,
    keep: Collection[str] | None = None,
) -> Records:
    """Read a CSV file. Blank lines are skipped; columns without a name are called c0, c1, …

    Args:
        path: The file, gzipped or not.
        delimiter: The character between fields.
        encoding: A codec of Python.
        header: Whether the first line holds the names of the columns.
        names: Names of the columns, in place of those in the header.
        quotes: Whether a field may be enclosed in double quotes; if not, they are ordinary characters.
        keep: The names of the columns to keep; those that the file does not have are ignored. None keeps all. Every
            row is checked either way, but a few columns of many are read several times faster.

    Raises:
        DataError: The file is missing, empty or in another encoding (as far as that can be detected), or its lines
            have different numbers of fields.
    """
    records = _parse(path, _decode(path, encoding), delimiter, quotes)
    first = next(records, None)
    if first is None:
        raise DataError(f"'{path}' is empty; it needs {'a header and ' if header else ''}at least one row")
    width = len(first[1])
    columns = _column_names(path, first[1] if header else [""] * width, names, delimiter)
    kept = [index for index, name in enumerate(columns) if keep is None or name in keep]
    lines: list[int] = []
    rows: list[list[str]] = []
    odd: list[tuple[int, int]] = []  # (line, fields)
    for line, row in records if header else chain([first], records):
        lines.append(line)
        if len(row) != width:
            odd.append((line, len(row)))
        elif not odd:
            rows.append(row if keep is None else [row[index] for index in kept])
    if not lines:
        raise DataError(f"'{path}' has a header but no rows; pass header=False if its first line is data")
    if odd:
        how = f"that contains {delimiter!r} must be in double quotes" if quotes else f"cannot contain {delimiter!r}"
        raise DataError(
            f"'{path}', line {odd[0][0]}: got {count(odd[0][1], 'field')}, expected {width}; fix the line"
            f"{'' if len(odd) == 1 else f' and {len(odd) - 1:,} more'} (a field {how})"
        )
    cells = (tuple(map(str.strip, column)) for column in zip(*rows, strict=True))
    return Records(columns, dict(zip((columns[index] for index in kept), cells, strict=True)), tuple(lines))


def _column_names(path: str, header: Sequence[str], names: Sequence[str] | None, delimiter: str) -> tuple[str, ...]:
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


def _decode(path: str, encoding: str) -> str:
    content = read_bytes(path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"'{path}', line {line}: byte 0x{content[error.start]:02x} is not valid {encoding}; pass the encoding "
            "of the file, such as encoding='gbk', 'latin-1' or 'cp1252'"
        ) from error
    except LookupError as error:
        raise DataError(
            f"unknown encoding '{encoding}'; common are 'utf-8-sig', 'gbk', 'latin-1' and 'cp1252'"
        ) from error
    if not codecs.lookup(encoding).name.startswith("utf-8") and _is_utf8(content):
        raise DataError(f"'{path}' is in UTF-8 and would be misread as {encoding}; omit encoding=")
    return text


def _is_utf8(content: bytes) -> bool:
    """Whether the content is certainly UTF-8. Other encodings decode nearly any bytes, silently to wrong characters."""
    if next(islice(_LEAD_BYTE.finditer(content), ENOUGH_CHARACTERS - 1, None), None) is None:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse(path: str, text: str, delimiter: str, quotes: bool) -> Iterator[tuple[int, list[str]]]:
    """(line on which it starts, fields) of each record that is not blank."""
    # strict: an unclosed quote would otherwise silently swallow the rest of the file.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"'{path}', line {start}: {error}; fix the quotes of this record") from error
