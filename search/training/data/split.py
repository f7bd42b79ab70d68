"""Which rows are for training, validation and test.

Rows are drawn at random, stratified by class in a classification; or in whole groups, so that rows of one patient or
writer do not leak from one part into another; or by time, so that the future is predicted from the past. `split_folds`
makes the folds of a cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.split_folds import fold_rows
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

Rows = npt.NDArray[np.int64]

VALIDATION = 0.2  # the default fraction


@dataclass(frozen=True, slots=True)
class Split(ArgumentHints):
    """How the rows of a data set are divided into training, validation and test part.

    Random parts and folds are stratified by class in a classification.

    Args:
        validation: The fraction of rows on which trials are compared, in (0, 1). The default of 0.2 is common for
            hundreds to thousands of rows: with less, comparing trials is noisier; with more, training has less data.
            None with `folds`, each of which is the validation part once.
        test: The fraction of rows that no trial sees, in [0, 1); 0 makes no test part. Both fractions are of all rows
            outside an official test part; if the source has one (as MNIST does), `test` is ignored.
        seed: The same seed gives the same parts.
        groups: The name of a table's column, or one label per row (outside an official test part), such as the patient.
            No group is in two parts; the fractions are then of groups.
        by_time: The name of a table's column of numbers or ISO dates, or True if the rows are in order of time. The
            last rows are the test part, those before them the validation part; `seed` has no effect.
        folds: k ≥ 2 for k-fold cross-validation: the rows outside the test part are divided into k folds, and each is
            the validation part once, after training on the others, so that `validation` is not given. 5 is common: each
            training has four fifths of the rows, at five times the cost (Kohavi, 1995, "A study of cross-validation and
            bootstrap", recommends 10 if affordable). With `by_time`, the rows are cut into k + 1 windows, and each but
            the first validates a training on all windows before it. With `groups`, folds are stratified as far as the
            groups allow. Each fold is scaled by its own training part, so k copies of the data are in memory. None
            holds out a single validation part.

    A column that `groups` or `by_time` names is not an input of the network.

    Raises:
        DataError: The fractions leave nothing to train on, an argument has another type or range, or two arguments
            exclude each other.
    """

    validation: float | None = None
    test: float = 0.2
    seed: int = 0
    groups: str | npt.ArrayLike | None = None
    by_time: str | bool = False
    folds: int | None = None

    def __post_init__(self) -> None:
        if self.folds is not None and self.validation is not None:
            raise DataError(
                f"Split takes validation= or folds=, got both: each of the {self.folds} folds is the validation part "
                "once; omit validation="
            )
        if self.folds is None and self.validation is None:
            object.__setattr__(self, "validation", VALIDATION)
        if self.validation is not None and not 0 < self.validation < 1:
            raise DataError(f"Split.validation must be between 0 and 1, got {self.validation!r}; 0.2 is common")
        if not 0 <= self.test < 1:
            raise DataError(f"Split.test must be in [0, 1), got {self.test!r}; 0 makes no test part")
        if self.validation is not None and self.validation + self.test >= 1:
            raise DataError(
                f"Split leaves nothing to train on: validation {self.validation} + test {self.test} must be below 1; "
                "make one smaller"
            )
        if self.folds is not None and (
            isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2
        ):
            raise DataError(f"Split.folds must be an integer of at least 2, got {self.folds!r}; 5 is common")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise DataError(f"Split.seed must be an integer in [0, 2**32), got {self.seed!r}; 0 is the default")
        if not isinstance(self.by_time, str | bool) or self.by_time == "":
            raise DataError(
                f"Split.by_time must be the name of a column, or True if the rows are in order of time, got "
                f"{self.by_time!r}"
            )
        if self.groups is not None and self.by_time:
            raise DataError("Split takes groups= or by_time=, got both; omit one")
        if self.groups is not None and not isinstance(self.groups, str | Labels):
            object.__setattr__(self, "groups", Labels.from_values(self.groups))

    @property
    def column(self) -> str | None:
        """The column of a table that decides the split, if any."""
        return next((name for name in (self.groups, self.by_time) if isinstance(name, str)), None)


class Labels(tuple[Any, ...]):
    """One label per row, as plain values that compare by value, with a short repr."""

    __slots__ = ()

    @classmethod
    def from_values(cls, values: npt.ArrayLike) -> Labels:
        """Raises DataError if the values are not one label per row."""
        array = np.asarray(values)
        if array.ndim != 1:
            raise DataError(
                f"Split.groups must be the name of a column or one label per row, shape (n,), got shape {array.shape}"
            )
        labels = cls(array.tolist())
        missing = [row for row, label in enumerate(labels) if label is None or label != label]
        if missing:
            raise DataError(
                f"Split.groups has {count(len(missing), 'missing label')}, the first at row {missing[0]}; label "
                "every row"
            )
        return labels

    def __repr__(self) -> str:
        return f"<{count(len(self), 'label')}>"


DEFAULT_SPLIT = Split()


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """The row numbers of each part, in any order.

    Attributes:
        train: (n,) row numbers.
        validation: (n,) row numbers.
        test: (n,) row numbers; None if there is no test part.
    """

    train: Rows
    validation: Rows
    test: Rows | None


def split_rows(
    split: Split,
    rows: int,
    *,
    official_test: int = 0,
    labels: npt.NDArray[np.int64] | None = None,
    classes: Sequence[str] = (),
    keys: npt.NDArray[Any] | None = None,
) -> tuple[SplitRows, ...]:
    """Divide the rows into parts, once per fold, or once in all without folds. All folds have the same test part.

    Args:
        split: How to divide them.
        rows: The number of rows.
        official_test: How many of the last rows are the source's own test part, and remain so.
        labels: (rows,) class indices into `classes`, by which random parts are stratified; None does not stratify.
        classes: The names of the classes.
        keys: (rows,) the group of each row as a number, or its time; None uses the order of the rows.

    Raises:
        DataError: There are too few rows or groups, or too few of one class.
    """
    free = np.arange(rows - official_test, dtype=np.int64)
    if split.by_time and keys is not None:
        free = free[np.argsort(keys[free], kind="stable")]
    units = len(free) if split.groups is None or keys is None else len(np.unique(keys[free]))
    validation_size = 1 if split.validation is None else round(split.validation * units)
    test_size = 0 if official_test else round(split.test * units)
    wants_test = not official_test and split.test > 0
    needed = (
        validation_size + 1 if split.folds is None else split.folds + bool(split.by_time)
    )  # rows or groups outside the test part
    if validation_size < 1 or (wants_test and test_size < 1) or units - test_size < needed:
        what = "row" if split.groups is None else "group"
        asked = f"validation={split.validation}" if split.folds is None else f"folds={split.folds}"
        raise DataError(
            f"{count(units, what)} {'is' if units == 1 else 'are'} too few for {asked}, "
            f"test={split.test}; every part needs at least one {what}: "
            f"give more data or {'larger fractions' if split.folds is None else 'fewer folds'}"
        )
    if labels is not None and split.folds is None:
        _check_counts(labels[free], classes, 3 if wants_test else 2, "to split, and {} parts")

    def hold_out(some: Rows, size: int) -> tuple[Rows, Rows]:
        if split.groups is not None and keys is not None:
            return _hold_out_groups(some, size, keys, split.seed)
        if split.by_time:
            return some[:-size], some[-size:]
        return _hold_out(some, size, labels, classes, split.seed)

    test = np.arange(len(free), rows, dtype=np.int64) if official_test else None
    if wants_test:
        free, test = hold_out(free, test_size)
    if split.folds is None:
        pairs = [hold_out(free, validation_size)]
    else:
        if labels is not None and not split.by_time:
            _check_counts(labels[free], classes, split.folds, "outside the test part, and {} folds")
        groups = None if split.groups is None else keys
        pairs = fold_rows(free, split.folds, split.seed, labels=labels, groups=groups, by_time=bool(split.by_time))
    if labels is not None:
        for train, _ in pairs:
            _check_trained(labels, train, classes, split)
    return tuple(SplitRows(train, validation, test) for train, validation in pairs)


def _hold_out_groups(rows: Rows, size: int, keys: npt.NDArray[Any], seed: int) -> tuple[Rows, Rows]:
    """(the remaining rows, the rows of `size` groups)."""
    from sklearn.model_selection import GroupShuffleSplit  # late, as below

    splitter = GroupShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    others, held_out = next(splitter.split(rows, groups=keys[rows]))
    return rows[others], rows[held_out]


def _hold_out(
    rows: Rows, size: int, labels: npt.NDArray[np.int64] | None, classes: Sequence[str], seed: int
) -> tuple[Rows, Rows]:
    """(the remaining rows, `size` rows)."""
    from sklearn.model_selection import train_test_split  # late: workers never split, and it is slow to import

    stratify = None if labels is None else labels[rows]
    try:
        others, held_out = train_test_split(rows, test_size=size, random_state=seed, stratify=stratify)
    except ValueError as error:
        if labels is None:
            raise
        counts = np.bincount(labels[rows], minlength=len(classes))
        rarest = int(counts.argmin())
        raise DataError(
            f"{len(rows)} rows of {len(classes)} classes are too few for a stratified part of {size} (class "
            f"'{classes[rarest]}' has {counts[rarest]} of them); give more rows, merge rare classes, or change the "
            "fractions of Split (if the target is a quantity, pass task='regression')"
        ) from error
    return others, held_out


def _check_counts(labels: npt.NDArray[np.int64], classes: Sequence[str], parts: int, purpose: str) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < parts:
        raise DataError(
            f"class '{classes[rarest]}' has {count(counts[rarest], 'sample')} {purpose.format(parts)} need at least "
            "one each; add samples, or remove the class or merge it with another (if the target is a quantity, pass "
            "task='regression')"
        )


def _check_trained(labels: npt.NDArray[np.int64], train: Rows, classes: Sequence[str], split: Split) -> None:
    # By rounding, groups or time a part may lack a class. That is harmless in validation, but not in training.
    for index, name in enumerate(classes):
        if (labels[train] == index).any():
            continue
        fix = "make the other parts smaller" if split.folds is None else "use fewer folds"
        again = "" if split.groups is None else ", or try another Split(seed=)"
        raise DataError(
            f"class '{name}' has {count((labels == index).sum(), 'sample')} but none in the training part; "
            f"add samples, or {fix}{again}"
        )
