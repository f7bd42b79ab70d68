"""TopK: train all trials briefly, then the best in full; the baseline for multi-fidelity methods."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.rungs import (
    all_trials_proposed,
    at_rung,
    check_rung,
    check_wrapped,
    paused_as_pruned,
    promote_paused,
    ranked_at,
    without_value,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord


@dataclass(frozen=True, slots=True)
class TopK(Strategy):
    """Two-stage search: all trials pause after `steps` reports, and the best `keep` of them are trained in full.

    Use it as the baseline for ASHA and Hyperband. The study needs a budget and a number of trials:

        Study(strategy=TopK(Random(), keep=5, steps=1), trials=40, budget=27, ...)

    A metric that does not come with every report is treated as in `ASHA`.

    Args:
        strategy: The strategy that chooses the configurations. Random by default, since this is a baseline.
        keep: How many trials are trained to the budget. 5 by default.
        steps: After how many reports all trials are compared. 1 by default, the cheapest comparison.

    Raises:
        SpecError: A setting is invalid, or the wrapped strategy pauses trials itself.
    """

    needs_budget: ClassVar[bool] = True

    strategy: Strategy = field(default_factory=Random)
    keep: int = 5
    steps: int = 1

    def __post_init__(self) -> None:
        check_wrapped(self)
        check_int(self, "keep", least=1)
        check_int(self, "steps", least=1)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raise SpecError if `steps` is not below the budget, or if the study has no number of trials."""
        self.strategy.check_study(study, trials)
        check_rung(self, "steps", study.budget)
        if trials is None:
            raise SpecError("TopK requires a number of trials; give Study trials= beside any other limit")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Return the warnings of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return the proposals of the wrapped strategy, with `steps` as their budget."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(paused_as_pruned(history, steps), n, rng)
        return [replace(proposal, budget=steps[0]) for proposal in proposals]

    def promote(self, history: History, n: int) -> list[Extension]:
        """Promote the best trials, once all trials have a value after `steps` reports or ended.

        Trials without a value continue until they have one.
        """
        first, *last = self._rungs(history)
        incomplete = any(trial.outcome is None and at_rung(history, trial, first) is None for trial in history.trials)
        if not last or incomplete or not all_trials_proposed(history):
            return without_value(history, [first, *last])[:n]
        return promote_paused(ranked_at(history, first, history.trials)[: self.keep], first, last[0])[:n]

    def _rungs(self, history: History) -> list[int]:
        full = history.study.budget or self.steps
        return [self.steps, full] if self.steps < full else [full]
