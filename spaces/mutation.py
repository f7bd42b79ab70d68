"""Mutation, crossover, neighbours and repair of configs, for local search and evolution. Every result is legal.

Domains and conditions hold by construction: new configs are made by `Space.walk`, which samples parameters that become
active. A result that violates a constraint is discarded and drawn again; after a hundred attempts, the config that was
given is returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces.argument_checks import generator
from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.domains import Domain, Float
from archsearch.spaces.encoding import Encoding
from archsearch.spaces.flattening import Parameter
from archsearch.spaces.space import Config, Space

_ATTEMPTS = 100
_NEIGHBOURS, _SAMPLES = 200, 20  # among which `repair` looks for the nearest legal config


def neighbour(space: Space, config: Config, rng: np.random.Generator | int) -> dict[str, Value]:
    """A config near this one: about half of the numbers move by a random distance, and some choices change.

    Args:
        space: The space of the config.
        config: A legal config.
        rng: The source of randomness: a NumPy generator, or the seed of a new one.

    Returns:
        A legal config; the given one if no legal neighbour is found.
    """
    rng = generator(rng)
    made = _legal(space, lambda: _neighbour(space, config, rng))
    return dict(config) if made is None else made


def mutate(space: Space, config: Config, rng: np.random.Generator | int) -> dict[str, Value]:
    """Changes one parameter at random, and samples the parameters that become active by it.

    Args:
        space: The space of the config.
        config: A legal config.
        rng: The source of randomness: a NumPy generator, or the seed of a new one.

    Returns:
        A legal config. If no single change is legal, a neighbour; if no neighbour is legal either, the given config.
    """
    rng = generator(rng)
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
        made = _legal(space, lambda: _neighbour(space, config, rng), unlike=config)
    return dict(config) if made is None else made


def crossover(space: Space, mother: Config, father: Config, rng: np.random.Generator | int) -> dict[str, Value]:
    """Takes each value from one of the parents at random, and samples it if neither has one (uniform crossover).

    Args:
        space: The space of the configs.
        mother: A legal config.
        father: A legal config.
        rng: The source of randomness: a NumPy generator, or the seed of a new one.

    Returns:
        A legal config; one of the parents if no legal combination is found.
    """
    rng = generator(rng)

    def choose(parameter: Parameter) -> Value:
        values = [parent[parameter.name] for parent in (mother, father) if parameter.name in parent]
        return values[rng.integers(len(values))] if values else parameter.domain.sample(rng)

    made = _legal(space, lambda: space.walk(choose))
    return dict((mother, father)[rng.integers(2)]) if made is None else made


def repair(space: Space, config: Config, rng: np.random.Generator | int) -> dict[str, Value]:
    """Finds a legal config near this one.

    Values outside of their domain move to the nearest value in it, and missing values are sampled. If the result
    violates a constraint, the nearest legal config among neighbours and random samples is taken, and each of its values
    is set back to the original one where that stays legal.

    Args:
        space: The space of the result.
        config: Any config. A legal one is returned as it is.
        rng: The source of randomness: a NumPy generator, or the seed of a new one.

    Raises:
        SpaceError: The space has hardly any legal config.
    """
    rng = generator(rng)
    if space.legal(config):
        return dict(config)

    def drawn(domain: Domain) -> Value:
        return domain.sample(rng)

    closest = space.walk(partial(nearest, config=config, otherwise=drawn))
    if not space.violated(closest):
        return closest
    neighbours = (_neighbour(space, closest, rng) for _ in range(_NEIGHBOURS))
    legal = [made for made in neighbours if not space.violated(made)] + [space.sample(rng) for _ in range(_SAMPLES)]
    distances = _distances_from(space, closest)
    best = legal[int(np.argmin(distances(legal)))]
    names = list(closest)
    for index in rng.permutation(len(names)):
        restored = {**closest, **best, names[index]: closest[names[index]]}
        nearer = space.walk(partial(nearest, config=restored, otherwise=drawn))
        if not space.violated(nearer) and np.diff(distances([best, nearer])) < 0:
            best = nearer
    return best


def _legal(space: Space, make: Callable[[], dict[str, Value]], unlike: Config | None = None) -> dict[str, Value] | None:
    """The first of a hundred configs that is legal, if any."""
    attempts = (make() for _ in range(_ATTEMPTS))
    return next((made for made in attempts if made != unlike and not space.violated(made)), None)


def _width(rng: np.random.Generator) -> float:
    """How far to move: from 1 % of the range, to refine a learning rate, to 20 %, to leave a local optimum."""
    return 0.01 * 20 ** rng.random()


def _neighbour(space: Space, config: Config, rng: np.random.Generator) -> dict[str, Value]:
    """A neighbour that may violate a constraint."""
    width = _width(rng)

    def choose(parameter: Parameter) -> Value:
        domain = parameter.domain
        if parameter.name not in config:
            return domain.sample(rng)
        value = config[parameter.name]
        if isinstance(domain, Choice) and not domain.ordered:
            return domain.sample(rng) if rng.random() < 0.2 else value
        return value if rng.random() < 0.5 else _moved(domain, value, width, rng)

    return space.walk(choose)


def _moved(domain: Domain, value: Value, width: float, rng: np.random.Generator) -> Value:
    distance = max(width, 1 / domain.size()) * rng.standard_normal()
    return domain.from_unit(min(max(domain.to_unit(value) + distance, 0.0), 1.0))


def _another(domain: Domain, value: Value, rng: np.random.Generator) -> Value:
    """Another value of the domain: any value of an unordered choice, else one nearby."""
    if isinstance(domain, Choice) and not domain.ordered:
        index = rng.integers(len(domain.values) - 1)
        return domain.values[index + (index >= domain.index(value))]
    here, width = domain.to_unit(value), _width(rng)
    for _ in range(_ATTEMPTS):  # enough, unless floats cannot distinguish the ends of the domain
        other = _moved(domain, value, width, rng)
        if domain.to_unit(other) != here:
            return other
        width *= 2
    return value


def nearest(parameter: Parameter, config: Config, otherwise: Callable[[Domain], Value]) -> Value:
    """The value of the parameter's domain that is nearest to the config's value.

    `otherwise(domain)` where there is no nearest value: the config has none, or one that is not a number or is to be
    compared with values that are not numbers.
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
    """Squared distances to this config in the unit cube; different values of an unordered choice have distance 1."""
    encoding = Encoding(space, fill=-1.0)
    unordered = np.array([isinstance(p.domain, Choice) and not p.domain.ordered for p in space.free], dtype=bool)
    here = encoding.encode([config])

    def distances(configs: list[dict[str, Value]]) -> NDArray[np.float64]:
        apart = np.minimum(np.abs(encoding.encode(configs) - here), 1.0)  # (configs, columns)
        apart[:, unordered] = apart[:, unordered] > 0
        return (apart**2).sum(axis=1)  # type: ignore[no-any-return]  # a sum along an axis is an array

    return distances
