"""Encoding of configurations for a Gaussian process: similar configurations have nearby rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces import Choice, Config, Domain, Space, Value


class GPEncoding:
    """Encodes the configurations of one space as rows of numbers in [0, 1].

    Each free parameter has one column, its position in the unit interval. An unordered choice has one column per value,
    0 or 0.71, so that any two of its values are at distance 1. An inactive parameter is encoded as the middle of its
    domain (for an unordered choice: equal weight on all values). Two configurations are equal if and only if their rows
    are, since the encoded values determine which parameters are active.

    Args:
        space: The space of the configurations.
    """

    def __init__(self, space: Space) -> None:
        self._free = space.free
        self._inactive = [_columns_of(p.domain, None) for p in self._free]

    def encode(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """Return one row per configuration, (configs, columns)."""
        rows = [
            [
                number
                for parameter, inactive in zip(self._free, self._inactive, strict=True)
                for number in (
                    _columns_of(parameter.domain, (config[parameter.name],)) if parameter.name in config else inactive
                )
            ]
            for config in configs
        ]
        return np.array(rows, dtype=np.float64).reshape(len(rows), sum(map(len, self._inactive)))


def _columns_of(domain: Domain, active: tuple[Value] | None) -> list[float]:
    """The columns of one value. It is given as a tuple because None may be a value; None means inactive."""
    if isinstance(domain, Choice) and not domain.ordered:
        size = len(domain.values)
        if active is None:
            return [0.5**0.5 / size] * size
        columns = [0.0] * size
        columns[domain.index(active[0])] = 0.5**0.5
        return columns
    return [0.5 if active is None else domain.to_unit(active[0])]
