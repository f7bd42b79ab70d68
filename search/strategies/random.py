"""Random search: every configuration is drawn evenly from the space, whatever came before.

The baseline that each other strategy must beat, and hard to beat where few of many parameters matter (Bergstra &
Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.studies.history import History
from archsearch.studies.records import Proposal


@dataclass(frozen=True, slots=True)
class Random(Strategy):
    """Draws each active parameter by its domain's own measure, a log domain evenly in the logarithm, or by its prior.

    The baseline for every other strategy. No configuration is drawn twice while the space has another.
    """

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """Draw one configuration, whatever came before."""
        return Proposal(history.study.space.sample(rng), proposer="random", drawn_at_random=True)


def drawn(history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
    """`n` random proposals, as strategies make them that have too few trials to learn from."""
    return Random().ask(history, n, rng)
