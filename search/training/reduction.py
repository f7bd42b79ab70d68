"""Dimensionality reduction of the inputs, fitted on the training data, as a technique of the recipe.

- pca: principal component analysis (Pearson, 1901; scikit-learn's PCA)
- lle: locally linear embedding, which preserves the weights that reconstruct each sample from its neighbors (Roweis and
  Saul, 2000, "Nonlinear dimensionality reduction by locally linear embedding"; scikit-learn's, with its default of 5
  neighbors). It is fitted on at most 2,000 samples, because its time grows with their square, and applied to the rest.

The result is divided by its standard deviation over all dimensions together, which keeps their relative scale.
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
LLE_NEIGHBORS = 5


def reduced(prepared: Prepared, kind: str, dimension: int) -> Prepared:
    """Reduce the inputs of the data. Deterministic: the same data gives the same result.

    Args:
        prepared: The data.
        kind: A name in REDUCTIONS; "none" returns the data unchanged.
        dimension: The number of dimensions of the result.

    Returns:
        The data with inputs (n, dimension).
    """
    if kind == "none":
        return prepared
    train = _flat(prepared.train)
    fitted = _pca(train, dimension) if kind == "pca" else _lle(train, dimension)
    scale = fitted.transform(train).std() or 1.0

    def part(of: Part) -> Part:
        return Part(np.ascontiguousarray(fitted.transform(_flat(of)) / scale, dtype=np.float32), of.targets)

    return replace(prepared, train=part(prepared.train), validation=part(prepared.validation), feature_names=())


def reduced_inputs(inputs: Inputs, kind: str, dimension: int) -> Inputs:
    """The description of the inputs after the reduction."""
    return inputs if kind == "none" else Inputs((dimension,))


def _flat(part: Part) -> NDArray[np.float64]:
    return part.inputs.reshape(len(part), -1).astype(np.float64)


def _pca(train: NDArray[np.float64], dimension: int) -> Any:
    from sklearn.decomposition import PCA  # imported here because it is slow to load, and few studies need it

    return PCA(n_components=dimension, random_state=0).fit(train)


def _lle(train: NDArray[np.float64], dimension: int) -> Any:
    from sklearn.manifold import LocallyLinearEmbedding  # as above

    if len(train) > LLE_SAMPLES:
        train = train[np.sort(np.random.default_rng(0).choice(len(train), LLE_SAMPLES, replace=False))]
    return LocallyLinearEmbedding(n_neighbors=LLE_NEIGHBORS, n_components=dimension, random_state=0).fit(train)
