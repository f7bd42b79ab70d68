"""The text of a CSV file as records of equal length, each with the line that it starts on."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from archsearch.search.training.data.files import read_bytes
from archsearch.spaces.errors import DataError

# A Chinese character of GBK passes for one of UTF-8 in one case of seven: so many never all do.
SURE = 8
_FIRST_BYTE = re.compile(rb"[\xc0-\xff]")  # of a character beyond ASCII in UTF-8


@dataclass(frozen=True, slots=True)
class Records:
    """Named columns of cells, without surrounding spaces.

    names: one per column. cells: per column, one text per row. lines: per row, where it starts in the file, from 1.
    """

    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


def check_delimiter(delimiter: str) -> None:
    """Raises DataError for what cannot stand between fields."""
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
) -> Records:
    """Read a CSV file whole. Blank lines are skipped; unnamed columns are called c0, c1, …

    quotes: may a field stand in double quotes? If not, they are characters like others.

    Raises DataError for a file that is missing, empty, in another encoding (as far as that shows), or whose lines
    differ in length.
    """
    lines, rows = _parse(path, _decode(path, encoding), delimiter, quotes)
    if not rows:
        raise DataError(f"'{path}' is empty; expected {'a header and ' if header else ''}at least one row")
    width = len(rows[0])
    columns = (
        tuple(names) if names is not None else tuple(cell.strip() for cell in rows[0]) if header else ("",) * width
    )
    if len(columns) != width:
        raise DataError(
            f"'{path}' has {width} columns, but names= gives {len(columns)}; give one name per column, "
            f"and check delimiter={delimiter!r}"
        )
    columns = tuple(name or f"c{index}" for index, name in enumerate(columns))
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"'{path}' has two columns named '{twice}'; rename one, or pass header=False if the first line is data"
        )
    if header:
        lines, rows = lines[1:], rows[1:]
        if not rows:
            raise DataError(f"'{path}' has a header but no rows; pass header=False if its first line is data")
    odd = [index for index, row in enumerate(rows) if len(row) != width]
    if odd:
        how = f"that holds {delimiter!r} must be in double quotes" if quotes else f"cannot hold {delimiter!r}"
        raise DataError(
            f"'{path}', line {lines[odd[0]]}: got {len(rows[odd[0]])} fields, expected {width}; mend the line "
            f"({len(odd)} such; a field {how})"
        )
    cells = tuple(tuple(map(str.strip, column)) for column in zip(*rows, strict=True))
    return Records(columns, cells, tuple(lines))


def _decode(path: str, encoding: str) -> str:
    content = read_bytes(path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"'{path}', line {line}: byte 0x{content[error.start]:02x} is not {encoding}; pass the file's encoding, "
            "such as encoding='gbk', 'latin-1' or 'cp1252'"
        ) from error
    except LookupError as error:
        raise DataError(f"unknown encoding '{encoding}'; 'utf-8-sig', 'gbk', 'latin-1', 'cp1252' are common") from error
    if not codecs.lookup(encoding).name.startswith("utf-8") and _is_utf8(content):
        raise DataError(f"'{path}' is in UTF-8, and would be misread as {encoding}; leave encoding= out")
    return text


def _is_utf8(content: bytes) -> bool:
    """Surely? Other encodings take nearly any bytes, and make other characters of them without a word."""
    if next(islice(_FIRST_BYTE.finditer(content), SURE - 1, None), None) is None:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _parse(path: str, text: str, delimiter: str, quotes: bool) -> tuple[list[int], list[list[str]]]:
    # strict: an unclosed quote would otherwise swallow the rest of the file without a word.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    lines: list[int] = []
    rows: list[list[str]] = []
    start = 1
    try:
        for row in reader:
            if row:
                lines.append(start)
                rows.append(row)
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"'{path}', line {start}: {error}; mend the quotes of this record") from error
    return lines, rows
