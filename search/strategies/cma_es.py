"""CMA-ES: a normal distribution that moves to where the good trials are, and takes the shape of the slope there.

Of each generation the better half pulls the mean, and the covariance with it (Hansen 2016, "The CMA Evolution Strategy:
A Tutorial", arXiv:1604.00772). For numbers, and for some hundreds of trials or more: it looks at ranks alone, so that
it minds neither scale nor noise much, and an ask costs next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.study_checks import check_one_goal
from archsearch.search.strategies.random import drawn
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.cma_state import Generations


@dataclass(slots=True)
class _Warm:
    """What may be kept between two asks, because it can be made again from the history."""

    generations: Generations | None = None


@dataclass(frozen=True, slots=True)
class CmaEs(Strategy):
    """CMA-ES with margin (Hamano et al. 2022, arXiv:2205.13482, which keeps whole numbers from freezing), by `cmaes`.

    - population: how many trials make a generation, at least 4. None, the default, is 4 + 3 ln(columns), rounded down,
      by the tutorial's equation 48: 8 for 5 numbers, 10 for 10. Many parallel workers want at least their number.

    The distribution has a column for each Int, Float, ordered Choice and Choice of two values, in the unit interval,
    where it begins around the best trial so far, where there are others' (the proposal notes it as `around`), else
    around the middle or the prior's value. A column whose parameter is not active is drawn all the
    same, and stays unused. Any other Choice is drawn at random for good: where much hangs on one, take TPE().

    Trials are told in the order of their numbers as soon as a generation of them has ended; until then more proposals
    are drawn from the same distribution, and those that end too late for their own generation are told with the next,
    up to three generations late. A pruned trial is told with its last value, though it is one of a smaller budget, and
    a failed one with the worst value told so far. Each proposal notes the generation it was drawn from and where
    (`drawn`), and the first after a generation the trials that it was told (`told`): these make the distribution again.

    A draw that breaks a constraint, or is a config that was tried before, is drawn anew; after a hundred, the nearest
    legal config is taken, or a neighbour that was not tried, and told as if drawn where it is. Once a distribution has
    shrunk to a point, or sees no differences any more, another one begins anywhere, with twice the population (IPOP,
    Auger & Hansen 2005).

    A trial that breaks an outcome constraint ranks behind all that keep them, by how far it is beyond them. Several
    goals are refused.

    Asking raises SpecError for a space without a number to search.
    """

    population: int | None = None
    _warm: _Warm = field(default_factory=_Warm, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_int(self, "population", least=4, allow_none=True)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raises SpecError for a study with several goals."""
        check_one_goal(self, study)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits."""
        study = history.study
        if not study.space.free:
            return drawn(history, n, rng)
        # Here and not above: every worker imports the spec file, and only the driver asks.
        from archsearch.search.strategies._models.cma_state import Generations

        generations = self._warm.generations
        if generations is None or not generations.follow(history):
            generations = self._warm.generations = Generations(history, self.population)
            generations.follow(history)
        told = generations.advance(history)
        tried = [trial.config for trial in history.trials]
        proposals = []
        for each in history.generators(n, rng):
            config, place = generations.draw(tried, each)
            tried.append(config)
            state: dict[str, Any] = {"generation": generations.number, "drawn": place}
            if told:
                state["told"], told = told, []
            if generations.around is not None:
                state["around"] = generations.around
            proposals.append(Proposal(config, proposer="cmaes", state=state))
        return proposals

    # The distribution stays at home.
    def __reduce__(self) -> tuple[Any, ...]:
        return CmaEs, (self.population,)
