"""Bayesian optimization with a Gaussian process from Optuna's GPSampler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.observations import Observations, model_targets
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import startup_warnings
from archsearch.search.strategies.random import random_proposals
from archsearch.search.validation import check_int
from archsearch.spaces import Config, Space, neighbour, repair
from archsearch.spaces.deduplication import untried
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

_NEIGHBOURS = 100  # neighbours that replace a suggestion that was tried before


@dataclass(frozen=True, slots=True)
class GP(Strategy):
    """Bayesian optimization with the Gaussian process of Optuna's GPSampler.

    Use it for some tens to a few hundred expensive trials, with one or several goals: the cost of an ask is cubic in
    the number of trials.

    The model has a Matérn 5/2 kernel with one length scale per parameter, fitted by maximum a posteriori. The logarithm
    of the expected improvement is maximized by gradient ascent from the best of 2,048 points.

    All trials that ended enter the model as finished ones: a pruned trial with its last value, although that belongs to
    a smaller budget, and a failed one with the worst value so far. Optuna itself ignores both, and would only propose
    at random if most trials are pruned. Outliers are clipped and long histories shortened as by `Bayes`. Over running
    trials, and the earlier proposals of the same ask, the acquisition function is averaged under the model's posterior.
    The priors of the space multiply the expected improvement, raised to a power that decays
    (`strategies._shared.prior_weighting`).

    With several goals each has its own Gaussian process, and the expected hypervolume improvement replaces the expected
    improvement; a failed trial has the worst value of each goal. Each outcome constraint has a Gaussian process as
    well, and the acquisition value is multiplied by the probability that the constraint is satisfied.

    An inactive parameter is encoded as the middle of its domain, and the acquisition function is evaluated on legal
    configurations only. A suggestion that was tried before is replaced by a nearby one: no configuration is proposed
    twice while there is another.

    References:
        Ament et al. 2023, "Unexpected Improvements to Expected Improvement for Bayesian Optimization".
        Daulton et al. 2020, "Differentiable Expected Hypervolume Improvement", for several goals.
        Gardner et al. 2014, "Bayesian Optimization with Inequality Constraints", for outcome constraints.

    Args:
        startup_trials: How many trials must have ended with a value before the model is used; until then proposals are
            random. The default of 10 is that of Optuna.

    Raises:
        SpecError: `startup_trials` is invalid.
    """

    startup_trials: int = 10

    def __post_init__(self) -> None:
        check_int(self, "startup_trials", least=1)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the study ends before the random trials do."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return exactly `n` proposals; each counts as running for those after it."""
        study = history.study
        observations = Observations.from_history(history)
        if sum(trial.state != "failed" for trial in observations.trials) < self.startup_trials or not study.space.free:
            return random_proposals(history, n, rng)
        # Imported here because it loads torch: every worker imports the spec file, but only the driver asks.
        from archsearch.search.strategies._models.optuna_gp import OptunaGP
        from archsearch.search.strategies._models.single_thread import single_threaded

        known = [trial.config for trial in history.trials]
        with single_threaded():
            model = OptunaGP(PriorWeighting.from_history(history), len(study.goals), seed=int(rng.integers(2**32)))
            model.add_ended([trial.config for trial in observations.trials], *model_targets(observations))
            model.add_running([trial.config for trial in history.open_trials("waiting", "running", "paused")])
            for _ in range(n):
                config = untried(study.space, known, _nearby(study.space, model.suggest(), rng))
                known.append(config)
                model.add_running([config])
        return [Proposal(config, proposer="gp") for config in known[-n:]]


def _nearby(space: Space, config: Config, rng: np.random.Generator) -> Iterator[Config]:
    """The configuration, repaired if it is illegal, and then neighbours of it."""
    config = repair(space, config, rng)
    yield config
    for _ in range(_NEIGHBOURS):
        yield neighbour(space, config, rng)
