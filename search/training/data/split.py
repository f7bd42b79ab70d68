"""Which rows train, which validate, which test.

At random, and stratified by class where there are classes; or whole groups at random, where rows of one patient or
writer would tell a network what it is asked for; or by time, where the future is what must be predicted. One part of
the rows validates; how they take turns at it, in k folds, is in `split_folds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.split_folds import fold_rows
from archsearch.spaces.errors import DataError
from archsearch.studies.formatting import count

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """How the rows of a data set are shared out.

    validation: the fraction that trials are compared on, in (0, 1). test: the fraction that no trial sees, in [0, 1);
    0 makes no test part. Both are fractions of all rows outside an official test part; where the source brings one
    (as MNIST does), `test` is ignored. A fifth each is the common choice for some hundreds to thousands of rows: the
    comparison of trials is noisier with less, and the training poorer with more. seed: same seed, same rows.

    groups: a table's column, or one label per row (outside an official test part), such as the patient; no group is in
    two parts. The fractions are then of the groups. by_time: a table's column of numbers or ISO dates, or True where
    the rows stand in the order of time; the last are the test part, those before them validate, and the seed is not
    asked. A column that is named here is no input.

    folds: k, at least 2, for k-fold cross-validation: the rows outside the test part are shared into k folds, each of
    which validates once, after training on all others; `validation` is then not asked. 5 is the common choice: each
    training has four fifths of the rows, for five times the work (Kohavi, 1995, "A study of cross-validation and
    bootstrap", advises 10 where that can be paid). The folds are stratified by class where there are classes, also
    when they keep groups together, then as far as the groups let them be. By time they are windows: the rows are cut
    into k + 1 pieces, and each but the first validates what was trained on all before it, never on its future. Every
    fold is standardised on its own training part, so that k copies of the data are held in memory. None holds out one
    part.

    Raises DataError when the fractions leave nothing to train on, for folds that are no such number, or for groups
    that are none.
    """

    validation: float = 0.2
    test: float = 0.2
    seed: int = 0
    groups: str | npt.ArrayLike | None = None
    by_time: str | bool = False
    folds: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise DataError(f"Split.validation must lie between 0 and 1, got {self.validation!r}; 0.2 is common")
        if not 0 <= self.test < 1:
            raise DataError(f"Split.test must lie in [0, 1), got {self.test!r}; 0 makes no test part")
        if self.folds is None and self.validation + self.test >= 1:
            raise DataError(
                f"Split leaves nothing to train on: validation {self.validation} + test {self.test} must be below 1; "
                "make one smaller"
            )
        if self.folds is not None and (
            isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2
        ):
            raise DataError(f"Split.folds must be a whole number of at least 2, got {self.folds!r}; 5 is common")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise DataError(f"Split.seed must be a whole number in [0, 2**32), got {self.seed!r}")
        if not isinstance(self.by_time, str | bool) or self.by_time == "":
            raise DataError(
                f"Split.by_time must be a column's name, or True for the order of the rows, got {self.by_time!r}"
            )
        if self.groups is not None and self.by_time:
            raise DataError("Split shares out by groups or by time, got both; leave one out")
        if self.groups is not None and not isinstance(self.groups, str | Labels):
            object.__setattr__(self, "groups", Labels.from_values(self.groups))

    @property
    def column(self) -> str | None:
        """The table's column that it goes by, if any."""
        return next((name for name in (self.groups, self.by_time) if isinstance(name, str)), None)


class Labels(tuple[Any, ...]):
    """One label per row, as plain values that can be compared; short when it is shown."""

    __slots__ = ()

    @classmethod
    def from_values(cls, values: npt.ArrayLike) -> Labels:
        """Raises DataError for what is no list of labels."""
        array = np.asarray(values)
        if array.ndim != 1:
            raise DataError(f"Split.groups must be a column's name, or one label per row, got shape {array.shape}")
        labels = cls(array.tolist())
        missing = [row for row, label in enumerate(labels) if label is None or label != label]
        if missing:
            raise DataError(
                f"Split.groups lacks {len(missing)} labels, the first at row {missing[0]}; give each row one"
            )
        return labels

    def __repr__(self) -> str:
        return f"<{len(self):,} labels>"


DEFAULT_SPLIT = Split()


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Row numbers of each part, (n,) int64, in no special order. test: None where there is no test part."""

    train: Rows
    validation: Rows
    test: Rows | None


def split_rows(
    split: Split,
    count: int,
    *,
    official_test: int = 0,
    labels: npt.NDArray[np.int64] | None = None,
    classes: Sequence[str] = (),
    keys: npt.NDArray[Any] | None = None,
) -> tuple[SplitRows, ...]:
    """Share out `count` rows, of which the last `official_test` are the source's own test part and stay so.

    As often as there are folds, always with the same test part; and once without folds.

    labels: (count,) class indices into `classes`, to stratify by where rows are drawn at random; None shares out
    regardless of the target. keys: (count,) the number of each row's group, or its time, as the split asks for; None
    for the order of the rows.

    Raises DataError when there are too few rows or groups, or too few of one class.
    """
    free = np.arange(count - official_test, dtype=np.int64)
    if split.by_time and keys is not None:
        free = free[np.argsort(keys[free], kind="stable")]
    units = len(free) if split.groups is None or keys is None else len(np.unique(keys[free]))
    validation_size = round(split.validation * units) if split.folds is None else 1
    test_size = 0 if official_test else round(split.test * units)
    wants_test = not official_test and split.test > 0
    needed = validation_size + 1 if split.folds is None else split.folds + bool(split.by_time)  # outside the test part
    if validation_size < 1 or (wants_test and test_size < 1) or units - test_size < needed:
        what = "row" if split.groups is None else "group"
        asked = f"validation={split.validation}" if split.folds is None else f"folds={split.folds}"
        raise DataError(
            f"{units} {what}s are too few for {asked}, test={split.test}; every part needs at least one {what}: "
            f"give more data or {'larger fractions' if split.folds is None else 'fewer folds'}"
        )
    if labels is not None and split.folds is None:
        _check_counts(labels[free], classes, 3 if wants_test else 2, "to split, and {} parts")

    def carve(rows: Rows, size: int) -> tuple[Rows, Rows]:
        if split.groups is not None and keys is not None:
            return _carve_groups(rows, size, keys, split.seed)
        if split.by_time:
            return rows[:-size], rows[-size:]
        return _carve(rows, size, labels, classes, split.seed)

    test = np.arange(len(free), count, dtype=np.int64) if official_test else None
    if wants_test:
        free, test = carve(free, test_size)
    if split.folds is None:
        pairs = [carve(free, validation_size)]
    else:
        if labels is not None and not split.by_time:
            _check_counts(labels[free], classes, split.folds, "outside the test part, and {} folds")
        groups = None if split.groups is None else keys
        pairs = fold_rows(free, split.folds, split.seed, labels=labels, groups=groups, by_time=bool(split.by_time))
    if labels is not None:
        for train, _ in pairs:
            _check_trained(labels, train, classes, split)
    return tuple(SplitRows(train, validation, test) for train, validation in pairs)


def _carve_groups(rows: Rows, size: int, keys: npt.NDArray[Any], seed: int) -> tuple[Rows, Rows]:
    """(the others, the rows of `size` groups)."""
    from sklearn.model_selection import GroupShuffleSplit  # here, as below

    splitter = GroupShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    others, carved = next(splitter.split(rows, groups=keys[rows]))
    return rows[others], rows[carved]


def _carve(
    rows: Rows, size: int, labels: npt.NDArray[np.int64] | None, classes: Sequence[str], seed: int
) -> tuple[Rows, Rows]:
    """(the others, `size` of the rows)."""
    from sklearn.model_selection import train_test_split  # here, not above: workers never split, and it loads slowly

    stratify = None if labels is None else labels[rows]
    try:
        others, carved = train_test_split(rows, test_size=size, random_state=seed, stratify=stratify)
    except ValueError as error:
        if labels is None:
            raise
        counts = np.bincount(labels[rows], minlength=len(classes))
        rarest = int(counts.argmin())
        raise DataError(
            f"{len(rows)} rows of {len(classes)} classes cannot give a stratified part of {size} (class "
            f"'{classes[rarest]}' has {counts[rarest]} of them); give more rows, join rare classes, or change the "
            "fractions of Split (task='regression' if the target is a quantity)"
        ) from error
    return others, carved


def _check_counts(labels: npt.NDArray[np.int64], classes: Sequence[str], parts: int, told: str) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < parts:
        raise DataError(
            f"class '{classes[rarest]}' has {count(counts[rarest], 'sample')} {told.format(parts)} need at least one "
            "each; give more of it, or leave it out or join it with another class (task='regression' if the target "
            "is a quantity)"
        )


def _check_trained(labels: npt.NDArray[np.int64], train: Rows, classes: Sequence[str], split: Split) -> None:
    # Rounding, groups or time may give a class no share of a part. Harmless in validation; in training it is no class.
    for index, name in enumerate(classes):
        if (labels[train] == index).any():
            continue
        mend = "make the other parts smaller" if split.folds is None else "take fewer folds"
        again = "" if split.groups is None else ", or try another Split seed"
        raise DataError(
            f"class '{name}' has {count((labels == index).sum(), 'sample')} and got none in the training part; "
            f"give more of it, or {mend}{again}"
        )
