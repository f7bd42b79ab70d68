"""Which rows train and which validate in each fold of a cross-validation; scikit-learn's splitters draw them.

Stone, 1974, "Cross-validatory choice and assessment of statistical predictions"; in windows for what comes by time,
Tashman, 2000, "Out-of-sample tests of forecasting accuracy" (a rolling origin).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]


def fold_rows(
    rows: Numbers, folds: int, seed: int, *, labels: Numbers | None, groups: Numbers | None, by_time: bool
) -> list[tuple[Numbers, Numbers]]:
    """(training rows, validation rows) of each fold of these row numbers, which by time are in its order.

    labels, groups: the class and the group of every row of the data, by its number. No group is in two folds, and each
    class has its share of every fold, as far as the groups allow.
    """
    from sklearn import model_selection  # here, not above: workers never split, and it loads slowly

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
