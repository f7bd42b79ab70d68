"""Bayesian optimization with a Gaussian process from scikit-optimize and expected improvement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.gp_encoding import GPEncoding
from archsearch.search.strategies._shared.observations import first_goal_losses
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import check_one_goal, startup_warnings
from archsearch.search.strategies.random import random_proposals
from archsearch.search.validation import check_int
from archsearch.spaces import Config, Space, neighbour
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.surrogate import Surrogate

_TOP = 5  # the best points, whose neighbours become candidates
_NEIGHBOURS = 50  # neighbours of each of them


@dataclass(frozen=True, slots=True)
class Bayes(Strategy):
    """Bayesian optimization: expected improvement under a Gaussian process.

    Use it for some tens to a few hundred expensive trials with a single goal: the cost of an ask is cubic in the number
    of trials, while that of TPE is linear. It supports conditions and constraints of the space.

    The model predicts a mean and a variance for every configuration; the candidate with the largest expected
    improvement over the best is proposed. It is fitted once per ask. Pending trials, and the earlier proposals of the
    same ask, are added with the value that the model predicts ("kriging believer", Ginsbourger et al. 2010, section
    4.2) under the fitted kernel. A pruned trial enters with its last value, although that belongs to a smaller budget,
    and a failed one with the worst value so far: without them the model would propose configurations near them again.
    Losses are clipped at median + 3 * (median - best), so that a diverged run does not hide the differences between
    good ones.

    A trial that violates an outcome constraint enters as a failed one. Until one trial satisfies all constraints, the
    model is fitted to the sum of their violations instead of the loss.

    Of more than 300 trials the model uses the 150 best and the 150 newest. An inactive parameter is encoded as the
    middle of its domain. The priors of the space multiply the expected improvement, raised to a power that decays
    (`strategies._shared.prior_weighting`). No configuration is proposed twice as long as the candidates include
    another.

    References:
        Jones et al. 1998, "Efficient Global Optimization", for expected improvement.
        Snoek et al. 2012, "Practical Bayesian Optimization of Machine Learning Algorithms", section 2, for the kernel:
        Matérn 5/2 with one length scale per dimension.

    Args:
        startup_trials: How many trials must have ended with a value before the model is used; until then proposals are
            random. The default of 10 is that of scikit-optimize.
        candidates: How many random configurations the acquisition function is evaluated on, in addition to the
            neighbours of the best trials and of the best candidates. The default is 1,000: scikit-optimize uses 10,000
            and spends about half of an ask on them. A space of at most this many configurations is searched completely.

    Raises:
        SpecError: A setting is invalid, or the study has several goals.
    """

    startup_trials: int = 10
    candidates: int = 1000

    def __post_init__(self) -> None:
        check_int(self, "startup_trials", least=1)
        check_int(self, "candidates", least=1)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raise SpecError if the study has several goals."""
        check_one_goal(self, study)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the study ends before the random trials do."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return exactly `n` proposals."""
        study = history.study
        ended, losses = first_goal_losses(history)
        if sum(trial.state != "failed" for trial in ended) < self.startup_trials or not study.space.free:
            return random_proposals(history, n, rng)
        # Imported here because it takes 1.5 s: every worker imports the spec file, but only the driver asks.
        from archsearch.search.strategies._models.single_thread import single_threaded
        from archsearch.search.strategies._models.surrogate import Surrogate

        encoding = GPEncoding(study.space)
        observed = encoding.encode([trial.config for trial in ended])
        pending = encoding.encode([trial.config for trial in history.open_trials("waiting", "running", "paused")])
        known = {row.tobytes() for row in encoding.encode([trial.config for trial in history.trials])}
        candidates = self._candidates(study.space, [ended[place].config for place in _lowest(losses)], rng)
        with single_threaded():
            model = Surrogate.fit(observed, losses, seed=int(rng.integers(2**32))).condition_on_predictions(pending)
            weighting = PriorWeighting.from_history(history)
            configs = _maximize_acquisition(model, weighting, encoding, candidates, known, n, rng)
        return [Proposal(config, proposer="bayes") for config in configs]

    def _candidates(self, space: Space, best: list[Config], rng: np.random.Generator) -> list[Config]:
        """All configurations of a small space; otherwise random ones and neighbours of the best trials."""
        if space.size() <= self.candidates:
            return [*space.grid()]
        return [*(space.sample(rng) for _ in range(self.candidates)), *_neighbours(space, best, rng)]


def _maximize_acquisition(
    model: Surrogate,
    weighting: PriorWeighting,
    encoding: GPEncoding,
    candidates: list[Config],
    known: set[bytes],
    n: int,
    rng: np.random.Generator,
) -> list[Config]:
    """Choose `n` configurations one by one, each under the model conditioned on its predictions for those before."""
    candidate_rows, candidate_priors = encoding.encode(candidates), np.exp(weighting.of(candidates))
    chosen: list[Config] = []
    for _ in range(n):
        best = _lowest(-model.expected_improvement(candidate_rows) * candidate_priors)
        near = _neighbours(weighting.space, [candidates[place] for place in best], rng)
        rows = np.vstack([candidate_rows, encoding.encode(near)])
        acquisition = model.expected_improvement(rows) * np.concatenate([candidate_priors, np.exp(weighting.of(near))])
        is_new = np.array([row.tobytes() not in known for row in rows])
        choice = int(np.argmax(np.where(is_new, acquisition, -1.0) if is_new.any() else acquisition))
        chosen.append([*candidates, *near][choice])
        known = known | {rows[choice].tobytes()}
        model = model.condition_on_predictions(rows[[choice]])
    return chosen


def _lowest(losses: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """The indices of the lowest values; the first of equals."""
    return [int(place) for place in np.argsort(losses, kind="stable")[:_TOP]]


def _neighbours(space: Space, configs: list[Config], rng: np.random.Generator) -> list[Config]:
    return [neighbour(space, config, rng) for config in configs for _ in range(_NEIGHBOURS)]
