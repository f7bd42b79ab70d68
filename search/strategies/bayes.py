"""Bayesian optimisation: a Gaussian process by scikit-optimize, and expected improvement.

The model says for every point what it expects and how sure it is; what promises the largest improvement over the best
is tried next (Jones et al. 1998, "Efficient Global Optimization"; Snoek et al. 2012, "Practical Bayesian Optimization
of Machine Learning Algorithms", section 2 for the kernel, one length scale per dimension and Matérn 5/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.candidates import Rows
from archsearch.search.strategies._shared.observations import single
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.study_checks import check_one_goal, startup_warnings
from archsearch.search.strategies.random import drawn
from archsearch.search.validation import check_int
from archsearch.spaces import Config, Space, neighbour
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

if TYPE_CHECKING:
    from archsearch.search.strategies._models.surrogate import Surrogate

_LEADERS = 5  # around how many of the best points candidates are made
_NEIGHBOURS = 50  # how many around each


@dataclass(frozen=True, slots=True)
class Bayes(Strategy):
    """Expected improvement under a Gaussian process. For some tens to a few hundred costly trials: an ask is cubic
    in their number, where TPE's is linear.

    - startup_trials: how many trials must have ended with a value before the model is asked; until then proposals are
      random. 10 is scikit-optimize's default.
    - candidates: among how many random configs the best is sought, beside the neighbours of the best trials and of
      the best candidates. 1,000: scikit-optimize takes 10,000, and spends about half of an ask on them. A space of
      no more configs than that is searched whole.

    The model is fitted once per ask. Trials that still run, and the earlier proposals of the same ask, enter with the
    value that the model expects ("kriging believer", Ginsbourger et al. 2010, section 4.2) under the fitted kernel. A
    pruned trial enters with its last value, though it is one of a smaller budget, and a failed one with the worst
    value seen: without them the model would go there again. Values worse than the median by more than three times
    what the best is better count as that much worse, so that one diverged run does not flatten all differences between
    good ones.

    A trial that breaks an outcome constraint enters as a failed one; until one has kept them, how far a trial is beyond
    them is what the model is told instead of losses. Several goals are refused.

    Of more than 300 trials the model is told of the 150 best and the 150 newest. An inactive parameter stands in it at
    its domain's middle. The space's priors multiply the expected improvement, by a power that fades
    (`strategies._shared.prior_weighting`). No config is proposed twice while the candidates hold another.
    """

    startup_trials: int = 10
    candidates: int = 1000

    def __post_init__(self) -> None:
        check_int(self, "startup_trials", least=1)
        check_int(self, "candidates", least=1)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raises SpecError for a study with several goals."""
        check_one_goal(self, study)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where all trials would be random."""
        return startup_warnings(self, "startup_trials", trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits."""
        study = history.study
        tried, losses = single(history)
        if sum(trial.state != "failed" for trial in tried) < self.startup_trials or not study.space.free:
            return drawn(history, n, rng)
        # Here and not above: every worker imports the spec file, only the driver asks, and this takes 1.5 s.
        from archsearch.search.strategies._models.single_thread import single_threaded
        from archsearch.search.strategies._models.surrogate import Surrogate

        rows = Rows(study.space)
        known = rows.of([trial.config for trial in tried])
        pending = rows.of([trial.config for trial in history.open_trials("waiting", "running", "paused")])
        taken = {row.tobytes() for row in rows.of([trial.config for trial in history.trials])}
        pool = self._pool(study.space, [tried[place].config for place in _lowest(losses)], rng)
        with single_threaded():
            model = Surrogate.fit(known, losses, seed=int(rng.integers(2**32))).believing(pending)
            configs = _promising(model, PriorWeighting.from_history(history), rows, pool, taken, n, rng)
        return [Proposal(config, proposer="bayes") for config in configs]

    def _pool(self, space: Space, leaders: list[Config], rng: np.random.Generator) -> list[Config]:
        if space.size() <= self.candidates:
            return [*space.grid()]
        return [*(space.sample(rng) for _ in range(self.candidates)), *_around(space, leaders, rng)]


def _promising(
    model: Surrogate,
    weighting: PriorWeighting,
    rows: Rows,
    pool: list[Config],
    taken: set[bytes],
    n: int,
    rng: np.random.Generator,
) -> list[Config]:
    """`n` configs, each the most promising once the model believes in those before it."""
    pool_rows, pool_factors = rows.of(pool), np.exp(weighting.of(pool))
    chosen: list[Config] = []
    for _ in range(n):
        leaders = _lowest(-model.improvement(pool_rows) * pool_factors)
        near = _around(weighting.space, [pool[place] for place in leaders], rng)
        all_rows = np.vstack([pool_rows, rows.of(near)])
        promise = model.improvement(all_rows) * np.concatenate([pool_factors, np.exp(weighting.of(near))])
        fresh = np.array([row.tobytes() not in taken for row in all_rows])
        choice = int(np.argmax(np.where(fresh, promise, -1.0) if fresh.any() else promise))
        chosen.append([*pool, *near][choice])
        taken = taken | {all_rows[choice].tobytes()}
        model = model.believing(all_rows[[choice]])
    return chosen


def _lowest(losses: Sequence[float] | NDArray[np.float64]) -> list[int]:
    """The places of the few lowest; the first of equals."""
    return [int(place) for place in np.argsort(losses, kind="stable")[:_LEADERS]]


def _around(space: Space, configs: list[Config], rng: np.random.Generator) -> list[Config]:
    return [neighbour(space, config, rng) for config in configs for _ in range(_NEIGHBOURS)]
