"""Random search: configurations are drawn independently of all results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.studies.history import History
from archsearch.studies.records import Proposal


@dataclass(frozen=True, slots=True)
class Random(Strategy):
    """Random search.

    Each active parameter is drawn uniformly from its domain (a log domain uniformly in the logarithm), or from its
    prior if it has one. No configuration is drawn twice while the space has another.

    Use it as the baseline that every other strategy must beat. It is a strong one if few of many parameters matter
    (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 4).
    """

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """Draw one configuration."""
        return Proposal(history.study.space.sample(rng), proposer="random", drawn_at_random=True)


def random_proposals(history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
    """`n` random proposals, for strategies that have too few results to fit a model."""
    return Random().ask(history, n, rng)
