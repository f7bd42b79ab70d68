"""The training and validation rows of each fold of a cross-validation, by scikit-learn's splitters.

Stone, 1974, "Cross-validatory choice and assessment of statistical predictions"; for time series, windows with a
rolling origin: Tashman, 2000, "Out-of-sample tests of forecasting accuracy".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def fold_rows(
    rows: Rows, folds: int, seed: int, *, labels: Rows | None, groups: Rows | None, by_time: bool
) -> list[tuple[Rows, Rows]]:
    """(training rows, validation rows) of each fold.

    No group is in two folds, and each class has its share of every fold as far as the groups allow.

    Args:
        rows: The row numbers to divide; in order of time if `by_time`.
        folds: How many.
        seed: Of the random folds.
        labels: The class of every row of the data set, or None.
        groups: The group of every row of the data set, or None.
        by_time: Make windows instead of random folds.
    """
    from sklearn import model_selection  # late: workers never split, and it is slow to import

    if by_time:
        splitter = model_selection.TimeSeriesSplit(folds)
        return [(rows[train], rows[validation]) for train, validation in splitter.split(rows)]
    kind = {
        (False, False): model_selection.KFold,
        (False, True): model_selection.GroupKFold,
        (True, False): model_selection.StratifiedKFold,
        (True, True): model_selection.StratifiedGroupKFold,
    }[labels is not None, groups is not None]
    splitter = kind(folds, shuffle=True, random_state=seed)
    own = (None if each is None else each[rows] for each in (labels, groups))
    return [(rows[train], rows[validation]) for train, validation in splitter.split(rows, *own)]
