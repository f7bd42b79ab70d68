"""Which rows train, which validate, which test: a seeded split, stratified by class where there are classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spaces.errors import DataError

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """How the rows of a data set are shared out.

    validation: the fraction that trials are compared on, in (0, 1). test: the fraction that no trial sees, in [0, 1);
    0 makes no test part. Both are fractions of all rows outside an official test part; where the source brings one
    (as MNIST does), `test` is ignored. A fifth each is the common choice for some hundreds to thousands of rows: the
    comparison of trials is noisier with less, and the training poorer with more. seed: same seed, same rows.

    Raises DataError when the fractions leave nothing to train on.
    """

    validation: float = 0.2
    test: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise DataError(f"Split.validation must lie between 0 and 1, got {self.validation!r}; 0.2 is common")
        if not 0 <= self.test < 1:
            raise DataError(f"Split.test must lie in [0, 1), got {self.test!r}; 0 makes no test part")
        if self.validation + self.test >= 1:
            raise DataError(
                f"Split leaves nothing to train on: validation {self.validation} + test {self.test} must be below 1; "
                "make one smaller"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise DataError(f"Split.seed must be a whole number in [0, 2**32), got {self.seed!r}")


DEFAULT_SPLIT = Split()


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Row numbers of each part, (n,) int64 and in random order. test: None where there is no test part."""

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
) -> SplitRows:
    """Share out `count` rows, of which the last `official_test` are the source's own test part and stay so.

    labels: (count,) class indices into `classes`, to stratify by; None shares out regardless of the target.

    Raises DataError when there are too few rows, or too few of one class.
    """
    free = np.arange(count - official_test, dtype=np.int64)
    validation_size = round(split.validation * len(free))
    test_size = 0 if official_test else round(split.test * len(free))
    wants_test = not official_test and split.test > 0
    if validation_size < 1 or (wants_test and test_size < 1) or len(free) - validation_size - test_size < 1:
        raise DataError(
            f"{len(free)} rows are too few for validation={split.validation}, test={split.test}; "
            "every part needs at least one row: give more data or larger fractions"
        )
    if labels is not None:
        _check_counts(np.bincount(labels[free], minlength=len(classes)), classes, parts=3 if wants_test else 2)

    test = np.arange(len(free), count, dtype=np.int64) if official_test else None
    if wants_test:
        free, test = _carve(free, test_size, labels, classes, split.seed)
    train, validation = _carve(free, validation_size, labels, classes, split.seed)
    if labels is not None:
        _check_trained(labels, train, classes)
    return SplitRows(train, validation, test)


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


def _check_counts(counts: npt.NDArray[np.int64], classes: Sequence[str], *, parts: int) -> None:
    rarest = int(counts.argmin())
    if counts[rarest] < parts:
        raise DataError(
            f"class '{classes[rarest]}' has {_samples(counts[rarest])} to split, and {parts} parts need at least one "
            "each; give more of it, or leave it out or join it with another class (task='regression' if the target is "
            "a quantity)"
        )


def _check_trained(labels: npt.NDArray[np.int64], train: Rows, classes: Sequence[str]) -> None:
    # Rounding may give a rare class no share of a small part. Harmless in validation; in training it is never learnt.
    for index, name in enumerate(classes):
        if (labels[train] == index).any():
            continue
        raise DataError(
            f"class '{name}' has {_samples((labels == index).sum())} and got none in the training part; "
            "give more of it, or make the other parts smaller"
        )


def _samples(count: int) -> str:
    return f"{count} sample" if count == 1 else f"{count} samples"
