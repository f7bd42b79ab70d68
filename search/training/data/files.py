"""Bytes from a file, gzipped or not, with errors that say where it was looked for."""

from __future__ import annotations

import gzip
import mmap
import zlib
from contextlib import suppress
from pathlib import Path

from archsearch.spaces.errors import DataError

_GZIP = b"\x1f\x8b"


def map_bytes(path: str) -> bytes | mmap.mmap:
    """The same as `read_bytes`; but a file that is not gzipped is mapped, and no part of it read before it is used."""
    with suppress(OSError, ValueError), Path(path).expanduser().open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return read_bytes(path)  # also what cannot be mapped: a pipe, an empty file, or none, which it tells


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
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"'{path}' is gzip, but damaged or cut off after {len(content):,} bytes ({error}); get it again"
        ) from error
