"""An NPZ file, numpy's archive of named arrays: some are the inputs and targets, and perhaps a test part."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.files import read_bytes
from archsearch.search.training.data.memory import Arrays
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.raw import Raw
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError, unknown


@dataclass(frozen=True, slots=True)
class Npz:
    """A file and the names of its arrays; see `npz` for the meaning of each field."""

    path: str
    inputs: str
    targets: str
    test: tuple[str, str] | None
    task: Task | None

    def __post_init__(self) -> None:
        check_task(self.task)

    def read(self) -> Raw:
        found = _load(self.path, (self.inputs, self.targets, *(self.test or ())))
        test = None if self.test is None else (found[self.test[0]], found[self.test[1]])
        try:
            return Arrays(found[self.inputs], found[self.targets], self.task, test).read()
        except DataError as error:
            raise DataError(f"'{self.path}': {error}") from error


def _load(path: str, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """Those arrays of the file, by name; the others are not unpacked. Raises DataError."""
    content = read_bytes(path)
    if not content.startswith(b"PK"):  # as every zip archive, also an empty one
        got = "one .npy array" if content.startswith(b"\x93NUMPY") else f"{len(content):,} bytes of something else"
        raise DataError(f"'{path}' is not an NPZ file: got {got}; write one by np.savez('{path}', x=inputs, y=targets)")
    found: dict[str, npt.NDArray[Any]] = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:  # a pickle could run any code
            for name in names:
                if name not in archive.files:
                    raise DataError(f"'{path}': {unknown('array', name, archive.files)}")
                found[name] = _read(archive, path, name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"'{path}' is damaged or cut off after {len(content):,} bytes ({error}); get it again"
        ) from error
    return found


def _read(archive: Any, path: str, name: str) -> npt.NDArray[Any]:
    try:
        values = archive[name]
    except ValueError as error:  # Python objects, or a header that is none
        raise DataError(
            f"'{path}', array '{name}': {error}; save plain numbers, or text as array.astype(str)"
        ) from error
    if not isinstance(values, np.ndarray):  # numpy hands on the bytes of whatever else lies in the archive
        raise DataError(f"'{path}': '{name}' is no array but another file in the archive; name an array")
    return values
