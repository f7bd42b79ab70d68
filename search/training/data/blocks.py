"""Large arrays, some rows at a time, so that nothing computed from all rows is in memory as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.streaming import Allocate

BLOCK_BYTES = 2**24  # of the array that is read: small compared with any memory, large compared with a call's overhead


def blocks(array: npt.NDArray[Any]) -> Iterator[slice]:
    """Slices that together cover all rows, in order."""
    return row_blocks(len(array), math.prod(array.shape[1:]) * array.itemsize)


def row_blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    """Same as `blocks`, for an array of `rows` rows with `row_bytes` bytes each."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def all_finite(array: npt.NDArray[Any]) -> bool:
    """Whether no value is NaN or infinite."""
    return array.dtype.kind != "f" or all(bool(np.isfinite(array[some]).all()) for some in blocks(array))


def concatenate(allocate: Allocate, *arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`np.concatenate`, into an array from `allocate`."""
    rows = sum(len(array) for array in arrays)
    out = allocate((rows, *arrays[0].shape[1:]), np.result_type(*(array.dtype for array in arrays)))
    return np.concatenate(arrays, out=out)


class GrowingArray:
    """`np.stack` of rows that are appended one by one; when its array from `allocate` is full, it doubles."""

    def __init__(self, allocate: Allocate, rows: int) -> None:
        self._allocate, self._rows = allocate, rows
        self._array: npt.NDArray[Any] = np.empty(0)
        self._count = 0

    def append(self, row: npt.NDArray[Any]) -> None:
        if not self._count:
            self._array = self._allocate((self._rows, *row.shape), row.dtype)
        dtype = np.promote_types(self._array.dtype, row.dtype)
        full = self._count == len(self._array)
        if full or dtype != self._array.dtype:
            larger = self._allocate((len(self._array) * (2 if full else 1), *row.shape), dtype)
            larger[: self._count] = self._array[: self._count]
            self._array = larger
        self._array[self._count, ...] = row
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self._array.shape[1:]

    def array(self) -> npt.NDArray[Any]:
        """All rows so far, (n, ...)."""
        return self._array[: self._count]
