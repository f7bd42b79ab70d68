"""How likely losses are under a Gaussian process, and the slope of that: what scikit-learn computes, some times faster.

scikit-learn builds the kernel's slope as one matrix a column and multiplies each with the same weights; here the
weights come first, and all slopes are one product (Rasmussen & Williams 2006, equations 5.8 and 5.9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]
Slope = Callable[[Array], tuple[float, Array]]

JITTER = 1e-10  # scikit-learn's, on the diagonal


def unlikeliness(rows: Array, losses: Array) -> Slope:
    """The negative log likelihood and its slope, as a function of the logarithms of (amplitude, lengths…, noise).

    The kernel is amplitude x Matérn 5/2 with a length scale per column of the rows, (points, columns), plus noise.
    """
    points, columns = rows.shape
    squares = ((rows[:, None] - rows[None]) ** 2).reshape(points * points, columns)

    def of(theta: Array) -> tuple[float, Array]:
        amplitude, lengths, noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
        root = np.sqrt(5 * (squares @ lengths**-2.0)).reshape(points, points)
        decay = amplitude * np.exp(-root)
        covariance = (1 + root + root**2 / 3) * decay
        try:
            factor = cho_factor(covariance + (noise + JITTER) * np.eye(points), lower=True)
        except LinAlgError:  # such parameters explain nothing
            return np.inf, np.zeros_like(theta)
        solved = cho_solve(factor, losses)
        weights = cho_solve(factor, np.eye(points)) - np.outer(solved, solved)
        slope = np.empty_like(theta)
        slope[0] = (weights * covariance).sum() / 2
        slope[1:-1] = (weights * (1 + root) * decay).ravel() @ squares * lengths**-2.0 * 5 / 6
        slope[-1] = np.trace(weights) * noise / 2
        fit = losses @ solved / 2 + np.log(np.diag(factor[0])).sum() + points / 2 * np.log(2 * np.pi)
        return float(fit), slope

    return of


def likeliest(of: Slope) -> Callable[[Any, Array, Sequence[tuple[float, float]]], tuple[Array, float]]:
    """An optimizer as scikit-learn wants it, which does not ask scikit-learn's own function."""

    def optimizer(_: object, start: Array, bounds: Sequence[tuple[float, float]]) -> tuple[Array, float]:
        found = minimize(of, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return found.x, found.fun

    return optimizer
