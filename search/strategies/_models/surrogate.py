"""The Gaussian process of Bayes; the only file that imports scikit-optimize.

Built as scikit-optimize's own `cook_estimator("GP")` builds it (amplitude x Matérn 5/2 with a length scale per column,
plus white noise), but on losses scaled to mean 0 and deviation 1: its acquisition functions take `xi = 0.01` in the
units of the loss, which means nothing until these are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skopt.acquisition import gaussian_ei
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

from archsearch.search.strategies._models.likelihood import JITTER, likeliest, unlikeliness
from archsearch.search.strategies._shared.observations import cut

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A fitted process. `best` is the lowest loss that it expects at a point it knows, so that noise does not count
    as progress.
    """

    rows: Array  # (points, columns)
    losses: Array  # (points,), scaled
    best: float
    kernel: Any
    noise: float
    process: Any

    @classmethod
    def fit(cls, rows: Array, losses: Sequence[float], seed: int) -> Surrogate:
        """Finds the kernel's parameters by maximum likelihood, from one start of our own and one drawn from `seed`."""
        scaled = _scaled(losses)
        columns = rows.shape[1]
        shape = Matern(length_scale=np.ones(columns), length_scale_bounds=[(0.01, 100)] * columns, nu=2.5)
        process = GaussianProcessRegressor(
            kernel=ConstantKernel(1.0, (0.01, 1000.0)) * shape,
            noise="gaussian",
            optimizer=likeliest(unlikeliness(rows, scaled)),
            n_restarts_optimizer=1,
            random_state=seed % 2**32,
        )
        process.fit(rows, scaled)
        best = float(np.min(process.predict(rows)))
        # kernel_ is the sum of what was given and the noise, which scikit-optimize has moved to noise_.
        return cls(rows, scaled, best, process.kernel_.k1, float(process.noise_), process)

    def believing(self, rows: Array) -> Surrogate:
        """The process that has seen its own expectation come true at these points, under the same kernel."""
        if not len(rows):
            return self
        expected = np.asarray(self.process.predict(rows))
        all_rows, all_losses = np.vstack([self.rows, rows]), np.concatenate([self.losses, expected])
        process = GaussianProcessRegressor(kernel=self.kernel, alpha=self.noise + JITTER, optimizer=None)
        process.fit(all_rows, all_losses)
        return Surrogate(all_rows, all_losses, min(self.best, expected.min()), self.kernel, self.noise, process)

    def improvement(self, rows: Array) -> Array:
        """Expected improvement over the best at each row, in deviations of the loss. Never negative."""
        return np.asarray(gaussian_ei(rows, self.process, y_opt=self.best), dtype=np.float64)


def _scaled(losses: Sequence[float]) -> Array:
    """Mean 0, deviation 1, after losses far above the median were cut."""
    tamed = cut(losses)
    return np.asarray((tamed - tamed.mean()) / (tamed.std() or 1.0))
