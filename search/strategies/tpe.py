"""TPE: the tree-structured Parzen estimator, by Optuna's TPESampler.

Two densities are kept, one of the good trials and one of the rest; what is likely in the first and unlikely in the
second is tried next (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4; Watanabe 2023,
arXiv:2304.11127, for what each part contributes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import startup_warnings
from archsearch.search.strategies.random import drawn
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.optuna_mirror import Mirror


@dataclass(slots=True)
class _Warm:
    """What may be kept between two asks, because it can be made again from the history."""

    mirror: Mirror | None = None


@dataclass(frozen=True, slots=True)
class TPE(Strategy):
    """Optuna's multivariate TPE, as a function of the history. A good first choice: cheap, and at home in any space.

    - startup_trials: how many trials must have ended with a value before the model is asked; until then proposals are
      random. 10 is Optuna's default. Trials that ended by pruning count, failed ones do not.
    - candidates: how many points are drawn from the good trials' density, of which the best is proposed. 24 is
      Optuna's default, from Bergstra et al.
    - remembered: how many of the trials that ended the model is shown: the best 25, which are all that Optuna ever
      counts as good, and of the rest those with the highest numbers. Trials that have not ended it sees in any case.
      So an ask hardly grows with the history (8 ms at 1,000 trials, 14 at 10,000: docs/measurements.md). At least 250:
      of fewer, Optuna would count fewer as good.

    Parameters are modelled jointly (Falkner et al. 2018, "BOHB", section 4.1), those under a condition in groups that
    are active together. A trial that still runs counts as a bad one, so that parallel proposals keep apart (constant
    liar, Ginsbourger et al. 2010). A pruned trial ranks behind the finished ones: first those that came further, then
    those with the better last value. A failed trial ranks last of all. With several goals good are the first Pareto
    fronts, and of the last one that fits in part those that add most hypervolume (Ozaki et al. 2022, "Multiobjective
    Tree-Structured Parzen Estimator"); pruned ones rank by `strategies._shared.ranking`. Whatever breaks an outcome
    constraint ranks behind what finished within them, by how far it is beyond.

    The space's priors multiply the ratio of the two densities, by a power that fades (`_shared.prior_weighting`).

    A suggestion that breaks a constraint, or that was tried before, is asked for anew; after ten, the nearest legal
    config is taken, or a neighbour that was not tried, and the proposal notes that it was repaired. Of a space of up
    to 100,000 configs, the model proposes none twice before all were tried.
    """

    startup_trials: int = 10
    candidates: int = 24
    remembered: int = 250
    _warm: _Warm = field(default_factory=_Warm, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("startup_trials", 1), ("candidates", 1), ("remembered", 250)):
            check_int(self, name, least=least)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where all trials would be random."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits. Later ones of one ask see the earlier ones as running."""
        study = history.study
        valued = (trial for trial in history.trials if trial.state in ("finished", "pruned"))
        if sum(1 for _ in islice(valued, self.startup_trials)) < self.startup_trials or not study.space.free:
            return drawn(history, n, rng)
        # Here and not above: every worker imports the spec file, and only the driver asks.
        from archsearch.search.strategies._models.optuna_mirror import Mirror

        mirror = self._warm.mirror
        if mirror is None or not mirror.follow(history):
            mirror = self._warm.mirror = Mirror(history)
        suggested = mirror.suggest(n, PriorWeighting.from_history(history), self.candidates, self.remembered, rng)
        return [
            Proposal(config, proposer="tpe", state={"repaired": True} if repaired else {})
            for config, repaired in suggested
        ]

    # The warm study stays at home.
    def __reduce__(self) -> tuple[Any, ...]:
        return TPE, (self.startup_trials, self.candidates, self.remembered)
