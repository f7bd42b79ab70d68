"""The log marginal likelihood of a Gaussian process and its gradient, several times faster than in scikit-learn.

scikit-learn builds the gradient of the kernel as one matrix per column and multiplies each with the same weights. Here
the weights come first, and the whole gradient is one product (Rasmussen & Williams 2006, equations 5.8 and 5.9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]
ValueAndGradient = Callable[[Array], tuple[float, Array]]

JITTER = 1e-10  # added to the diagonal, as in scikit-learn


def negative_log_likelihood(rows: Array, losses: Array) -> ValueAndGradient:
    """The negative log marginal likelihood and its gradient, as a function of the kernel's parameters.

    The kernel is amplitude x Matérn 5/2 with one length scale per column, plus white noise.

    Args:
        rows: The observed points, (points, columns).
        losses: The observed losses, (points,).

    Returns:
        A function of theta, the logarithms of (amplitude, length scales…, noise), (columns + 2,), that returns the
        value and the gradient, (columns + 2,).
    """
    points, columns = rows.shape
    squares = ((rows[:, None] - rows[None]) ** 2).reshape(points * points, columns)

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        amplitude, lengths, noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
        root = np.sqrt(5 * (squares @ lengths**-2.0)).reshape(points, points)
        decay = amplitude * np.exp(-root)
        covariance = (1 + root + root**2 / 3) * decay
        try:
            factor = cho_factor(covariance + (noise + JITTER) * np.eye(points), lower=True)
        except LinAlgError:  # not positive definite: these parameters are ruled out
            return np.inf, np.zeros_like(theta)
        solved = cho_solve(factor, losses)
        weights = cho_solve(factor, np.eye(points)) - np.outer(solved, solved)
        gradient = np.empty_like(theta)
        gradient[0] = (weights * covariance).sum() / 2
        gradient[1:-1] = (weights * (1 + root) * decay).ravel() @ squares * lengths**-2.0 * 5 / 6
        gradient[-1] = np.trace(weights) * noise / 2
        value = losses @ solved / 2 + np.log(np.diag(factor[0])).sum() + points / 2 * np.log(2 * np.pi)
        return float(value), gradient

    return value_and_gradient


def lbfgs_optimizer(
    objective: ValueAndGradient,
) -> Callable[[Any, Array, Sequence[tuple[float, float]]], tuple[Array, float]]:
    """An optimizer for scikit-learn that minimizes this function in place of the one that scikit-learn passes to it."""

    def optimizer(_: object, start: Array, bounds: Sequence[tuple[float, float]]) -> tuple[Array, float]:
        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return found.x, found.fun

    return optimizer
