"""ASHA: asynchronous successive halving, which pauses trials and promotes them from their checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.rungs import (
    ACTIVE,
    all_trials_proposed,
    check_rung,
    check_wrapped,
    paused_as_pruned,
    promote_paused,
    ranked_at,
    rungs,
    without_value,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord


@dataclass(frozen=True, slots=True)
class ASHA(Strategy):
    """Asynchronous successive halving over another strategy: a trial pauses at each rung until it is promoted.

    Use it for many trials on many workers, with a study that has a budget and an objective that saves checkpoints:

        Study(strategy=ASHA(TPE(), min_steps=1, eta=3), budget=27, ...)

    Whenever a worker is free, the best paused trial among the best 1/eta of the highest possible rung is promoted; if
    no trial can be promoted, a new one starts. So no worker waits, and no epoch is trained twice if the objective saves
    checkpoints. The wrapped strategy sees paused trials as pruned ones.

    Once all trials of the study have started and no trial can be promoted, the best trial of the highest rung is, so
    that at least one is trained in full. The paper leaves this case open.

    If the metric does not come with every report, a trial is ranked by its latest value at the rung. A trial that has
    none yet continues for as many reports again, until it has one.

    References:
        Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. With TPE as the wrapped
        strategy it is close to BOHB (Falkner et al. 2018).

    Args:
        strategy: The strategy that chooses the configurations. Random by default, as in the paper.
        min_steps: The first rung, in reports; each further rung is eta times as high, and the last is the budget. The
            default of 1 is lower than that of the SuccessiveHalving pruner, because no trial is stopped for good.
        eta: The best 1/eta of each rung are promoted. The default of 3 is close to the optimum found by Jamieson &
            Talwalkar (2016); larger values are greedier.

    Raises:
        SpecError: A setting is invalid, or the wrapped strategy pauses trials itself.
    """

    needs_budget: ClassVar[bool] = True

    strategy: Strategy = field(default_factory=Random)
    min_steps: int = 1
    eta: int = 3

    def __post_init__(self) -> None:
        check_wrapped(self)
        check_int(self, "min_steps", least=1)
        check_int(self, "eta", least=2)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raise SpecError if there is no rung below the budget."""
        self.strategy.check_study(study, trials)
        check_rung(self, "min_steps", study.budget)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Return the warnings of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return the proposals of the wrapped strategy, with the first rung as their budget."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(paused_as_pruned(history, steps), n, rng)
        return [replace(proposal, budget=steps[0]) for proposal in proposals]

    def promote(self, history: History, n: int) -> list[Extension]:
        """Promote the paused trials among the best 1/eta of each rung, from the highest rung down.

        Trials without a value come first: they continue until they have one.
        """
        extensions = [*without_value(history, self._rungs(history)), *self._best_of_each_rung(history)]
        idle = all_trials_proposed(history) and not history.open_trials(*ACTIVE)
        if idle and not extensions and not history.in_state("finished"):
            extensions = self._best_of_highest_rung(history)
        return extensions[:n]

    def _best_of_each_rung(self, history: History) -> Iterator[Extension]:
        steps = self._rungs(history)
        for step, above in reversed([*pairwise(steps)]):
            reached = ranked_at(history, step, history.trials)
            # A promoted trial that restarted without a checkpoint was ranked here before, and will be again.
            restarted = sum(trial.step < step < (trial.proposal.budget or 0) for trial in history.open_trials(*ACTIVE))
            places = max(0, (len(reached) + restarted) // self.eta - restarted)
            yield from promote_paused(reached[:places], step, above)

    def _best_of_highest_rung(self, history: History) -> list[Extension]:
        """Promote the best trial of the highest rung at which trials are paused."""
        paused = history.open_trials("paused")
        for step, above in reversed([*pairwise(self._rungs(history))]):
            if reached := ranked_at(history, step, paused):
                return promote_paused(reached[:1], step, above)
        return []

    def _rungs(self, history: History) -> list[int]:
        return rungs(history.study.budget, self.min_steps, self.eta)
