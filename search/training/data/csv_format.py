r"""How a CSV file is written: delimiter, quotes, encoding, header, and the lines that are no part of the table."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.spaces.errors import DataError

DEFAULT_ENCODING = "utf-8-sig"
BLANKS = r"\s+"  # as pandas writes it


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """The format of a file; see `csv` for each field.

    Raises:
        DataError: A field has an impossible value.
    """

    delimiter: str = ","
    quotes: bool = True
    header: bool = True
    names: tuple[str, ...] | None = None
    encoding: str = DEFAULT_ENCODING
    comment: str | None = None
    skip_rows: int = 0
    sheet: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter != BLANKS and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise DataError(
                f"delimiter must be one character, got {self.delimiter!r}; ',', ';' and '\\t' are common, and "
                r"r'\s+' stands for any number of blanks"
            )
        if self.comment is not None and not self.comment.strip():
            raise DataError(f"comment must be what comment lines begin with, got {self.comment!r}; '#' is common")
        if isinstance(self.skip_rows, bool) or not isinstance(self.skip_rows, int) or self.skip_rows < 0:
            raise DataError(
                f"skip_rows must be how many lines at the top are no part of the table, got {self.skip_rows!r}"
            )

    @property
    def separator(self) -> str:
        """The one character between fields, once several blanks have become one."""
        return " " if self.delimiter == BLANKS else self.delimiter
