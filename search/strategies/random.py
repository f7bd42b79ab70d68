"""Random search: every configuration is drawn evenly from the space, whatever came before.

The baseline that each other strategy must beat, and hard to beat where few of many parameters matter (Bergstra &
Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.strategies._shared.deduplication import sure_to_be_new, untried
from archsearch.spaces import Config
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, Trial

_REDRAWN = 20  # draws until the space's list is searched for what is left


@dataclass(frozen=True, slots=True)
class Random:
    """Draws from the space, each active domain by its own measure (log domains in the logarithm), and anew what was
    tried already, while something else is left.
    """

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits."""
        return drawn(history, n, rng)

    def tell(self, trial: Trial) -> None:
        """Nothing to learn."""


def drawn(history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
    """`n` random proposals, of which each is what it would be if it were asked for alone."""
    study = history.study
    configs: list[Config] = []
    for each in apart(history, n, rng):
        config: Config = study.space.sample(each)
        if not sure_to_be_new(study.space, config):
            tried = [*(trial.config for trial in history.trials), *configs]
            config = untried(study.space, tried, (config, *(study.space.sample(each) for _ in range(_REDRAWN))))
        configs.append(config)
    return [Proposal(config, study.budget, {"by": "random"}) for config in configs]


def apart(history: History, n: int, rng: np.random.Generator) -> list[np.random.Generator]:
    """A generator for each of the next `n` trials, the one that it would be given if it were asked for alone.

    So a trial's config depends on its number, and not on how many workers were free when it was drawn.
    """
    number = len(history.trials)
    return [rng, *(history.study.generator(number + offset) for offset in range(1, n))][:n]
