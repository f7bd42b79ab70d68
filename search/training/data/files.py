"""Bytes from a file, gzipped or not, with errors that say where it was looked for."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from spaces.errors import DataError


def read_bytes(path: str) -> bytes:
    """The whole file, unpacked if it is gzip (told by its first bytes, since names lie). Raises DataError."""
    file = Path(path).expanduser()
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}' (looked at {file.absolute()}); check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"'{path}' is a folder, expected a file (looked at {file.absolute()})") from error
    except OSError as error:
        raise DataError(f"cannot read '{path}' (looked at {file.absolute()}): {error.strerror}") from error
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"'{path}' is gzip, but damaged or cut off after {len(content):,} bytes ({error}); get it again"
        ) from error
