"""A child of one or two parents: what the evolutionary strategies share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.spaces import Config, Space, crossover, mutate

_TRIES = 100  # mutations of mutations, until a child is new
_SIBLINGS = 10  # among how many children the space's priors choose


def children(
    weighting: PriorWeighting, mother: Config, father: Config | None, rng: np.random.Generator
) -> Iterator[Config]:
    """A child, which differs from what its parents have in one parameter, and what further mutations make of it.

    Where the space has priors, the child is chosen among some by them.
    """
    child = _child(weighting.space, mother, father, rng)
    if weighting:
        siblings = [_child(weighting.space, mother, father, rng) for _ in range(_SIBLINGS - 1)]
        child = weighting.choose([child, *siblings], rng)
    for _ in range(_TRIES):
        yield child
        child = mutate(weighting.space, child, rng)


def _child(space: Space, mother: Config, father: Config | None, rng: np.random.Generator) -> Config:
    return mutate(space, mother if father is None else crossover(space, mother, father, rng), rng)
