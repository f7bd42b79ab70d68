"""Read a CSV file by column, with pyarrow's reader; what pyarrow would read otherwise or not at all, record by record.

A column whose first values are numbers is parsed as numbers. If that fails further down, and for all other columns, its
cells are kept as distinct texts with a code per row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_proposals import proposed_format
from archsearch.search.training.data.csv_records import Record, column_names, equal_records, line_of
from archsearch.search.training.data.number_format import PLAIN, NumberFormat
from archsearch.search.training.data.table_files import TableFile
from archsearch.spaces.errors import DataError

SAMPLE_BYTES = 2**18  # from which it is guessed which columns are numbers
_BLOCK_BYTES = 2**24


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A column of texts, stripped of surrounding white space.

    Attributes:
        values: Its distinct texts.
        codes: (n,) indices into `values`.
    """

    values: tuple[str, ...]
    codes: npt.NDArray[np.int32]

    def __getitem__(self, row: int) -> str:
        return self.values[int(self.codes[row])]

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> Cells:
        """One text per row, not stripped yet."""
        index: dict[str, int] = {}
        codes = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int32)
        return cls.from_codes(index, codes)

    @classmethod
    def from_codes(cls, texts: Iterable[str], codes: npt.NDArray[np.int32]) -> Cells:
        """(n,) indices into texts that are not stripped yet."""
        index: dict[str, int] = {}
        merged = [index.setdefault(text.strip(), len(index)) for text in texts]
        return cls(tuple(index), codes if len(index) == len(merged) else np.array(merged, dtype=np.int32)[codes])


Columns = dict[int, Cells | npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class CsvTable:
    """The columns of a file.

    Attributes:
        names: The names of all columns of the file.
        unnamed: Those of them that have no name in the header.
        columns: The columns that were kept: (n,) numbers, NaN where missing, or cells.
        line_of: From the number of a row to the line of the file on which it starts, from 1. Reads the file again.
    """

    names: tuple[str, ...]
    unnamed: tuple[str, ...]
    columns: Mapping[str, Cells | npt.NDArray[np.float64]]
    line_of: Callable[[int], int]


def read_csv(
    file: TableFile,
    format: CsvFormat,
    *,
    keep: Collection[str] | None = None,
    as_text: Collection[str] | None = None,
    numbers: NumberFormat = PLAIN,
    missing: Collection[str] = (),
) -> CsvTable:
    """Read a CSV file. Blank lines are skipped; columns without a name are called c0, c1, …

    Args:
        file: The file.
        format: How it is written.
        keep: The names of the columns to keep; those that the file does not have are ignored. None keeps all. Every
            row is checked either way, but a few columns of many are read several times faster.
        as_text: Columns to return as cells, even if they are numbers; None for all.
        numbers: How numbers are written.
        missing: What stands for a missing value, in lower case.

    Raises:
        DataError: The file is empty, or its lines have different numbers of fields.
    """
    first, second = next(records := file.records(), None), next(records, None)
    if first is None:
        raise DataError(f"'{file.path}' is empty; it needs {'a header and ' if format.header else ''}at least one row")
    header = first[1] if format.header else [""] * len(first[1])
    names = column_names(file.path, header, format.names, format.delimiter)
    if format.header and second is None:
        raise DataError(f"'{file.path}' has a header but no rows; pass header=False if its first line is data")
    kept = [index for index, name in enumerate(names) if keep is None or name in keep]

    def rows() -> Iterator[Record]:
        return equal_records(file.path, file.records(), format, lambda: proposed_format(file, format))

    columns = None
    if file.content is not None and (not format.quotes or _quotes_enclose(file.content, format.separator)):
        lines = second[0] - 1 if format.header and second is not None else 0
        reader = _Reader(file.content, format, len(names), lines, missing, numbers)
        columns = reader.read(kept, [index for index in kept if as_text is not None and names[index] not in as_text])
    if columns is None:
        columns = _by_record(rows(), kept)
    return CsvTable(
        names,
        tuple(name for name, cell in zip(names, header, strict=True) if format.header and not cell.strip()),
        {names[index]: column for index, column in columns.items()},
        lambda row: line_of(rows(), row),
    )


def _by_record(rows: Iterator[Record], kept: list[int]) -> Columns:
    cells = zip(*[[row[index] for index in kept] for _, row in rows], strict=True)
    return {index: Cells.from_texts(column) for index, column in zip(kept, cells, strict=True)}


@dataclass(frozen=True, slots=True)
class _Reader:
    """pyarrow's reader of one file.

    Attributes:
        content: The file in UTF-8.
        format: How it is written.
        width: The number of its columns.
        lines: How many lines precede the first row.
        missing: What stands for a missing value, in lower case.
        numbers: How numbers are written.
    """

    content: bytes
    format: CsvFormat
    width: int
    lines: int
    missing: Collection[str]
    numbers: NumberFormat

    def read(self, kept: Collection[int], maybe_numbers: Collection[int]) -> Columns | None:
        """The columns; None if pyarrow cannot read the file.

        Args:
            kept: The columns to read.
            maybe_numbers: Those of them to return as numbers, if they are.
        """
        from pyarrow import ArrowInvalid

        try:
            if numeric := self._numeric(maybe_numbers):
                try:
                    columns = self._read(self.content, kept, numeric)
                    if not any(np.isinf(columns[index]).any() for index in numeric):
                        return columns
                except ArrowInvalid:
                    pass  # the first values are numbers, but not all
            return self._read(self.content, kept)
        except ArrowInvalid:
            return None

    def _numeric(self, columns: Collection[int]) -> list[int]:
        """The columns of which all values in a sample are numbers."""
        sample = self.content[: self.content.rfind(b"\n", 0, SAMPLE_BYTES) + 1]
        if not self.numbers.plain or not columns or sample.count(b"\n") <= self.lines:
            return []
        found = []
        for index, cells in self._read(sample, columns).items():
            present = [value for value in cells.values if value.lower() not in self.missing]
            if present and all(self.numbers.parse(value) is not None for value in present):
                found.append(index)
        return found

    def _read(self, content: bytes, kept: Collection[int], numeric: Collection[int] = ()) -> dict[int, Any]:
        """The columns of a part of the file. Raises ArrowInvalid."""
        import pyarrow  # late: workers never load data, and pyarrow is slow to import
        import pyarrow.csv

        quoted = self.format.quotes and b'"' in content
        texts = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
        types = {f"f{index}": pyarrow.float64() if index in numeric else texts for index in kept}
        table = pyarrow.csv.read_csv(
            pyarrow.BufferReader(content),
            pyarrow.csv.ReadOptions(
                column_names=[f"f{index}" for index in range(self.width)], skip_rows=self.lines, block_size=_BLOCK_BYTES
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self.format.separator, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            pyarrow.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[spelled for mark in self.missing for spelled in (mark, mark.upper(), mark.title())],
                strings_can_be_null=False,
                decimal_point=self.numbers.decimal,
            ),
        )
        return {index: _column(table[f"f{index}"]) for index in kept}


def _column(column: Any) -> Cells | npt.NDArray[np.float64]:
    """A column of a pyarrow table: numbers, NaN where missing, or a dictionary of texts."""
    import pyarrow

    if column.type == pyarrow.float64():
        return np.asarray(column.to_numpy())
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return Cells((), np.empty(0, np.int32))
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks])
    return Cells.from_codes(column.chunk(0).dictionary.to_pylist(), codes)


def _quotes_enclose(content: bytes, delimiter: str) -> bool:
    """Whether all quotes enclose fields or stand for themselves in pairs.

    Others are an error, or ordinary characters, to Python's csv module; pyarrow accepts more, and may read on over
    lines.
    """
    if b'"' not in content:
        return True
    mark, total = delimiter.encode(), 0
    if len(mark) != 1:
        return False
    padded = np.frombuffer(b"\n" + content + b"\n\n", dtype=np.uint8)
    for start in range(0, len(content), _BLOCK_BYTES):
        some = padded[start : start + _BLOCK_BYTES + 3]
        quote = some == ord('"')
        edge = (some == mark[0]) | (some == ord("\n")) | (some == ord("\r"))
        either = quote | edge
        before, here, after, next_but_one = (slice(shift, len(some) - 3 + shift) for shift in range(4))
        if (quote[here] & ~either[before] & ~either[after]).any():
            return False  # within a field
        if (edge[before] & quote[here] & quote[after] & ~either[next_but_one]).any():
            return False  # an empty field with more behind it
        total += int(quote[here].sum())
    return total % 2 == 0
