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
        study = history.study
        return [Proposal(study.space.sample(rng), study.budget, {"by": "random"}) for _ in range(n)]

    def tell(self, trial: Trial) -> None:
        """Nothing to learn."""
