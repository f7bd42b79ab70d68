"""Data larger than memory: its arrays are files in a scratch folder, mapped into memory.

The operating system keeps what it can of a mapped file in its page cache, once for all processes of the machine, and
drops the rest. So a read comes from memory or from disk, and the numbers are the same either way.
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

# Like np.empty: from a shape and a dtype, an array to be filled.
Allocate = Callable[[tuple[int, ...], npt.DTypeLike], npt.NDArray[Any]]

# Of the available memory. No more, because on its way into Ray's object store data is in memory twice.
MEMORY_FRACTION = 0.25


@dataclass(frozen=True, slots=True)
class Streaming:
    """When data streams from files instead of memory, and where these files are.

    Args:
        above_bytes: Arrays of more bytes than this are files. The limit applies separately to what the source loads and
            to what is prepared from it. None is a quarter of the memory available at that moment; 0 streams everything.
        folder: Where the files are made; they take 4 bytes per number of the inputs, and are removed when the session
            ends. None is the system's folder for temporary files, which the environment variable TMPDIR sets; choose
            another where that folder is itself in memory. The workers of a cluster must see it.

    Raises:
        DataError: `above_bytes` is not a non-negative integer.
    """

    above_bytes: int | None = None
    folder: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        limit = self.above_bytes
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise DataError(
                f"Streaming.above_bytes must be a non-negative integer of bytes, got {limit!r}; use 8 * 2**30 for 8 "
                "GiB, or None for a quarter of the available memory"
            )


DEFAULT_STREAMING = Streaming()


class Scratch:
    """A folder of temporary files, created with the first file, and removed by `remove` or when the process ends.

    Pickles as None: a copy in another process owns nothing.
    """

    def __init__(self, parent: str | os.PathLike[str] | None) -> None:
        self._parent = Path(tempfile.gettempdir() if parent is None else parent).expanduser().absolute()
        self._removal: Callable[[], object] | None = None
        self._numbers = itertools.count()
        self.folder: Path | None = None

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.memmap[Any, Any]:
        """An array in a new file. Raises DataError when the folder does not exist or has too little free space."""
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            free = shutil.disk_usage(self._parent).free
            # Checked first: writing to a mapped file on a full disk kills the process with a bus error.
            if needed >= free:
                raise DataError(
                    f"data of {file_size(needed)} does not fit into memory and streams from a file, but "
                    f"'{self._parent}' has only {file_size(free)} free; choose a larger disk, "
                    "streaming=Streaming(folder=...)"
                )
            if self.folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix="archsearch-data-", dir=self._parent))
                self._removal = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        except OSError as error:
            raise DataError(
                f"cannot create files to stream data from in '{self._parent}': {error.strerror}; choose another "
                "folder, streaming=Streaming(folder=...)"
            ) from error
        file = self.folder / f"{next(self._numbers)}.npy"
        return np.lib.format.open_memmap(file, mode="w+", dtype=np.dtype(dtype), shape=shape)

    def remove(self) -> None:
        if self._removal is not None:
            self._removal()

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


class Allocator:
    """Makes arrays: in memory, or as files of its scratch folder where they exceed the limit."""

    def __init__(self, streaming: Streaming) -> None:
        self.scratch = Scratch(streaming.folder)
        self._limit: float | None = streaming.above_bytes

    def allocate(
        self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, total_bytes: int | None = None
    ) -> npt.NDArray[Any]:
        """Like `np.empty`. Arrays that are not numeric are always in memory.

        Args:
            shape: The shape of the array.
            dtype: Its type.
            total_bytes: The size of all arrays that will be in memory at the same time; None is that of this one.
        """
        dtype = np.dtype(dtype)
        needed = math.prod(shape) * dtype.itemsize if total_bytes is None else total_bytes
        if self._limit is None:
            self._limit = MEMORY_FRACTION * available_bytes()
        if needed <= self._limit or dtype.kind not in "biuf":
            return np.empty(shape, dtype)
        return self.scratch.array(shape, dtype)


def available_bytes() -> float:
    """Memory that new arrays can take without swapping; infinity where the system does not say."""
    limits = [math.inf]
    with suppress(OSError, ValueError, StopIteration):  # not Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits.append(1024 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # not in a container, or its limit is "max"
        group = Path("/sys/fs/cgroup")
        most, used = (float((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        limits.append(most - used)
    if len(limits) == 1:
        with suppress(AttributeError, ValueError, OSError):  # neither Linux nor macOS
            limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    return min(limits)
