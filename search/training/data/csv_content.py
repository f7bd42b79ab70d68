"""The bytes of a CSV file in UTF-8. Lines outside the table become blank, so that the others keep their numbers."""

from __future__ import annotations

import codecs
import re
from itertools import islice

from archsearch.search.training.data.csv_format import BLANKS, DEFAULT_ENCODING, CsvFormat
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

# How many non-ASCII characters it takes to tell UTF-8 reliably: by chance, one of seven GBK characters is valid UTF-8.
ENOUGH_CHARACTERS = 8
_LEAD_BYTE = re.compile(rb"[\xc0-\xff]")  # the first byte of a non-ASCII character in UTF-8
_LINE = rb"[^\r\n]*(?:\r\n|\r|\n)"


def csv_content(path: str, content: bytes, format: CsvFormat) -> bytes:
    """The content in UTF-8 without a byte order mark, as `format.separator` and quotes divide it.

    Raises:
        DataError: It is in another encoding (as far as that can be detected), or has fewer lines than are skipped.
    """
    content = _in_utf8(path, content, format.encoding)
    if format.skip_rows:
        skipped = re.match(_LINE * format.skip_rows, content)
        if skipped is None:
            raise DataError(f"'{path}' has no more than the {count(format.skip_rows, 'line')} of skip_rows=; lower it")
        content = b"\n" * format.skip_rows + content[skipped.end() :]
    if format.comment is not None:
        mark = re.escape(format.comment.encode())
        content = re.sub(rb"(?:^|(?<=[\r\n]))[ \t]*" + mark + rb"[^\r\n]*", b"", content)
    if format.delimiter == BLANKS:
        content = b"\n".join(b" ".join(line.split()) for line in content.splitlines())
    return content


def _in_utf8(path: str, content: bytes, encoding: str) -> bytes:
    encoding = _by_mark(content) if encoding == DEFAULT_ENCODING else encoding
    try:
        codec = codecs.lookup(encoding).name
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(_not_decodable(path, content, encoding, error.start)) from error
    except LookupError as error:
        raise DataError(
            f"unknown encoding '{encoding}'; common are 'utf-8-sig', 'gbk', 'latin-1' and 'cp1252'"
        ) from error
    if codec.startswith("utf-8") or codec == "ascii":
        if b"\0" in content[:1000]:
            raise DataError(
                f"'{path}' contains zero bytes, so it is no text in {encoding}; pass encoding='utf-16-le' if it is "
                "in UTF-16 without a byte order mark"
            )
        return content.removeprefix(codecs.BOM_UTF8)
    if _is_utf8(content):
        raise DataError(f"'{path}' is in UTF-8 and would be misread as {encoding}; omit encoding=")
    return text.removeprefix("\ufeff").encode()


def _by_mark(content: bytes) -> str:
    """The encoding that the byte order mark tells; the default without one."""
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    return next((name for mark, name in marks.items() if content.startswith(mark)), DEFAULT_ENCODING)


def _not_decodable(path: str, content: bytes, encoding: str, start: int) -> str:
    line = content.count(b"\n", 0, start) + 1
    return (
        f"'{path}', line {line}: byte 0x{content[start]:02x} is not valid {encoding}; pass the encoding "
        "of the file, such as encoding='gbk', 'latin-1' or 'cp1252'"
    )


def _is_utf8(content: bytes) -> bool:
    """Whether the content is certainly UTF-8. Other encodings decode nearly any bytes, silently to wrong characters."""
    if next(islice(_LEAD_BYTE.finditer(content), ENOUGH_CHARACTERS - 1, None), None) is None:
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
