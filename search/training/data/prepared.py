"""Data ready for training: plain arrays, split and scaled, that processes can share."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.streaming import Scratch
from archsearch.spaces.errors import DataError
from archsearch.spaces.inputs import Inputs
from archsearch.studies.formatting import count

# One class per row; several labels per row, each 0 or 1; or one or several numbers per row.
Task = Literal["classification", "multilabel", "regression"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part:
    """The rows of one part, as C-contiguous arrays that processes can map without copying.

    Treat the arrays as read-only: on a worker they are.

    Args:
        inputs: (n, *shape) float32, or int32 for the tokens of texts.
        targets: (n,) int64 class indices, (n, labels) float32 labels of 0 and 1, or (n,) or (n, k) float32 standardized
            targets.
        file: The .npy file from which the inputs are mapped if they are larger than memory; see `from_file`. Such a
            part pickles as the name of the file, and all processes of a machine map the same memory.

    Raises:
        DataError: The arrays have other types, shapes or memory layouts.
    """

    inputs: npt.NDArray[np.float32] | npt.NDArray[np.int32]
    targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    file: str | None = None

    @classmethod
    def from_file(cls, file: str, targets: npt.NDArray[np.int64] | npt.NDArray[np.float32]) -> Part:
        """A part whose inputs are mapped from a .npy file.

        Args:
            file: The file, with inputs (n, *shape).
            targets: As in `Part`.

        Raises:
            DataError: This machine cannot read the file.
        """
        try:
            inputs = np.load(file, mmap_mode="r")
        except OSError as error:
            raise DataError(
                f"the data streams from '{file}', which {platform.node()} cannot read ({error.strerror}); choose a "
                "folder that all machines see, streaming=Streaming(folder=...)"
            ) from error
        return cls(np.asarray(inputs), targets, file)

    def __post_init__(self) -> None:
        if self.inputs.dtype not in (np.float32, np.int32) or self.targets.dtype not in (np.int64, np.float32):
            raise DataError(
                f"a Part takes float32 (or int32) inputs and int64 or float32 targets, got {self.inputs.dtype} and "
                f"{self.targets.dtype}; convert them with .astype"
            )
        if self.targets.ndim not in (1, 2) or self.inputs.ndim < 2 or len(self.inputs) != len(self.targets):
            raise DataError(
                f"a Part takes inputs (n, ...) and targets (n,) or (n, k), got {self.inputs.shape} and "
                f"{self.targets.shape}; reshape them"
            )
        if not (self.inputs.flags.c_contiguous and self.targets.flags.c_contiguous):
            raise DataError("a Part takes C-contiguous arrays, got strided ones; use np.ascontiguousarray")

    def __len__(self) -> int:
        return len(self.targets)

    def __reduce__(self) -> tuple[Callable[..., Part], tuple[Any, ...]]:
        return (Part, (self.inputs, self.targets)) if self.file is None else (Part.from_file, (self.file, self.targets))

    def __repr__(self) -> str:
        return f"Part({count(len(self), 'row')} of {self.inputs.shape[1:]}, {self.targets.dtype} targets)"


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What was repaired while the data was prepared; what cannot be repaired is an error.

    Attributes:
        rows: How many rows there are, in all parts.
        columns: How many input columns a table has, without the one that the split uses; None for other data.
        filled: How many missing numbers of a table were replaced by the median. (In a categorical column, missing is a
            category.)
        constant: How many columns were dropped because they are constant in the training part.
        unseen: How many cells of the other parts have a category that the training part does not have.
        kinds: What the columns of a table were taken for, such as "7 numbers, 9 categories → 51 inputs".
        warnings: What in a table is probably not meant as it was taken.
    """

    rows: int
    columns: int | None = None
    filled: int = 0
    constant: int = 0
    unseen: int = 0
    kinds: str = field(default="", compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False, repr=False)

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
    """A data set ready for training, with what is needed to interpret its numbers. `Data.prepare` returns one.

    The inputs of all parts have the same shape per row, `(*shape)`: (columns,) for a table, (height, width) or
    (channels, height, width) for images, (length,) for texts.

    Args:
        task: "classification", "multilabel" or "regression".
        train: The training part: inputs (n, *shape); targets (n,) class indices, (n, labels) zeros and ones, or (n,) or
            (n, k) standardized numbers.
        validation: The validation part, likewise.
        test: The test part, likewise; None if there is none.
        classes: (classes,) the name of each class index, sorted, or the name of each label; () for a regression.
        target_mean: The mean of the training targets, in their own unit: `prediction * target_std + target_mean` undoes
            the standardization. (k,) for a regression with several targets. 0 for other tasks.
        target_std: The standard deviation of the training targets, in their own unit, likewise; 1 for other tasks.
        feature_names: (columns,) the name of each input column of a table; () for other data.
        categories: For a table with categorical columns as codes, the number of codes of each of these columns, which
            are the last ones; () for other data. Codes are integers from 0, and 0 is a category that the training part
            does not have.
        vocabulary: For texts, the number of codes: inputs are integers below it. None for other data.
        tokens: (vocabulary,) for texts, the token of each code: "" for padding (0) and for all unknown tokens (1). ()
            for other data.
        cleaning: What was repaired; None if unknown.
        fingerprint: 16 hexadecimal digits, which change with the data, the task, the preprocessing and the split. None
            if unknown, as for data that was prepared elsewhere.
        others: In a cross-validation this is the first fold, and these are the others, without the test part.
            Everything fitted on a training part, even the number of inputs, can differ between folds.
        scratch: The folder of temporary files from which the parts are mapped; None if all parts are in memory.
    """

    task: Task
    train: Part
    validation: Part
    test: Part | None
    classes: tuple[str, ...] = ()
    target_mean: float | npt.NDArray[np.float64] = 0.0
    target_std: float | npt.NDArray[np.float64] = 1.0
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
        """How many numbers a network outputs per row: one per class, label or target of a regression."""
        if self.task != "regression":
            return len(self.classes)
        return 1 if self.train.targets.ndim == 1 else self.train.targets.shape[1]

    @property
    def inputs(self) -> Inputs:
        """The shape and kind of one sample."""
        return Inputs(self.train.inputs.shape[1:], self.categories, self.vocabulary)

    @property
    def folds(self) -> tuple[Prepared, ...]:
        """All folds, this one first; only this one without a cross-validation."""
        return (self, *self.others)

    @property
    def streamed(self) -> tuple[Part, ...]:
        """The training and validation parts that are files, of all folds."""
        parts = (part for fold in self.folds for part in (fold.train, fold.validation))
        return tuple(part for part in parts if part.file is not None)

    def without_test(self) -> Prepared:
        """The same without its test part, so that no decision of a search can depend on it."""
        return replace(self, test=None)
