"""Optuna's TPESampler, with an acquisition function that is weighted by the priors of a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import TPESampler


class PriorWeightedTPE(TPESampler):
    """Adds the log weights of a candidate's values to its acquisition value, which is a logarithm.

    Args:
        log_weights: By the name of a parameter, a function from a value in Optuna's internal representation to the
            logarithm of its weight.
        settings: The arguments of TPESampler.
    """

    def __init__(self, log_weights: Mapping[str, Callable[[float], float]], **settings: Any) -> None:
        super().__init__(**settings)
        self._log_weights = log_weights

    # A private method of Optuna, which may change; the tests of priors fail if it is no longer called.
    def _compute_acquisition_func(self, samples: dict[str, NDArray[Any]], *densities: Any) -> NDArray[np.float64]:
        acquisition = super()._compute_acquisition_func(samples, *densities)
        for name, internals in samples.items():
            if name in self._log_weights:
                acquisition = acquisition + [self._log_weights[name](internal) for internal in internals.tolist()]
        return acquisition
