"""Regularised evolution: parents by tournament among the youngest trials, whose children differ in one parameter.

Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", section 3 and algorithm 1. What is
regularised is age: the oldest leave the population however good they were, so that a lucky value does not rule for
ever. Crossover is ours to add: a child of two parents takes each value from either, and is then mutated too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.ranking import ranked
from archsearch.search.strategies._shared.study_checks import startup_warnings
from archsearch.search.strategies._shared.variation import child_of
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Evolution(Strategy):
    """Aging evolution, for spaces of many choices and conditions, where a model's distances mean little.

    - population: so many of the trials with a value, the youngest, may be parents. Until there are so many, proposals
      are random.
    - sample: so many of them are drawn, with replacement, for each tournament, whose best becomes a parent.
    - crossover: the share of children that have two parents.

    The population is the last trials by number, not by when they ended, which no replay would give again. A pruned
    trial belongs to it, and loses every tournament against a finished one; among pruned ones that which came further
    wins, then the better last value. A failed trial is nobody's parent, and takes no one's place. With several goals,
    better is who is in a better Pareto front, and in it who lies apart from the others (`studies.goals.order`); what
    breaks an outcome constraint is worse than what does not.

    The defaults are for some hundred trials; Real et al. take a population of 100 and samples of 25 for 20,000 models.
    Measured as the best loss of 100 trials on `cells` of `search.testing.problems`, mean of 20 seeds (a difference
    below 1 is noise): random -4.4; population 20 and sample 15 -9.8, without crossover -9.4; 20 and 5 -8.2; 10 and 8
    -9.5; 30 and 20 -10.1; 50 and 30 -9.0.

    Where the space has priors, ten children are made, and one of them is drawn by its prior to a power that fades
    (`strategies._shared.prior_weighting`).

    No config is proposed twice while mutation finds another, or the space's list holds one.
    """

    population: int = 20
    sample: int = 15
    crossover: float = 0.5

    def __post_init__(self) -> None:
        check_int(self, "population", least=1)
        check_int(self, "sample", least=1)
        share = self.crossover
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise SpecError(f"Evolution crossover must be a share from 0 to 1, got {share!r}; 0.5 is usual")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where all trials would be random."""
        return startup_warnings(self, "population", trials)

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """A child of one or two winners of tournaments; a random configuration until there is a population."""
        ended = (trial for trial in reversed(history.trials) if trial.state in ("finished", "pruned"))
        valued = (trial for trial in ended if history.objectives(trial) is not None)
        youngest = list(islice(valued, self.population))
        if len(youngest) < self.population or not history.study.space.free:
            return Random().propose(history, rng)
        parents = self._parents(ranked(history, youngest), rng)
        return child_of(PriorWeighting.from_history(history), parents, rng)

    def _parents(self, population: Sequence[Trial], rng: np.random.Generator) -> list[Trial]:
        """The winners of one tournament, or two. The best of a sample has its lowest place."""
        tournaments = 2 if rng.random() < self.crossover else 1
        return [population[rng.integers(len(population), size=self.sample).min()] for _ in range(tournaments)]
