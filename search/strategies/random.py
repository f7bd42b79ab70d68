"""Random search: every configuration is drawn evenly from the space, whatever came before.

The baseline that each other strategy must beat, and hard to beat where few of many parameters matter (Bergstra &
Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studies.history import History
from studies.records import Proposal, Trial


@dataclass(frozen=True, slots=True)
class Random:
    """Draws from the space, each active domain by its own measure (log domains in the logarithm)."""

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits."""
        return drawn(history, n, rng)

    def tell(self, trial: Trial) -> None:
        """Nothing to learn."""


def drawn(history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
    """`n` random proposals, of which each is what it would be if it were asked for alone.

    So a trial's config depends on its number, and not on how many workers were free when it was drawn.
    """
    study, number = history.study, len(history.trials)
    generators = [rng, *(np.random.default_rng([study.seed, number + offset]) for offset in range(1, n))]
    return [Proposal(study.space.sample(each), study.budget, {"by": "random"}) for each in generators]
