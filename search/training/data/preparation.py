"""From what a source has read to what a network is given: split, then fit every statistic on the training part alone.

Fitting on all rows would let the validation and test parts leak into the inputs, and flatter every score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from search.training.data.prepared import Part, Prepared
from search.training.data.raw import Raw, Source, Table
from search.training.data.split import DEFAULT_SPLIT, Rows, Split, split_rows
from search.training.data.targets import class_indices, infer_task, quantities
from spaces.errors import DataError

MOST_EXTREME = 1e30  # float32 ends at 3e38

Inputs = npt.NDArray[np.float32]
Features = Callable[[Rows], Inputs]  # row numbers (n,) -> what a network is given, (n, *shape)


@dataclass(frozen=True, slots=True)
class Data:
    """A data set that is declared, and read when it is needed: where it comes from, and how it is split."""

    source: Source
    split: Split = DEFAULT_SPLIT

    def prepare(self) -> Prepared:
        """Read, split and standardise. Same source and split, same arrays.

        Tables: each number column is standardised, missing values being the median; each categorical column becomes
        one 0/1 input per category, a missing value being a category, and an unseen one all zeros. Everything else
        (images) is standardised by one mean and one deviation. All of it is fitted on the training part.

        Raises DataError for whatever in the data has to be mended.
        """
        return prepare(self.source.read(), self.split)


def prepare(raw: Raw, split: Split) -> Prepared:
    """The work of `Data.prepare`, on what has been read."""
    task = raw.task or infer_task(raw.targets)
    targets: npt.NDArray[Any]
    classes: tuple[str, ...] = ()
    mean, std = 0.0, 1.0
    if task == "classification":
        targets, classes = class_indices(raw.targets)
        rows = split_rows(split, len(targets), official_test=raw.official_test, labels=targets, classes=classes)
    else:
        values = quantities(raw.targets)
        rows = split_rows(split, len(values), official_test=raw.official_test)
        mean, std = _mean_std(values[rows.train])
        targets = ((values - mean) / std).astype(np.float32)

    features, names = _fit(raw.inputs, rows.train)

    def part(chosen: Rows) -> Part:
        return Part(features(chosen), targets[chosen])

    return Prepared(
        task=task,
        train=part(rows.train),
        validation=part(rows.validation),
        test=None if rows.test is None else part(rows.test),
        classes=classes,
        target_mean=mean,
        target_std=std,
        feature_names=names,
    )


def _mean_std(targets: npt.NDArray[np.float64]) -> tuple[float, float]:
    if np.ptp(targets) == 0:
        raise DataError(f"every target of the training part is {targets[0]:g}: nothing to learn; check the target")
    return float(targets.mean()), float(targets.std())


def _fit(inputs: Table | npt.NDArray[Any], train: Rows) -> tuple[Features, tuple[str, ...]]:
    """(features fitted on the training rows, the names of their columns)."""
    return _fit_table(inputs, train) if isinstance(inputs, Table) else (_fit_images(inputs, train), ())


def _fit_table(table: Table, train: Rows) -> tuple[Features, tuple[str, ...]]:
    """The numbers first, then each category of the training rows as a column of 0 and 1."""
    from sklearn.impute import SimpleImputer  # here, not above: workers never prepare, and scikit-learn loads slowly
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # keep_empty_features: a column may happen to be all missing in the training part; the names must still fit.
    # The scaler divides a constant column by 1, also where rounding gives it a tiny deviation.
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    if table.names:
        _check_range(table)
        numbers.fit(table.numbers[train])
    seen = [np.unique(column.codes[train]) for column in table.words]

    def features(rows: Rows) -> Inputs:
        blocks: list[npt.NDArray[Any]] = [numbers.transform(table.numbers[rows])] if table.names else []
        blocks += [column.codes[rows, None] == codes for column, codes in zip(table.words, seen, strict=True)]
        return np.concatenate(blocks, axis=1, dtype=np.float32)  # (n, numbers + categories)

    categories = [
        f"{column.name}={column.categories[code] or '(missing)'}"
        for column, codes in zip(table.words, seen, strict=True)
        for code in codes
    ]
    return features, (*table.names, *categories)


def _check_range(table: Table) -> None:
    # Such a value overflows in the deviation or in float32, and a network would be given NaN. Some programs write the
    # largest float for "missing".
    extreme = np.abs(table.numbers) > MOST_EXTREME  # NaN compares as False
    for column in np.flatnonzero(extreme.any(axis=0)):
        value = table.numbers[extreme[:, column], column][0]
        raise DataError(
            f"column '{table.names[column]}' holds {value:g}, beyond ±{MOST_EXTREME:g}; if it stands for a missing "
            "value, leave the cell empty, else use a larger unit"
        )


def _fit_images(images: npt.NDArray[Any], train: Rows) -> Features:
    """One mean and one deviation for all pixels: per-pixel ones would blow up the borders, which hardly ever vary."""
    pixels = images[train].astype(np.float32).reshape(len(train), -1)  # (n, pixels)
    mean = np.float32(pixels.mean(dtype=np.float64))
    pixels -= mean
    squares = np.einsum("np,np->n", pixels, pixels)  # sums per image, without another copy of all of them
    std = np.float32(np.sqrt(squares.mean(dtype=np.float64) / pixels.shape[1])) or np.float32(1)

    def features(rows: Rows) -> Inputs:
        scaled = images[rows].astype(np.float32)  # (n, height, width)
        scaled -= mean
        scaled /= std
        return scaled

    return features
