"""Moves from config to config, of which local search and evolution are made. Whatever they return is legal.

A move keeps to domains and conditions by construction: it walks the space, and samples what becomes active. Where a
constraint is broken it is tried again, and after a hundred times a config that was given comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.domains import Domain, Float
from archsearch.spaces.encoding import Encoding
from archsearch.spaces.flattening import Parameter
from archsearch.spaces.space import Config, Space

_TRIES = 100
_NEAR, _ANYWHERE = 200, 20  # how many neighbours and samples `repair` chooses from


def neighbour(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """A config near this one: numbers moved by a step of random width, now and then another choice."""
    made = _legal(space, lambda: _moved(space, config, rng))
    return dict(config) if made is None else made


def mutate(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """This config with one parameter changed, and what that makes active sampled.

    Where no such config was found legal, a neighbour; where none of those was either, this config.
    """
    names = [parameter.name for parameter in space.free if parameter.name in config]
    if not names:
        return dict(config)

    def mutated() -> dict[str, Value]:
        changed = names[rng.integers(len(names))]

        def choose(parameter: Parameter) -> Value:
            if parameter.name not in config:
                return parameter.domain.sample(rng)
            value = config[parameter.name]
            return _another(parameter.domain, value, rng) if parameter.name == changed else value

        return space.walk(choose)

    made = _legal(space, mutated)
    if made is None:
        made = _legal(space, lambda: _moved(space, config, rng), unlike=config)
    return dict(config) if made is None else made


def crossover(space: Space, mother: Config, father: Config, rng: np.random.Generator) -> dict[str, Value]:
    """A config with each value from either parent, and sampled where neither has one; if need be, a parent."""

    def choose(parameter: Parameter) -> Value:
        values = [parent[parameter.name] for parent in (mother, father) if parameter.name in parent]
        return values[rng.integers(len(values))] if values else parameter.domain.sample(rng)

    made = _legal(space, lambda: space.walk(choose))
    return dict((mother, father)[rng.integers(2)]) if made is None else made


def repair(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """The nearest legal config that is found; of a legal config, itself.

    Values outside their domain move to the nearest in it, and what is missing is sampled. If that breaks a constraint,
    the nearest is sought among neighbours and samples, and takes back each value that it need not have given up.
    """
    if space.legal(config):
        return dict(config)

    def drawn(domain: Domain) -> Value:
        return domain.sample(rng)

    start = space.walk(partial(nearest, config=config, otherwise=drawn))
    if not space.violated(start):
        return start
    near = (_moved(space, start, rng) for _ in range(_NEAR))
    found = [made for made in near if not space.violated(made)] + [space.sample(rng) for _ in range(_ANYWHERE)]
    distances = _distances_from(space, start)
    best = found[int(np.argmin(distances(found)))]
    names = list(start)
    for place in rng.permutation(len(names)):
        taken_back = {**start, **best, names[place]: start[names[place]]}
        nearer = space.walk(partial(nearest, config=taken_back, otherwise=drawn))
        if not space.violated(nearer) and np.diff(distances([best, nearer])) < 0:
            best = nearer
    return best


def _legal(space: Space, make: Callable[[], dict[str, Value]], unlike: Config | None = None) -> dict[str, Value] | None:
    """The first of a hundred that is legal."""
    tries = (make() for _ in range(_TRIES))
    return next((made for made in tries if made != unlike and not space.violated(made)), None)


def _width(rng: np.random.Generator) -> float:
    """How far to step: from a hundredth of the range, to settle a rate's last digits, to a fifth, to leave a corner."""
    return 0.01 * 20 ** rng.random()


def _moved(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """A neighbour that may break a constraint."""
    width = _width(rng)

    def choose(parameter: Parameter) -> Value:
        domain = parameter.domain
        if parameter.name not in config:
            return domain.sample(rng)
        value = config[parameter.name]
        if isinstance(domain, Choice) and not domain.ordered:
            return domain.sample(rng) if rng.random() < 0.2 else value
        return value if rng.random() < 0.5 else _stepped(domain, value, width, rng)

    return space.walk(choose)


def _stepped(domain: Domain, value: Value, width: float, rng: np.random.Generator) -> Value:
    step = max(width, 1 / domain.size()) * rng.standard_normal()
    return domain.from_unit(min(max(domain.to_unit(value) + step, 0.0), 1.0))


def _another(domain: Domain, value: Value, rng: np.random.Generator) -> Value:
    """Another value of the domain: of an unordered choice any, else one nearby."""
    if isinstance(domain, Choice) and not domain.ordered:
        place = rng.integers(len(domain.values) - 1)
        return domain.values[place + (place >= domain.index(value))]
    here, width = domain.to_unit(value), _width(rng)
    for _ in range(_TRIES):  # more than enough, unless floats cannot tell the domain's ends apart
        other = _stepped(domain, value, width, rng)
        if domain.to_unit(other) != here:
            return other
        width *= 2
    return value


def nearest(parameter: Parameter, config: Config, otherwise: Callable[[Domain], Value]) -> Value:
    """The config's value, or the one of the domain that is nearest to it; `otherwise` where nothing is near: where it
    has none, or one that is no number among numbers.
    """
    domain = parameter.domain
    value: Any = config.get(parameter.name)
    if parameter.name in config and value in domain:
        return config[parameter.name]
    if not _is_number(value) or math.isnan(value):
        return otherwise(domain)
    if isinstance(domain, Choice):
        numbers: Any = domain.values
        return min(numbers, key=lambda each: abs(each - value)) if all(map(_is_number, numbers)) else otherwise(domain)
    clipped = min(max(value, domain.low), domain.high)
    continuous = isinstance(domain, Float) and domain.step is None
    return float(clipped) if continuous else domain.from_unit(domain.to_unit(clipped))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _distances_from(space: Space, config: Config) -> Callable[[list[dict[str, Value]]], NDArray[np.float64]]:
    """How far each config is from this one: two values of an unordered choice are as far apart as a domain's ends."""
    encoding = Encoding(space, fill=-1.0)
    unordered = np.array([isinstance(p.domain, Choice) and not p.domain.ordered for p in space.free], dtype=bool)
    here = encoding.encode([config])

    def distances(configs: list[dict[str, Value]]) -> NDArray[np.float64]:
        apart = np.minimum(np.abs(encoding.encode(configs) - here), 1.0)  # (configs, columns)
        apart[:, unordered] = apart[:, unordered] > 0
        return (apart**2).sum(axis=1)  # type: ignore[no-any-return]  # a sum along an axis is an array

    return distances
