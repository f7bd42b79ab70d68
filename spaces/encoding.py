"""Configs as points of the unit cube, for whatever works with numbers: models, distances, importances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces.choices import Value
from archsearch.spaces.dependency_order import group_by_condition
from archsearch.spaces.errors import SpaceError
from archsearch.spaces.space import Config, Space


class Encoding:
    """A column for each free parameter of the space, in the order of declaration: its value's place in [0, 1].

    fill: what stands where a parameter is not active.

    `decode(encode([config])[0])` is the config again. A continuous Float comes back to the last few ulps of its range
    (where it is log, of its logarithm), and an Int of more than some 2**44 values nearby; a condition that changes just
    there may then decide otherwise.
    """

    def __init__(self, space: Space, fill: float = 0.5) -> None:
        self.space = space
        self.fill = fill
        self.columns = tuple(parameter.name for parameter in space.free)
        self._to_unit = [parameter.domain.to_unit for parameter in space.free]
        places = {name: column for column, name in enumerate(self.columns)}
        # What is decided one after the other under one condition; a constant has no column.
        self._groups = [
            (holds, [(s.name, s.parameter.domain.from_unit, places.get(s.name)) for s in steps])
            for holds, steps in group_by_condition(space.steps)
        ]

    def encode(self, configs: Iterable[Config]) -> NDArray[np.float64]:
        """(configs, columns)"""
        configs = list(configs)
        points = np.full((len(configs), len(self.columns)), self.fill)
        for column, (name, to_unit) in enumerate(zip(self.columns, self._to_unit, strict=True)):
            points[:, column] = [to_unit(c[name]) if name in c else self.fill for c in configs]
        return points

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """The config at a point of (columns,); what lies outside of [0, 1] counts as the nearest end.

        Domains and conditions hold by construction, constraints may not: see `repair`. SpaceError for another number
        of columns, or one that is NaN.
        """
        units = np.asarray(point, dtype=np.float64).tolist()
        if len(units) != len(self.columns):
            raise SpaceError(f"a point of this space has {len(self.columns)} columns, got {len(units)}")
        config: dict[str, Value] = {}
        for holds, members in self._groups:
            if holds is None or holds(config):
                for name, from_unit, column in members:
                    unit = 0.5 if column is None else units[column]
                    config[name] = from_unit(unit if 0 <= unit <= 1 else _clipped(unit, name))
        return self.space.as_declared(config)


def _clipped(unit: float, name: str) -> float:
    if unit != unit:
        raise SpaceError(f"a point's place of '{name}' is NaN; decode only points whose places are numbers")
    return min(max(unit, 0.0), 1.0)
