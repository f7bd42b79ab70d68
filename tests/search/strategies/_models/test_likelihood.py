"""The likelihood is scikit-learn's, and so is its slope."""

from __future__ import annotations

import numpy as np
import pytest
from skopt.learning import GaussianProcessRegressor
from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

from archsearch.search.strategies._models.likelihood import negative_log_likelihood


@pytest.mark.parametrize("seed", range(3))
def test_it_is_scikit_learn_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, losses = rng.random((30, 4)), rng.standard_normal(30)
    rows[1] = rows[0]  # what was tried twice is no trouble
    kernel = ConstantKernel(1.0) * Matern(np.ones(4), nu=2.5)
    process = GaussianProcessRegressor(kernel=kernel, noise="gaussian", optimizer=None).fit(rows, losses)
    theta = rng.uniform(-2, 2, 6)
    theirs, their_slope = process.log_marginal_likelihood(theta, eval_gradient=True)
    ours, our_slope = negative_log_likelihood(rows, losses)(theta)
    assert ours == pytest.approx(-theirs)
    np.testing.assert_allclose(our_slope, -their_slope, rtol=1e-6, atol=1e-8)


def test_parameters_under_which_nothing_can_be_computed_are_no_solution() -> None:
    of = negative_log_likelihood(np.zeros((3, 1)), np.array([1.0, -1.0, 0.0]))
    value, slope = of(np.array([60.0, 0.0, -60.0]))  # three times one point, and noise that is lost in rounding
    assert value == np.inf
    assert not slope.any()
