"""Fewer inputs: the samples in a few dimensions, found on the training part, as a choice of the recipe.

- pca: their principal components (Pearson, 1901; scikit-learn's PCA)
- lle: a locally linear embedding, in which each sample is made of its neighbours as it was before (Roweis and Saul,
  2000, "Nonlinear dimensionality reduction by locally linear embedding"; scikit-learn's, with its 5 neighbours). It is
  fitted on at most 2,000 samples, since its time grows with their square, and extended to all others.

The result is scaled to a deviation of 1 over all dimensions together, so that the larger ones stay larger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.search.training.data import Part, Prepared
from archsearch.spaces.inputs import Inputs

REDUCTIONS = ("lle", "none", "pca")
LLE_SAMPLES = 2000


def reduced(prepared: Prepared, kind: str, dimension: int) -> Prepared:
    """The data with inputs (n, dimension); "none" leaves it as it is. The same data gives the same numbers."""
    if kind == "none":
        return prepared
    train = _flat(prepared.train)
    fitted = _pca(train, dimension) if kind == "pca" else _lle(train, dimension)
    scale = fitted.transform(train).std() or 1.0

    def part(of: Part) -> Part:
        return Part(np.ascontiguousarray(fitted.transform(_flat(of)) / scale, dtype=np.float32), of.targets)

    return replace(prepared, train=part(prepared.train), validation=part(prepared.validation), feature_names=())


def reduced_inputs(inputs: Inputs, kind: str, dimension: int) -> Inputs:
    """What one sample then looks like."""
    return inputs if kind == "none" else Inputs((dimension,))


def _flat(part: Part) -> NDArray[np.float64]:
    return part.inputs.reshape(len(part), -1).astype(np.float64)


def _pca(train: NDArray[np.float64], dimension: int) -> Any:
    from sklearn.decomposition import PCA  # here, not above: it loads slowly, and few studies need it

    return PCA(n_components=dimension, random_state=0).fit(train)


def _lle(train: NDArray[np.float64], dimension: int) -> Any:
    from sklearn.manifold import LocallyLinearEmbedding  # as above

    if len(train) > LLE_SAMPLES:
        train = train[np.sort(np.random.default_rng(0).choice(len(train), LLE_SAMPLES, replace=False))]
    return LocallyLinearEmbedding(n_components=dimension, random_state=0).fit(train)
