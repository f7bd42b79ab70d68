"""A child of one or two parents: what the evolutionary strategies share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.spaces import Config, Space, crossover, mutate
from archsearch.studies.records import Proposal, Trial

_SIBLINGS = 10  # among how many children the space's priors choose


def child_of(weighting: PriorWeighting, parents: Sequence[Trial], rng: np.random.Generator) -> Proposal:
    """A child of one parent or two, which differs from what they have in one parameter.

    If the space has priors, the child is chosen among ten by them. The parents' numbers are kept in its state.
    """
    count = _SIBLINGS if weighting else 1
    children = [_child(weighting.space, [parent.config for parent in parents], rng) for _ in range(count)]
    config = weighting.choose(children, rng) if weighting else children[0]
    return Proposal(config, state={"parents": [parent.number for parent in parents]})


def _child(space: Space, parents: Sequence[Config], rng: np.random.Generator) -> Config:
    crossed = crossover(space, parents[0], parents[1], rng) if len(parents) > 1 else parents[0]
    return mutate(space, crossed, rng)
