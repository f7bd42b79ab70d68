"""The Gaussian process of Bayes; the only file that imports scikit-optimize.

It is built like `cook_estimator("GP")` of scikit-optimize (amplitude x Matérn 5/2 with one length scale per column,
plus white noise), but on losses standardized to mean 0 and standard deviation 1: the acquisition functions of
scikit-optimize use `xi = 0.01` in units of the loss, which is only meaningful on a known scale.
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

from archsearch.search.strategies._models.likelihood import JITTER, lbfgs_optimizer, negative_log_likelihood
from archsearch.search.strategies._shared.observations import clip_outliers

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A fitted Gaussian process.

    Args:
        rows: The observed points, (points, columns).
        losses: The standardized losses, (points,).
        best: The lowest predicted loss of an observed point; predicted, so that noise does not count as an improvement.
        kernel: The fitted kernel without its noise.
        noise: The fitted variance of the noise.
        process: The process of scikit-optimize.
    """

    rows: Array
    losses: Array
    best: float
    kernel: Any
    noise: float
    process: Any

    @classmethod
    def fit(cls, rows: Array, losses: Sequence[float], seed: int) -> Surrogate:
        """Fit the kernel by maximum likelihood, from a fixed starting point and a random one.

        Args:
            rows: The observed points, (points, columns).
            losses: Their losses, (points,).
            seed: The seed of the random starting point.
        """
        scaled = _standardized(losses)
        columns = rows.shape[1]
        shape = Matern(length_scale=np.ones(columns), length_scale_bounds=[(0.01, 100)] * columns, nu=2.5)
        process = GaussianProcessRegressor(
            kernel=ConstantKernel(1.0, (0.01, 1000.0)) * shape,
            noise="gaussian",
            optimizer=lbfgs_optimizer(negative_log_likelihood(rows, scaled)),
            n_restarts_optimizer=1,
            random_state=seed % 2**32,
        )
        process.fit(rows, scaled)
        best = float(np.min(process.predict(rows)))
        # kernel_ is the sum of the given kernel and the noise, which scikit-optimize has moved to noise_.
        return cls(rows, scaled, best, process.kernel_.k1, float(process.noise_), process)

    def condition_on_predictions(self, rows: Array) -> Surrogate:
        """Add these points with their predicted losses as observations ("kriging believer"), under the same kernel."""
        if not len(rows):
            return self
        predicted = np.asarray(self.process.predict(rows))
        all_rows, all_losses = np.vstack([self.rows, rows]), np.concatenate([self.losses, predicted])
        process = GaussianProcessRegressor(kernel=self.kernel, alpha=self.noise + JITTER, optimizer=None)
        process.fit(all_rows, all_losses)
        return Surrogate(all_rows, all_losses, min(self.best, predicted.min()), self.kernel, self.noise, process)

    def expected_improvement(self, rows: Array) -> Array:
        """The expected improvement over `best` at each point, (points,), in standard deviations of the loss."""
        return np.asarray(gaussian_ei(rows, self.process, y_opt=self.best), dtype=np.float64)


def _standardized(losses: Sequence[float]) -> Array:
    """The losses with mean 0 and standard deviation 1, after outliers were clipped."""
    clipped = clip_outliers(losses)
    return np.asarray((clipped - clipped.mean()) / (clipped.std() or 1.0))
