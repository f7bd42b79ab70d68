"""Configs as points in the unit cube, for models, distances and importances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces.choices import Value
from archsearch.spaces.dependency_order import group_by_condition
from archsearch.spaces.errors import SpaceError
from archsearch.spaces.space import Config, Space


class Encoding:
    """Maps configs of a space to points in the unit cube, and back.

    There is one column for each free parameter, in the order of declaration; it holds the value's `to_unit`. Attribute
    `columns` names them.

    `decode(encode([config])[0])` returns the config. A continuous Float is restored up to a few ulps of its range (for
    `log`, of its logarithm), and an Int with more than about 2**44 values to one nearby; a condition whose threshold
    lies exactly there may then have another result.

    Args:
        space: The space of the configs.
        fill: What a column holds where the parameter is inactive. 0.5, the middle, is the least surprising value for a
            model that cannot represent missing values.

    Example:
        >>> from archsearch import Choice, Encoding, Float, Space
        >>> encoding = Encoding(Space(x=Float(0.0, 10.0), kind=Choice("a", "b")))
        >>> encoding.encode([{"x": 2.5, "kind": "b"}]).tolist()
        [[0.25, 0.75]]
        >>> encoding.decode([0.25, 0.75])
        {'x': 2.5, 'kind': 'b'}
    """

    def __init__(self, space: Space, fill: float = 0.5) -> None:
        self.space = space
        self.fill = fill
        self.columns = tuple(parameter.name for parameter in space.free)
        self._to_unit = [parameter.domain.to_unit for parameter in space.free]
        places = {name: column for column, name in enumerate(self.columns)}
        # Parameters that follow each other under one condition, which is evaluated once. A constant has no column.
        self._groups = [
            (holds, [(s.name, s.parameter.domain.from_unit, places.get(s.name)) for s in decisions])
            for holds, decisions in group_by_condition(space.decisions)
        ]

    def encode(self, configs: Iterable[Config]) -> NDArray[np.float64]:
        """Encodes configs.

        Args:
            configs: Configs of the space.

        Returns:
            An array of shape (configs, columns).
        """
        configs = list(configs)
        points = np.full((len(configs), len(self.columns)), self.fill)
        for column, (name, to_unit) in enumerate(zip(self.columns, self._to_unit, strict=True)):
            points[:, column] = [to_unit(c[name]) if name in c else self.fill for c in configs]
        return points

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> dict[str, Value]:
        """Decodes one point.

        Args:
            point: An array of shape (columns,). Numbers outside of [0, 1] are clipped.

        Returns:
            The config. Its values are in their domains and its conditions hold, but it may violate constraints: see
            `archsearch.spaces.repair`.

        Raises:
            SpaceError: The number of columns is wrong, or a number is NaN.
        """
        units = np.asarray(point, dtype=np.float64).tolist()
        if len(units) != len(self.columns):
            raise SpaceError(f"a point in this space must have {len(self.columns)} columns, got {len(units)}")
        config: dict[str, Value] = {}
        for holds, members in self._groups:
            if holds is None or holds(config):
                for name, from_unit, column in members:
                    unit = 0.5 if column is None else units[column]
                    config[name] = from_unit(unit if 0 <= unit <= 1 else _clipped(unit, name))
        return self.space.as_declared(config)


def _clipped(unit: float, name: str) -> float:
    if unit != unit:
        raise SpaceError(f"the point's column '{name}' is NaN; decode points without NaN")
    return min(max(unit, 0.0), 1.0)
