"""What a file of a table contains, told by its first bytes: CSV, a zip with one file in it, a workbook, or no table."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archsearch.search.training.data.csv_content import csv_content
from archsearch.search.training.data.csv_format import CsvFormat
from archsearch.search.training.data.csv_records import Record, csv_records
from archsearch.search.training.data.files import read_bytes
from archsearch.search.training.data.workbooks import WORKBOOK, workbook_records
from archsearch.spaces.errors import DataError

_ZIP = b"PK\x03\x04"
# First bytes of files that are no CSV: (what it is, what to do).
_OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook of the old kind (.xls)", "save it as .xlsx or CSV"),
    b"PAR1": ("a Parquet file", "use parquet()"),
    b"\x93NUMPY": ("a NumPy array", "use arrays(np.load(...), targets)"),
    b"ARROW1": ("a Feather file", "convert it to Parquet, and use parquet()"),
    b"\x89HDF": ("an HDF5 file", "convert it to CSV or Parquet"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"%PDF": ("a PDF document", "export the table as CSV"),
    b"BZh": ("compressed with bzip2", "decompress it, or use gzip"),
    b"\xfd7zXZ": ("compressed with xz", "decompress it, or use gzip"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "decompress it, or use gzip"),
    b"7z\xbc\xaf": ("a 7z archive", "extract the CSV file"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the data", "run `git lfs pull`"),
    b"<!doctype html": ("a web page", "download the file itself (on GitHub, the raw file)"),
    b"<html": ("a web page", "download the file itself (on GitHub, the raw file)"),
}


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """A file of records.

    Attributes:
        path: The file, for messages.
        records: Reads all records from the start, exactly.
        content: The file in UTF-8; None for a workbook.
    """

    path: str
    records: Callable[[], Iterator[Record]]
    content: bytes | None = None


def table_file(path: str, format: CsvFormat) -> TableFile:
    """Read a file, which may be gzipped, zipped or a workbook.

    Raises:
        DataError: The file cannot be read, holds no table, or more than one.
    """
    content = read_bytes(path)
    if content.startswith(_ZIP):
        content, rows = _unzipped(path, content, format)
        if rows is not None:
            return TableFile(path, lambda: iter(rows))
    start = content[:32].lower()
    for mark, (what, remedy) in _OTHERS.items():
        if start.startswith(mark.lower()):
            raise DataError(f"'{path}' is {what}, not a CSV file; {remedy}")
    if format.sheet is not None:
        raise DataError(f"'{path}' is no Excel workbook; omit sheet=")
    content = csv_content(path, content, format)
    return TableFile(path, lambda: csv_records(path, content, format), content)


def _unzipped(path: str, content: bytes, format: CsvFormat) -> tuple[bytes, list[Record] | None]:
    """The one file in an archive, or the rows of a workbook."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if WORKBOOK in names:
            return b"", workbook_records(path, content, format)
        if len(names) == 1:
            return archive.read(names[0]), None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # damaged, encrypted, or packed otherwise
        raise DataError(f"'{path}' is a zip file that cannot be read ({error}); extract it") from error
    listed = ", ".join(names[:5]) + ("…" if len(names) > 5 else "")
    raise DataError(f"'{path}' is a zip file with {len(names)} files ({listed}); extract the one that you need")
