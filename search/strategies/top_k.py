"""TopK: all for a few epochs, then the best few to the end: the baseline of every method with several fidelities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.rungs import (
    as_pruned,
    check_rung,
    check_wrapped,
    no_more_come,
    promoted,
    ranked_at,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord


@dataclass(frozen=True, slots=True)
class TopK(Strategy):
    """`TopK(Random(), keep=5, steps=1)`: once all trials of the study have made `steps` reports, the best go on.

    strategy: what chooses the configurations; random, since it is a baseline. keep: how many go on, to the budget.
    steps: reports before that. The study must say how many trials it wants.
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
        """Raises SpecError for a budget that all would come to, or a study without a number of trials."""
        self.strategy.check_study(study, trials)
        check_rung(self, "steps", study.budget)
        if trials is None:
            raise SpecError("TopK must know when all trials have begun; give Study trials=, not a timeout alone")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Those of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """What the wrapped strategy proposes, for a few reports."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(as_pruned(history, steps), n, rng)
        return [replace(proposal, budget=steps[0]) for proposal in proposals]

    def promote(self, history: History, n: int) -> list[Extension]:
        """The best, once nobody is still to come."""
        first, *last = self._rungs(history)
        to_come = any(trial.outcome is None and trial.step < first for trial in history.trials)
        if not last or to_come or not no_more_come(history):
            return []
        return promoted(ranked_at(history, first, history.trials)[: self.keep], first, last[0])[:n]

    def _rungs(self, history: History) -> list[int]:
        full = history.study.budget or self.steps
        return [self.steps, full] if self.steps < full else [full]
