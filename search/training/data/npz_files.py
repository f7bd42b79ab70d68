"""An NPZ file, NumPy's archive of named arrays: inputs, targets, and optionally an official test part."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.data_source import DataSource
from archsearch.search.training.data.files import read_bytes
from archsearch.search.training.data.memory import Arrays
from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.samples import Samples
from archsearch.search.training.data.targets import check_task
from archsearch.spaces.errors import DataError, unknown
from archsearch.studies.formatting import count


@dataclass(frozen=True, slots=True)
class Npz(DataSource):
    """A file and the names of its arrays; see `npz` for each field."""

    path: str
    inputs: str
    targets: str
    test: tuple[str, str] | None
    task: Task | None

    def __post_init__(self) -> None:
        check_task(self.task)

    def __str__(self) -> str:
        return f"'{self.path}'"

    def load(self) -> Samples:
        found = _load(self.path, (self.inputs, self.targets, *(self.test or ())))
        test = None if self.test is None else (found[self.test[0]], found[self.test[1]])
        try:
            return Arrays(found[self.inputs], found[self.targets], self.task, test).load()
        except DataError as error:
            raise DataError(f"{self}: {error}") from error


def _load(path: str, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """These arrays of the file, by name; the others are not decompressed.

    Raises:
        DataError: The file is missing, damaged, no NPZ file, or lacks one of the arrays.
    """
    content = read_bytes(path)
    if not content.startswith(b"PK"):  # the first bytes of every zip archive, also an empty one
        got = (
            "a single .npy array"
            if content.startswith(b"\x93NUMPY")
            else f"{count(len(content), 'byte')} of another format"
        )
        raise DataError(
            f"'{path}' is not an NPZ file: got {got}; write one with np.savez('{path}', x=inputs, y=targets)"
        )
    found: dict[str, npt.NDArray[Any]] = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:  # unpickling can run arbitrary code
            for name in names:
                if name not in archive.files:
                    raise DataError(f"'{path}': {unknown('array', name, archive.files)}")
                found[name] = _read(archive, path, name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"'{path}' is damaged or truncated after {count(len(content), 'byte')} ({error}); download it again"
        ) from error
    return found


def _read(archive: Any, path: str, name: str) -> npt.NDArray[Any]:
    try:
        values = archive[name]
    except ValueError as error:  # Python objects, or a malformed header
        raise DataError(f"'{path}', array '{name}': {error}; save numbers, or text as array.astype(str)") from error
    if not isinstance(values, np.ndarray):  # NumPy returns the bytes of members that are not arrays
        raise DataError(f"'{path}': '{name}' is a file in the archive, but not an array; name an array")
    return values
