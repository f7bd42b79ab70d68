"""Configs as rows of numbers for a model, and the candidates among which a model's favourite is sought."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spaces import Choice, Config, Domain, Float, Int, Parameter, Space, Value


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


def every_config(space: Space) -> list[Config]:
    """All configs of a space whose size is finite."""
    found: dict[str, Config] = {}  # by text: True is not 1
    for values in product(*(_values(p.domain) for p in space.parameters)):
        config = _active(space, dict(zip(space, values, strict=True)))
        found.setdefault(repr(config), config)
    return list(found.values())


def neighbour(space: Space, config: Config, rng: np.random.Generator) -> Config:
    """A config near this one: numbers moved by a step of random width, now and then another choice."""
    # From a hundredth of the range to a fifth: to settle a rate's last digits, and to leave a poor corner.
    width = 0.01 * 20 ** rng.random()

    def choose(parameter: Parameter) -> Value:
        domain = parameter.domain
        if parameter.name not in config:
            return domain.sample(rng)
        value = config[parameter.name]
        if isinstance(domain, Choice) and not domain.ordered:
            return domain.sample(rng) if rng.random() < 0.2 else value
        if rng.random() < 0.5:
            return value
        step = max(width, 1 / domain.size()) * rng.standard_normal()
        return domain.from_unit(min(max(domain.to_unit(value) + step, 0.0), 1.0))

    return space.walk(choose)


def _active(space: Space, values: Config) -> Config:
    return space.walk(lambda parameter: values[parameter.name])


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


def _values(domain: Domain) -> Sequence[Value]:
    match domain:
        case Choice():
            return domain.values
        case Int():
            return range(domain.low, domain.high + 1, domain.step)
        case Float():
            size = int(domain.size())
            return [domain.from_unit((index + 0.5) / size) for index in range(size)]
