"""Optuna's TPESampler, leant by what else is known of a value: the priors of a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import TPESampler


class PriorWeightedTPE(TPESampler):
    """Adds to what a candidate promises, which is a logarithm, those of the factors of its values.

    factors: for a parameter's name, the logarithm of the factor of a value as Optuna stores it.
    """

    def __init__(self, factors: Mapping[str, Callable[[float], float]], **settings: Any) -> None:
        super().__init__(**settings)
        self._factors = factors

    # Optuna's own, and no promise of it; the tests of priors fail where it is no longer called.
    def _compute_acquisition_func(self, samples: dict[str, NDArray[Any]], *densities: Any) -> NDArray[np.float64]:
        promise = super()._compute_acquisition_func(samples, *densities)
        for name, internals in samples.items():
            if name in self._factors:
                promise = promise + [self._factors[name](internal) for internal in internals.tolist()]
        return promise
