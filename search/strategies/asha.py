"""ASHA: asynchronous successive halving, with promotion from a checkpoint, over any strategy.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2. With TPE for the configurations it
is close to BOHB (Falkner et al. 2018).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.rungs import (
    GOING,
    as_pruned,
    check_rung,
    check_wrapped,
    no_more_come,
    promoted,
    ranked_at,
    rungs,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord


@dataclass(frozen=True, slots=True)
class ASHA(Strategy):
    """`ASHA(TPE(), min_steps=1, eta=3)`: a trial pauses at each rung, and goes on once it is among the best there.

    strategy: what chooses the configurations; random, as in the paper. min_steps: the first rung, in reports; the
    others are eta times as high each, and the last is the budget. Lower than the SuccessiveHalving pruner's, since
    nobody is stopped for good. eta: the best 1/eta of a rung go on; 3 is near the optimum of Jamieson and Talwalkar
    (2016), and larger is greedier.

    Whenever a worker is free, the best trial that holds at the highest possible rung goes on; if none may, a new one
    begins. No worker ever waits, and no epoch is trained twice where the objective saves checkpoints. The wrapped
    strategy sees trials that hold as pruned ones.

    Once all trials of the study have begun and nobody may go on, the best of the highest rung does, so that one is
    trained in full: the paper leaves this open.
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
        """Raises SpecError for a budget without a rung below it."""
        self.strategy.check_study(study, trials)
        check_rung(self, "min_steps", study.budget)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Those of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """What the wrapped strategy proposes, to the first rung."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(as_pruned(history, steps), n, rng)
        return [replace(proposal, budget=steps[0]) for proposal in proposals]

    def promote(self, history: History, n: int) -> list[Extension]:
        """The best 1/eta of each rung that still hold there, from the highest rung down."""
        extensions = [*self._among_the_best(history)]
        idle = no_more_come(history) and not history.open_trials(*GOING)
        if idle and not extensions and not history.in_state("finished"):
            extensions = self._to_the_end(history)
        return extensions[:n]

    def _among_the_best(self, history: History) -> Iterator[Extension]:
        steps = self._rungs(history)
        for step, above in reversed([*pairwise(steps)]):
            came = ranked_at(history, step, history.trials)
            # Who went on without a checkpoint has told its value here, and will again.
            gone = sum(trial.step < step < (trial.proposal.budget or 0) for trial in history.open_trials(*GOING))
            places = max(0, (len(came) + gone) // self.eta - gone)
            yield from promoted(came[:places], step, above)

    def _to_the_end(self, history: History) -> list[Extension]:
        """The best of the highest rung where trials hold."""
        holding = history.open_trials("paused")
        highest = max((trial.step for trial in holding), default=0)
        above = next((step for step in self._rungs(history) if step > highest), highest)
        return promoted(ranked_at(history, highest, holding)[:1], highest, above)

    def _rungs(self, history: History) -> list[int]:
        return rungs(history.study.budget, self.min_steps, self.eta)
