"""Crossover and mutation, as the evolutionary strategies use them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.spaces import Config, Space, crossover, mutate
from archsearch.studies.records import Proposal, Trial

_SIBLINGS = 10  # children among which the priors of the space choose


def child_of(weighting: PriorWeighting, parents: Sequence[Trial], rng: np.random.Generator) -> Proposal:
    """Propose a child of one or two parents, by crossover and a mutation of one parameter.

    If the space has priors, ten children are made and one is drawn with probability proportional to its prior weight.

    Args:
        weighting: The priors of the space.
        parents: One parent, or two for crossover.
        rng: The random numbers to use.

    Returns:
        The proposal, whose state holds the numbers of the parents.
    """
    count = _SIBLINGS if weighting else 1
    children = [_child(weighting.space, [parent.config for parent in parents], rng) for _ in range(count)]
    config = weighting.choose(children, rng) if weighting else children[0]
    return Proposal(config, state={"parents": [parent.number for parent in parents]})


def _child(space: Space, parents: Sequence[Config], rng: np.random.Generator) -> Config:
    crossed = crossover(space, parents[0], parents[1], rng) if len(parents) > 1 else parents[0]
    return mutate(space, crossed, rng)
