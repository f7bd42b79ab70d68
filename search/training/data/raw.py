"""What a source has read, before anything is split or fitted; and the seam by which more sources plug in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.prepared import Task
from archsearch.search.training.data.streaming import Empty

Tokens = Literal["words", "characters"]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A categorical column. codes: (n,) int64 into `categories`, where "" stands for a missing value."""

    name: str
    categories: tuple[str, ...]
    codes: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of both kinds. numbers: (n, k) float64, NaN where missing, named by `names`; words: the categorical."""

    numbers: npt.NDArray[np.float64]
    names: tuple[str, ...]
    words: tuple[Words, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """One text a row, none of them empty, and how to make tokens of them; see `text` for the meaning of each field."""

    texts: tuple[str, ...]
    tokens: Tokens
    vocabulary: int
    length: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """A data set as its source gives it.

    inputs: a Table, Texts, or finite numbers (n, ...) that share one scale, such as images. targets: (n,) of bools,
    finite numbers, or text. task: None leaves it to the targets. official_test: how many of the last rows are the
    source's own test part.
    """

    inputs: Table | Texts | npt.NDArray[Any]
    targets: npt.NDArray[Any]
    task: Task | None = None
    official_test: int = 0


class Source(Protocol):
    """Somewhere that data comes from. Reads nothing before `read`, and can be pickled."""

    def read(self) -> Raw:
        """Read everything. Raises DataError for what is missing or malformed."""
        ...


@runtime_checkable
class LargeSource(Source, Protocol):
    """A source whose inputs may be larger than memory; `read()` is then `read_into(np.empty)`."""

    def read_into(self, empty: Empty) -> Raw:
        """The same, with the inputs in an array that `empty(shape, dtype)` has made, in memory or in a file."""
        ...
