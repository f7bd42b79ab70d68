"""Large arrays, some rows at a time: what is made of all their rows never lies in memory as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.streaming import Empty

BLOCK_BYTES = 2**24  # of the array that is read: little beside any memory, and much beside a call


def blocks(array: npt.NDArray[Any]) -> Iterator[slice]:
    """Slices that together are all rows, in order."""
    return row_blocks(len(array), math.prod(array.shape[1:]) * array.itemsize)


def row_blocks(rows: int, row_bytes: int) -> Iterator[slice]:
    """The same of so many rows of that size."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def all_finite(array: npt.NDArray[Any]) -> bool:
    """Is no value NaN or infinite?"""
    return array.dtype.kind != "f" or all(bool(np.isfinite(array[some]).all()) for some in blocks(array))


def joined(empty: Empty, *arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """np.concatenate, into an array that `empty` makes."""
    rows = sum(len(array) for array in arrays)
    out = empty((rows, *arrays[0].shape[1:]), np.result_type(*(array.dtype for array in arrays)))
    return np.concatenate(arrays, out=out)


class Stack:
    """np.stack of arrays that come one by one, into an array that `empty` makes, and a larger one where it is full."""

    def __init__(self, empty: Empty, rows: int) -> None:
        self._empty, self._rows = empty, rows
        self._array: npt.NDArray[Any] = np.empty(0)
        self._count = 0

    def add(self, row: npt.NDArray[Any]) -> None:
        if not self._count:
            self._array = self._empty((self._rows, *row.shape), row.dtype)
        dtype = np.promote_types(self._array.dtype, row.dtype)
        full = self._count == len(self._array)
        if full or dtype != self._array.dtype:
            larger = self._empty((len(self._array) * (2 if full else 1), *row.shape), dtype)
            larger[: self._count] = self._array[: self._count]
            self._array = larger
        self._array[self._count, ...] = row
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each row."""
        return self._array.shape[1:]

    def array(self) -> npt.NDArray[Any]:
        """All rows that were added, (n, ...)."""
        return self._array[: self._count]
