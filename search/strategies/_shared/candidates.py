"""Configs as rows of numbers for a Gaussian process: the nearer two rows are, the more alike are the configs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces import Choice, Config, Domain, Space, Value


class Rows:
    """Encodes configs of one space: a column per free parameter, its place in the unit interval.

    An unordered choice takes a column per value, 0 or 0.71, so that any two values are at distance 1. An inactive
    parameter stands at its domain's middle (an unordered choice: evenly on all values). Two configs are equal exactly
    when their rows are: what is active follows from what is encoded.
    """

    def __init__(self, space: Space) -> None:
        self._free = space.free
        self._middles = [_encoded(p.domain, None) for p in self._free]

    def of(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """(configs, columns)"""
        rows = [
            [
                number
                for parameter, middle in zip(self._free, self._middles, strict=True)
                for number in (
                    _encoded(parameter.domain, (config[parameter.name],)) if parameter.name in config else middle
                )
            ]
            for config in configs
        ]
        return np.array(rows, dtype=np.float64).reshape(len(rows), sum(map(len, self._middles)))


def _encoded(domain: Domain, held: tuple[Value] | None) -> list[float]:
    """`held` is the value, in a tuple because None is a value; None: inactive."""
    if isinstance(domain, Choice) and not domain.ordered:
        size = len(domain.values)
        if held is None:
            return [0.5**0.5 / size] * size
        columns = [0.0] * size
        columns[domain.index(held[0])] = 0.5**0.5
        return columns
    return [0.5 if held is None else domain.to_unit(held[0])]
