"""GP: Bayesian optimisation by Optuna's GPSampler.

A Gaussian process with one length scale a parameter (Matérn 5/2, by maximum a posteriori), and the logarithm of the
expected improvement, climbed by gradients from the best of 2,048 points (Ament et al. 2023, "Unexpected Improvements
to Expected Improvement for Bayesian Optimization").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.observations import observed, tamed
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import startup_warnings
from archsearch.search.strategies.random import drawn
from archsearch.search.validation import check_int
from archsearch.spaces import Config, Space, neighbour, repair
from archsearch.spaces.deduplication import untried
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

_TRIES = 100  # neighbours of a suggestion that is known already


@dataclass(frozen=True, slots=True)
class GP(Strategy):
    """Optuna's Gaussian process, as a function of the history. For some tens to a few hundred costly trials.

    - startup_trials: how many trials must have ended with a value before the model is asked; until then proposals are
      random. 10 is Optuna's default.

    What ended enters the model as a finished trial: a pruned one with its last value, though it is one of a smaller
    budget, and a failed one with the worst value seen. Optuna itself sees neither, and would stay random for ever where
    most trials are pruned. Diverged values are cut, and long histories shortened, as by `Bayes`. Trials that still run,
    and the earlier proposals of the same ask, are averaged over what the model believes of them. The space's priors
    multiply the expected improvement, by a power that fades (`strategies._shared.prior_weighting`).

    With several goals each has a process of its own, and the expected gain in hypervolume takes the place of the
    improvement (Daulton et al. 2020, "Differentiable Expected Hypervolume Improvement"); of a failed trial, each goal
    is the worst seen. Outcome constraints have processes too, and what is promised is multiplied by the probability
    that they are kept (Gardner et al. 2014, "Bayesian Optimization with Inequality Constraints").

    An inactive parameter stands in the model at its domain's middle, and the expected improvement is asked for legal
    configs alone. A config that is known already gives way to one nearby: none is proposed twice while another is left.
    """

    startup_trials: int = 10

    def __post_init__(self) -> None:
        check_int(self, "startup_trials", least=1)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where all trials would be random."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits. Later ones of one ask see the earlier ones as running."""
        study = history.study
        seen = observed(history)
        if sum(trial.state != "failed" for trial in seen.trials) < self.startup_trials or not study.space.free:
            return drawn(history, n, rng)
        # Here and not above: every worker imports the spec file, only the driver asks, and this loads torch.
        from archsearch.search.strategies._models.optuna_gp import OptunaGP
        from archsearch.search.strategies._models.single_thread import single_threaded

        known = [trial.config for trial in history.trials]
        with single_threaded():
            model = OptunaGP(PriorWeighting.from_history(history), len(study.goals), seed=int(rng.integers(2**32)))
            model.add_ended([trial.config for trial in seen.trials], *tamed(seen))
            model.add_running([trial.config for trial in history.open_trials("waiting", "running", "paused")])
            for _ in range(n):
                config = untried(study.space, known, _near(study.space, model.suggestion(), rng))
                known.append(config)
                model.add_running([config])
        return [Proposal(config, proposer="gp") for config in known[-n:]]


def _near(space: Space, config: Config, rng: np.random.Generator) -> Iterator[Config]:
    """The config, made legal if need be, and then others nearby."""
    config = repair(space, config, rng)
    yield config
    for _ in range(_TRIES):
        yield neighbour(space, config, rng)
