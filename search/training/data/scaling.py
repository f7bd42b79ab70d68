"""Numbers on a scale that networks train well on, found on the training rows.

- standard: mean 0 and deviation 1 (LeCun et al., 1998, "Efficient backprop", section 4.3)
- min_max: from 0 to 1; values outside the range of the training rows are outside [0, 1], and are not cut off

Of a table, each column on its own, by scikit-learn. Of images, all pixels together: per-pixel statistics would blow up
the borders, which hardly ever vary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import row_blocks

Scaling = Literal["standard", "min_max"]


def table_scaler(scaling: Scaling) -> Any:
    """A transformer of scikit-learn's for (n, columns)."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler  # here, not above: workers never prepare

    # Either divides by 1 where a column does not vary, as when rounding alone gives it a deviation.
    return MinMaxScaler() if scaling == "min_max" else StandardScaler()


def fit_images(
    images: npt.NDArray[Any], train: npt.NDArray[np.int64], scaling: Scaling
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """The way from row numbers (n,) to scaled images (n, *shape), found on the rows `train`."""
    zero, unit = (_range if scaling == "min_max" else _mean_std)(images, train)

    def features(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        scaled = images[rows].astype(np.float32)
        scaled -= zero
        scaled /= unit
        return scaled

    return features


def _mean_std(images: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> tuple[np.float32, np.float32]:
    size = images[0].size
    total = sum(float(some.sum(dtype=np.float64)) for some in _blocks(images, train))
    mean = np.float32(total / (len(train) * size))
    centred = (some - mean for some in _blocks(images, train))
    squares = np.concatenate([np.einsum("np,np->n", some, some) for some in centred])  # sums per image
    return mean, np.float32(np.sqrt(squares.mean(dtype=np.float64) / size)) or np.float32(1)


def _range(images: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> tuple[np.float32, np.float32]:
    least = min(np.float32(some.min()) for some in _blocks(images, train))
    most = max(np.float32(some.max()) for some in _blocks(images, train))
    return least, (most - least) or np.float32(1)


def _blocks(images: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float32]]:
    """The training images as (rows, pixels), some rows at a time: all of them may be larger than memory."""
    size = images[0].size
    for some in row_blocks(len(train), 4 * size):
        yield images[train[some]].astype(np.float32).reshape(-1, size)
