"""Scales numbers so that networks train well on them, with statistics of the training rows.

- standard: mean 0 and standard deviation 1 (LeCun et al., 1998, "Efficient backprop", section 4.3)
- min_max: the range of the training rows becomes [0, 1]; values of other rows may lie outside, and are not clipped

In a table each column is scaled independently, by scikit-learn. In images all pixels share one mean and deviation:
statistics per pixel would amplify noise at the borders, which hardly vary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import row_blocks

Scaling = Literal["standard", "min_max"]


def table_scaler(scaling: Scaling) -> Any:
    """A scikit-learn transformer for (n, columns)."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler  # late: workers never prepare data

    # Both divide by 1 where a column is constant up to rounding.
    return MinMaxScaler() if scaling == "min_max" else StandardScaler()


def fit_images(
    images: npt.NDArray[Any], train: npt.NDArray[np.int64], scaling: Scaling
) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]:
    """A function from row numbers (n,) to scaled images (n, *shape), fitted on the rows `train`."""
    shift, scale = (_range if scaling == "min_max" else _mean_std)(images, train)

    def features(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        scaled = images[rows].astype(np.float32)
        scaled -= shift
        scaled /= scale
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
    low = min(np.float32(some.min()) for some in _blocks(images, train))
    high = max(np.float32(some.max()) for some in _blocks(images, train))
    return low, (high - low) or np.float32(1)


def _blocks(images: npt.NDArray[Any], train: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float32]]:
    """The training images as (rows, pixels), some rows at a time, since all may be larger than memory."""
    size = images[0].size
    for some in row_blocks(len(train), 4 * size):
        yield images[train[some]].astype(np.float32).reshape(-1, size)
