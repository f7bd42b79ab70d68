"""Bytes from a file, gzipped or not, with errors that give the absolute path."""

from __future__ import annotations

import gzip
import mmap
import zlib
from contextlib import suppress
from pathlib import Path

from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

_GZIP = b"\x1f\x8b"


def map_bytes(path: str) -> bytes | mmap.mmap:
    """Same as `read_bytes`, but a file that is not gzipped is mapped into memory and read only as it is used."""
    with suppress(OSError, ValueError), Path(path).expanduser().open("rb") as file:
        if file.read(len(_GZIP)) != _GZIP:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return read_bytes(path)  # also for what cannot be mapped: a pipe, an empty or a missing file


def read_bytes(path: str) -> bytes:
    """The whole file, decompressed if it is gzip by its first bytes, whatever its name.

    Raises:
        DataError: The file is missing, is a folder, cannot be read, or is damaged.
    """
    file = Path(path).expanduser()
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"no file '{path}' (looked at {file.absolute()}); check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"'{path}' is a folder (looked at {file.absolute()}); give the path of a file") from error
    except OSError as error:
        raise DataError(
            f"cannot read '{path}' (looked at {file.absolute()}): {error.strerror}; check its permissions"
        ) from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"'{path}' is gzip, but damaged or truncated after {count(len(content), 'byte')} ({error}); "
            "download it again"
        ) from error
