"""CMA-ES: an evolution strategy that adapts the mean and covariance of a normal distribution to the best trials."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.study_checks import check_one_goal
from archsearch.search.strategies.random import random_proposals
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.cma_state import CmaState


@dataclass(slots=True)
class _Cache:
    """State that is kept between two asks for speed; it can be rebuilt from the history."""

    cma: CmaState | None = None


@dataclass(frozen=True, slots=True)
class CmaEs(Strategy):
    """CMA-ES with margin, through the library `cmaes`.

    Use it for numeric parameters and hundreds of trials or more, with a single goal. It uses only the ranks of the
    losses, so that it is insensitive to their scale and robust to noise, and an ask costs next to nothing.

    The search distribution has one dimension in the unit interval for each Int, Float, ordered Choice and Choice of two
    values. Its first mean is the best trial so far if other strategies have run before (the proposal records that trial
    as `around`), otherwise the middle of each domain or the value of its prior. The dimension of an inactive parameter
    is sampled and ignored. Any other Choice is always drawn at random: if such a choice matters, use TPE().

    The distribution is updated with the trials in the order of their numbers, as soon as a whole generation of them has
    ended. Until then further proposals are drawn from the same distribution. Trials that end too late for their own
    generation are used in a later update, up to three generations late. A pruned trial is used with its last value,
    although that belongs to a smaller budget, and a failed one with the worst value so far. Each proposal records its
    `generation` and the point that was `drawn`, and the first proposal after an update the trials that it was `told`;
    the distribution is rebuilt from these.

    A draw that violates a constraint, or was tried before, is repeated; after 100 draws, the nearest legal
    configuration or a neighbour that was not tried is proposed, and used in the update as if it had been drawn. Once
    the distribution has shrunk to a point, or no longer sees differences between losses, it restarts at a random point
    with twice the population (IPOP). A trial that violates an outcome constraint ranks behind all that satisfy them, by
    how far it violates them.

    References:
        Hansen 2016, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772.
        Hamano et al. 2022, "CMA-ES with Margin", arXiv:2205.13482, which keeps integer parameters from being fixed at
        one value too early.
        Auger & Hansen 2005, "A Restart CMA Evolution Strategy With Increasing Population Size", for IPOP.

    Args:
        population: The number of trials per generation, at least 4. None, the default, is 4 + 3 ln(dimensions), rounded
            down, by equation 48 of the tutorial: 8 for 5 dimensions, 10 for 10. With many parallel workers it should be
            at least their number.

    Raises:
        SpecError: `population` is invalid, or the study has several goals; or by `ask`, if the space has no parameter
            that it can search.
    """

    population: int | None = None
    _cache: _Cache = field(default_factory=_Cache, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_int(self, "population", least=4, allow_none=True)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raise SpecError if the study has several goals."""
        check_one_goal(self, study)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return exactly `n` proposals."""
        study = history.study
        if not study.space.free:
            return random_proposals(history, n, rng)
        # Imported here because every worker imports the spec file, but only the driver asks.
        from archsearch.search.strategies._models.cma_state import CmaState

        cma = self._cache.cma
        if cma is None or not cma.follow(history):
            cma = self._cache.cma = CmaState(history, self.population)
            cma.follow(history)
        told = cma.advance(history)
        tried = [trial.config for trial in history.trials]
        proposals = []
        for each in history.generators(n, rng):
            config, point = cma.draw(tried, each)
            tried.append(config)
            state: dict[str, Any] = {"generation": cma.generation, "drawn": point}
            if told:
                state["told"], told = told, []
            if cma.start_trial is not None:
                state["around"] = cma.start_trial
            proposals.append(Proposal(config, proposer="cmaes", state=state))
        return proposals

    # Pickled without the cache.
    def __reduce__(self) -> tuple[Any, ...]:
        return CmaEs, (self.population,)
