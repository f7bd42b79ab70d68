"""Data ready for training: plain arrays, split, standardised, and safe to share between processes."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.streaming import Scratch
from archsearch.spaces.errors import DataError
from archsearch.spaces.inputs import Inputs
from archsearch.studies.formatting import count

Task = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part:
    """The rows of one part, as C-contiguous arrays, so that processes can map them without a copy.

    inputs: (n, *shape) float32, or int32 for a text's tokens. targets: (n,) int64 class indices, or (n,) float32
    standardised targets. file: the .npy file that the inputs are mapped from, where they are larger than memory; see
    `mapped`. Such a part pickles as the file's name, and every process of the machine maps the same memory.

    Treat both as read-only: on a worker they are. Raises DataError for other types, shapes or layouts.
    """

    inputs: npt.NDArray[np.float32] | npt.NDArray[np.int32]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    file: str | None = None

    @classmethod
    def from_file(cls, file: str, targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]) -> Part:
        """The part whose inputs are all that is in a .npy file. Raises DataError where this machine cannot read it."""
        try:
            inputs = np.load(file, mmap_mode="r")
        except OSError as error:
            raise DataError(
                f"the data streams from '{file}', which {platform.node()} cannot read ({error.strerror}); name a "
                "folder that all machines see, streaming=Streaming(folder=...)"
            ) from error
        return cls(np.asarray(inputs), targets, file)

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (np.float32, np.int32) or self.targets.dtype not in (np.int64, np.float32):
            raise DataError(
                f"a Part holds float32 (or int32) inputs and int64 or float32 targets, got {self.inputs.dtype} and "
                f"{self.targets.dtype}; convert them with .astype"
            )
        if self.targets.ndim != 1 or self.inputs.ndim < 2 or len(self.inputs) != len(self.targets):
            raise DataError(
                f"a Part holds inputs (n, ...) and targets (n,), got {self.inputs.shape} and {self.targets.shape}"
            )
        if not (self.inputs.flags.c_contiguous and self.targets.flags.c_contiguous):
            raise DataError("a Part holds C-contiguous arrays, got strided ones; use np.ascontiguousarray")

    def __len__(self) -> int:
        return len(self.targets)

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[Any, ...]]:
        return (Part, (self.inputs, self.targets)) if self.file is None else (Part.from_file, (self.file, self.targets))

    def __repr__(self) -> str:
        return f"Part({count(len(self), 'row')} of {self.inputs.shape[1:]}, {self.targets.dtype} targets)"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was found and mended on the way from a source to `Prepared`; what cannot be mended is an error.

    rows: all of them. The others are of tables, counted after a column that the split goes by: columns: how many a row
    had. filled: missing numbers that became the median; in a categorical column, missing is a category. constant:
    columns that do not vary in the training part, and were dropped. unseen: cells of the other parts whose category
    the training part has not.
    """

    rows: int
    columns: int | None = None
    filled: int = 0
    constant: int = 0
    unseen: int = 0

    def __str__(self) -> str:
        """`45,211 rows, 16 columns; 0 missing cells filled, 1 constant column dropped`."""
        rows = count(self.rows, "row")
        if self.columns is None:
            return rows
        found = [
            f"{count(self.filled, 'missing cell')} filled",
            f"{count(self.constant, 'constant column')} dropped",
            *([f"{count(self.unseen, 'cell')} of a category that is not in training"] if self.unseen else []),
        ]
        return f"{rows}, {count(self.columns, 'column')}; {', '.join(found)}"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A data set ready for training, with what is needed to read its numbers.

    classes: the class of each index, sorted; () for regression. target_mean, target_std: of the training part, in the
    target's own unit: `prediction * target_std + target_mean` undoes the standardisation (0 and 1 for
    classification). feature_names: one per input column of a table; () for others. categories, vocabulary: as
    in `Inputs`. tokens: for text, what each code stands for, "" for padding (0) and for whatever is unknown (1).
    cleaning: what was mended. fingerprint: 16 hexadecimal digits, other for other data, or another task or split.
    None: not known, as for data that was prepared elsewhere. scratch: the owner of the parts' files, where they have
    any.

    Of a split into folds, this is the first, and `others` are the rest, none of which has the test part again. What
    was fitted on a fold's training part is that fold's own, down to the number of inputs.
    """

    task: Task
    train: Part
    validation: Part
    test: Part | None
    classes: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_std: float = 1.0
    feature_names: tuple[str, ...] = ()
    categories: tuple[int, ...] = ()
    vocabulary: int | None = None
    tokens: tuple[str, ...] = ()
    cleaning: Cleaning | None = None
    fingerprint: str | None = None
    others: tuple[Prepared, ...] = ()
    scratch: Scratch | None = None

    @property
    def outputs(self) -> int:
        """How many numbers a network must give per row: one per class, or 1 for regression."""
        return len(self.classes) if self.task == "classification" else 1

    @property
    def inputs(self) -> Inputs:
        """What one sample looks like."""
        return Inputs(self.train.inputs.shape[1:], self.categories, self.vocabulary)

    @property
    def folds(self) -> tuple[Prepared, ...]:
        """This one and the others; itself alone where one part is held out."""
        return (self, *self.others)

    @property
    def streamed(self) -> tuple[Part, ...]:
        """The parts that training reads from files, of all folds."""
        parts = (part for fold in self.folds for part in (fold.train, fold.validation))
        return tuple(part for part in parts if part.file is not None)

    def without_test(self) -> Prepared:
        """The same without its test part: what a search is given, so that no choice can depend on it."""
        return replace(self, test=None)
