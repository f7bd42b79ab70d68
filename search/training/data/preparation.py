"""From loaded data to a network's inputs and targets: split first, then fit every statistic on the training part alone.

Fitting on all rows would leak the validation and test parts into the inputs, and flatter every score. So each fold of a
cross-validation is prepared independently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import row_blocks
from archsearch.search.training.data.columns import Table
from archsearch.search.training.data.data_source import DataSource, check_source
from archsearch.search.training.data.fingerprint import fingerprint
from archsearch.search.training.data.loaded import LoadedData, load_checked, load_task
from archsearch.search.training.data.prepared import Cleaning, Part, Prepared, Task
from archsearch.search.training.data.samples import Texts
from archsearch.search.training.data.scaling import Scaling, fit_images
from archsearch.search.training.data.split import DEFAULT_SPLIT, VALIDATION, Rows, Split, SplitRows, split_rows
from archsearch.search.training.data.split_keys import split_keys
from archsearch.search.training.data.streaming import DEFAULT_STREAMING, Allocator, Streaming
from archsearch.search.training.data.table_encoding import CategoryEncoding, fit_table
from archsearch.search.training.data.targets import encode_targets, resolve_task
from archsearch.search.training.data.tokens import fit_tokens
from archsearch.spaces.errors import DataError, unknown

Inputs = npt.NDArray[np.float32] | npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Data:
    """A declared data set: where it comes from, and how it is split and preprocessed. Nothing is read before `prepare`.

    `csv`, `arrays` and the other functions return one; write it yourself for a `DataSource` of your own.

    Args:
        source: Where the samples come from.
        split: How rows are divided into training, validation and test part.
        categories: Categorical columns of a table as "one_hot" (an input of 0 or 1 per category) or as "codes" (one
            integer input, for a network that learns a vector per category, as `MLP(..., embedding=8)`).
        scaling: Numeric inputs to "standard" (mean 0, standard deviation 1) or "min_max" (the range of the training
            part to [0, 1]; other parts may lie outside).
        streaming: When data is too large for memory and streams from files.

    Raises:
        DataError: An argument has another type or an unknown value, or the source's class is incomplete.
    """

    source: DataSource
    split: Split = DEFAULT_SPLIT
    categories: CategoryEncoding = "one_hot"
    scaling: Scaling = "standard"
    streaming: Streaming = DEFAULT_STREAMING

    def __post_init__(self) -> None:
        check_source(self.source)
        for name, kind, example in (("split", Split, "Split(folds=5)"), ("streaming", Streaming, "Streaming()")):
            if not isinstance(getattr(self, name), kind):
                raise DataError(
                    f"{name} must be a {kind.__name__}, got {getattr(self, name)!r}; write {name}={example}"
                )
        if self.categories not in get_args(CategoryEncoding):
            raise DataError(unknown("categories", str(self.categories), get_args(CategoryEncoding)))
        if self.scaling not in get_args(Scaling):
            raise DataError(unknown("scaling", str(self.scaling), get_args(Scaling)))

    def task(self) -> Task | None:
        """The task, read from the targets alone if the source does not declare it; None if only `prepare` can tell.

        Raises:
            DataError: The targets cannot be used.
        """
        return load_task(self.source)

    def prepare(self) -> Prepared:
        """Load, check, split and preprocess the data. The same samples and settings give the same arrays.

        - Tables: columns that are constant in the training part are dropped. Numeric columns are scaled, and missing
          values become the median. A categorical column becomes one 0/1 input per category of the training part (all 0
          for an unseen category; a missing value is a category), or one input of codes from 1 on (0 for an unseen
          category).
        - Texts: token codes, where 0 is padding and 1 a token that is not in the vocabulary.
        - Other arrays, such as images: scaled as a whole.
        - Targets of a regression are standardized.

        All statistics are of the training part. Parts larger than memory are mapped from temporary files, which exist
        as long as the returned object; their numbers are the same.

        Raises:
            DataError: The data cannot be used as it is; the message says where and how to fix it.
        """
        allocator = Allocator(self.streaming)  # for what is loaded; `prepare` has another for what is kept
        try:
            loaded = load_checked(self.source, allocator.allocate)
            return prepare(loaded, self.split, self.categories, self.scaling, self.streaming)
        finally:
            allocator.scratch.remove()


def as_data(data: Data | DataSource) -> Data:
    """A source alone as data with the default split and preprocessing; anything else unchanged."""
    if isinstance(data, DataSource):
        return Data(data)
    if hasattr(data, "load") and not hasattr(data, "prepare"):
        check_source(data)  # explains what is wrong: it is a class, or is not derived from DataSource
    return data


def prepare(
    loaded: LoadedData,
    split: Split,
    categories: CategoryEncoding = "one_hot",
    scaling: Scaling = "standard",
    streaming: Streaming = DEFAULT_STREAMING,
) -> Prepared:
    """`Data.prepare` for data that is already loaded."""
    allocator = Allocator(streaming)
    task = resolve_task(loaded.task, loaded.targets)
    targets, classes = encode_targets(loaded.targets, task)
    digest = fingerprint(
        loaded.inputs,
        targets,
        task=task,
        classes=classes,
        official_test=loaded.official_test,
        categories=categories,
        **_settings(split, scaling),
    )
    keyed = split_keys(loaded, split)
    folds = split_rows(
        split,
        len(targets),
        official_test=loaded.official_test,
        labels=targets if task == "classification" else None,
        classes=classes,
        keys=keyed.keys,
    )

    def fold(rows: SplitRows) -> Prepared:
        fitted = _fit(keyed.inputs, rows.train, categories, scaling)
        return _prepare_fold(fitted, targets, rows, task, classes, allocator, len(folds))

    others = tuple(fold(replace(rows, test=None)) for rows in folds[1:])
    return replace(fold(folds[0]), fingerprint=digest, others=others, scratch=allocator.scratch)


def _settings(split: Split, scaling: Scaling) -> dict[str, object]:
    """For the fingerprint. Newer settings are left out at their defaults, so that digests in older stores match."""
    settings = {**asdict(split), "validation": VALIDATION if split.validation is None else split.validation}
    if split.folds is None:
        del settings["folds"]
    return {"split": settings} if scaling == "standard" else {"split": settings, "scaling": scaling}


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What was fitted on the training rows.

    Attributes:
        encode: From row numbers (n,) to inputs (n, *shape).
        cleaning: What was repaired.
        feature_names: As in `Prepared`.
        categories: As in `Prepared`.
        tokens: As in `Prepared`.
    """

    encode: Callable[[Rows], Inputs]
    cleaning: Cleaning
    feature_names: tuple[str, ...] = ()
    categories: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()


def _fit(
    inputs: Table | Texts | npt.NDArray[Any], train: Rows, categories: CategoryEncoding, scaling: Scaling
) -> _Fitted:
    match inputs:
        case Table():
            table = fit_table(inputs, train, categories, scaling)
            return _Fitted(table.encode, table.cleaning, table.feature_names, table.categories)
        case Texts():
            codes, tokens = fit_tokens(inputs, train)
            return _Fitted(codes, Cleaning(len(inputs.texts)), tokens=tokens)
        case images:
            return _Fitted(fit_images(images, train, scaling), Cleaning(len(images)))


def _prepare_fold(
    fitted: _Fitted,
    targets: npt.NDArray[Any],
    rows: SplitRows,
    task: Task,
    classes: tuple[str, ...],
    allocator: Allocator,
    folds: int,
) -> Prepared:
    """The parts of one fold.

    Args:
        fitted: What was fitted on its training part.
        targets: (n,) or (n, k) the targets of all rows.
        rows: The rows of each part.
        task: The task.
        classes: The names of the classes or labels; () for a regression.
        allocator: Makes the arrays of the parts.
        folds: How many folds there are; all of them are in memory at the same time.
    """
    mean: float | npt.NDArray[np.float64] = 0.0
    std: float | npt.NDArray[np.float64] = 1.0
    if task == "regression":
        mean, std = _mean_std(targets[rows.train])
        targets = ((targets - mean) / std).astype(np.float32)
    sample = fitted.encode(rows.train[:1])  # (1, *shape)
    total_bytes = folds * len(targets) * sample.nbytes

    def part(chosen: Rows) -> Part:
        inputs = allocator.allocate((len(chosen), *sample.shape[1:]), sample.dtype, total_bytes=total_bytes)
        for some in row_blocks(len(chosen), sample.nbytes):
            inputs[some] = fitted.encode(chosen[some])
        if not isinstance(inputs, np.memmap):
            return Part(inputs, targets[chosen])
        inputs.flush()  # for machines that see the folder over a network
        return Part.from_file(str(inputs.filename), targets[chosen])

    return Prepared(
        task=task,
        train=part(rows.train),
        validation=part(rows.validation),
        test=None if rows.test is None else part(rows.test),
        classes=classes,
        target_mean=mean,
        target_std=std,
        feature_names=fitted.feature_names,
        categories=fitted.categories,
        vocabulary=len(fitted.tokens) or None,
        tokens=fitted.tokens,
        cleaning=fitted.cleaning,
    )


def _mean_std(
    targets: npt.NDArray[np.float64],
) -> tuple[float, float] | tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of (n,) targets, or of each column of (n, k)."""
    if targets.ndim == 2:
        for column, same in enumerate(np.ptp(targets, axis=0) == 0):
            if same:
                raise DataError(
                    f"every target of the training part in column {column} is {targets[0, column]:g}, so there is "
                    "nothing to learn; check the target, or remove the column"
                )
        return targets.mean(axis=0), targets.std(axis=0)
    if np.ptp(targets) == 0:
        raise DataError(
            f"every target of the training part is {targets[0]:g}, so there is nothing to learn; check the target"
        )
    return float(targets.mean()), float(targets.std())
