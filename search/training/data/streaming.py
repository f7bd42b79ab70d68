"""Data larger than memory: its arrays lie in files of a scratch folder, and are mapped from there.

The operating system holds what it can of a mapped file in its page cache, once for all processes of the machine, and
drops what it must. Reading is then from memory or from disk, whichever it is, and the numbers are the same.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import file_size

Empty = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]  # as np.empty: an array to be filled

SHARE = 0.25  # of the memory that is available: on its way into Ray's object store, data is there twice


@dataclass(frozen=True, slots=True)
class Streaming:
    """When data is streamed from files, and where these lie until the study's session ends.

    above_bytes: arrays of more bytes than this lie in files; what the source has read, and what is made of it for
    training, each by itself. None is a quarter of the memory that is available at that moment. 0 streams everything.

    folder: where the files are made, 4 bytes for each number of the inputs. None is the system's folder for temporary
    files, which the environment variable TMPDIR names; where that one is in memory itself, name another. The workers
    of a cluster must see it.

    Raises DataError for a limit that is none.
    """

    above_bytes: int | None = None
    folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        limit = self.above_bytes
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise DataError(
                f"Streaming.above_bytes must be a whole number of bytes, got {limit!r}; 8 * 2**30 are 8 GiB, and None "
                "is a quarter of what is available"
            )


DEFAULT_STREAMING = Streaming()


class Scratch:
    """A folder for files: made with the first, and removed by `remove`, with its owner, or at the end of the process.

    Copies in other processes are None: they own nothing.
    """

    def __init__(self, parent: str | os.PathLike[str] | None) -> None:
        self._parent = Path(tempfile.gettempdir() if parent is None else parent).expanduser().absolute()
        self._removal: Callable[[], object] | None = None
        self._numbers = itertools.count()
        self.folder: Path | None = None

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, Any]:
        """An array in a new file. Raises DataError where there is no such folder, or no room in it."""
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            free = shutil.disk_usage(self._parent).free
            # Asked first, since a mapped file that finds the disk full ends the process without a word.
            if needed >= free:
                raise DataError(
                    f"data of {file_size(needed)} is larger than memory and streams from a file, but "
                    f"'{self._parent}' has {file_size(free)} free; name a larger place, "
                    "streaming=Streaming(folder=...)"
                )
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix="archsearch-data-", dir=self._parent))
                self._removal = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        except OSError as error:
            raise DataError(
                f"cannot make files for larger data in '{self._parent}': {error.strerror}; name another folder, "
                "streaming=Streaming(folder=...)"
            ) from error
        file = self.folder / f"{next(self._numbers)}.npy"
        return np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)

    def remove(self) -> None:
        if self._removal is not None:
            self._removal()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


class Room:
    """Makes arrays: in memory, or where that is too small for them, in files of its scratch folder."""

    def __init__(self, streaming: Streaming) -> None:
        self.scratch = Scratch(streaming.folder)
        self._limit: float | None = streaming.above_bytes

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, of_bytes: int | None = None) -> npt.NDArray[Any]:
        """As np.empty. of_bytes: of all arrays that belong together, for they are in memory together; None is its own.

        Only numbers can lie in files.
        """
        dtype = np.dtype(dtype)
        needed = math.prod(shape) * dtype.itemsize if of_bytes is None else of_bytes
        if self._limit is None:
            self._limit = SHARE * available_bytes()
        if needed <= self._limit or dtype.kind not in "biuf":
            return np.empty(shape, dtype)
        return self.scratch.array(shape, dtype)


def available_bytes() -> float:
    """What new arrays may take before others are driven out; infinity where the system does not tell."""
    limits = [math.inf]
    with suppress(OSError, ValueError, StopIteration):  # no Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits.append(1024 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # no container, or "max"
        group = Path("/sys/fs/cgroup")
        most, used = (float((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        limits.append(most - used)
    if len(limits) == 1:
        with suppress(AttributeError, ValueError, OSError):  # not a Mac either
            limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    return min(limits)
