"""TPE: the tree-structured Parzen estimator of Optuna's TPESampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import startup_warnings
from archsearch.search.strategies.random import random_proposals
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.optuna_mirror import StudyMirror


@dataclass(slots=True)
class _Cache:
    """State that is kept between two asks for speed; it can be rebuilt from the history."""

    mirror: StudyMirror | None = None


@dataclass(frozen=True, slots=True)
class TPE(Strategy):
    """Tree-structured Parzen estimator: the multivariate TPE of Optuna's TPESampler.

    Use it as a good first choice for any space and any number of trials, with one or several goals: it is cheap, and
    supports conditions and constraints.

    TPE estimates one density over the configurations of the good trials and one over those of the others, and proposes
    the candidate with the highest ratio of the two. Parameters are modelled jointly; conditional parameters are grouped
    by which of them are active together. A running trial counts as a bad one, so that parallel proposals keep a
    distance from each other (constant liar).

    A pruned trial ranks behind the finished ones; among pruned trials, the one that reached the later step ranks first,
    then the one with the better last value. A failed trial ranks last. With several goals the good trials are those of
    the first Pareto fronts, and of the last front that fits only in part the ones that contribute most hypervolume;
    pruned trials are ranked by `strategies._shared.ranking`. A trial that violates an outcome constraint ranks behind
    the finished trials that satisfy all of them, by how far it violates them.

    The priors of the space multiply the ratio of the two densities, raised to a power that decays
    (`strategies._shared.prior_weighting`).

    A suggestion that violates a constraint, or was tried before, is replaced by a new one; after ten suggestions, the
    nearest legal configuration or a neighbour that was not tried is proposed, and the proposal records that it was
    `repaired`. In a space of up to 100,000 configurations, none is proposed twice before all were tried.

    References:
        Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4.
        Watanabe 2023, arXiv:2304.11127, for what each part of TPE contributes.
        Falkner et al. 2018, "BOHB", section 4.1, for the joint model of the parameters.
        Ginsbourger et al. 2010, for the constant liar.
        Ozaki et al. 2022, "Multiobjective Tree-Structured Parzen Estimator", for several goals.

    Args:
        startup_trials: How many trials must have ended with a value before the model is used; until then proposals are
            random. Pruned trials count, failed ones do not. The default of 10 is that of Optuna.
        candidates: How many points are drawn from the density of the good trials, of which the best is proposed. The
            default of 24 is that of Optuna, from Bergstra et al.
        remembered: How many of the trials that ended are shown to the model: the best 25, which is the most that Optuna
            ever counts as good, and of the others those with the highest numbers. Trials that have not ended are always
            shown. This bounds the time of an ask (8 ms at 1,000 trials, 14 at 10,000: docs/measurements.md). At least
            250, the default, since Optuna counts fewer trials as good if it is shown fewer.

    Raises:
        SpecError: A setting is invalid.
    """

    startup_trials: int = 10
    candidates: int = 24
    remembered: int = 250
    _cache: _Cache = field(default_factory=_Cache, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("startup_trials", 1), ("candidates", 1), ("remembered", 250)):
            check_int(self, name, least=least)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the study ends before the random trials do."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return exactly `n` proposals; each counts as running for those after it."""
        study = history.study
        with_value = (trial for trial in history.trials if trial.state in ("finished", "pruned"))
        if sum(1 for _ in islice(with_value, self.startup_trials)) < self.startup_trials or not study.space.free:
            return random_proposals(history, n, rng)
        # Imported here because every worker imports the spec file, but only the driver asks.
        from archsearch.search.strategies._models.optuna_mirror import StudyMirror

        mirror = self._cache.mirror
        if mirror is None or not mirror.follow(history):
            mirror = self._cache.mirror = StudyMirror(history)
        suggested = mirror.suggest(n, PriorWeighting.from_history(history), self.candidates, self.remembered, rng)
        return [
            Proposal(config, proposer="tpe", state={"repaired": True} if repaired else {})
            for config, repaired in suggested
        ]

    # Pickled without the cache.
    def __reduce__(self) -> tuple[Any, ...]:
        return TPE, (self.startup_trials, self.candidates, self.remembered)
