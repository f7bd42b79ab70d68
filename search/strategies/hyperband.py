"""Hyperband and synchronous successive halving, with promotion from a checkpoint, over any strategy.

Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", algorithm 1; with TPE for the
configurations, close to BOHB (Falkner et al. 2018). Successive halving (Jamieson and Talwalkar 2016, "Non-stochastic
Best Arm Identification and Hyperparameter Optimization") is its first bracket alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
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
    rungs,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Hyperband(Strategy):
    """`Hyperband(TPE(), min_steps=1, eta=3)`: brackets of trials, of which each rung keeps the best 1/eta.

    strategy: what chooses the configurations; random, as in the paper. min_steps, eta: the rungs, as in ASHA.
    brackets: how many kinds of bracket take turns, from the one that begins with many trials at the lowest rung; None
    is all of them, the last of which trains a few in full from the start. `brackets=1` is successive halving.

    A rung is judged when all trials of its bracket that are to come there have come, or failed; until then, free
    workers begin the next bracket. Which bracket a trial belongs to follows from its number. The wrapped strategy sees
    trials that hold as pruned ones. A bracket that the study's last trials leave incomplete is judged as it is.
    """

    needs_budget: ClassVar[bool] = True

    strategy: Strategy = field(default_factory=Random)
    min_steps: int = 1
    eta: int = 3
    brackets: int | None = None

    def __post_init__(self) -> None:
        check_wrapped(self)
        check_int(self, "min_steps", least=1)
        check_int(self, "eta", least=2)
        check_int(self, "brackets", least=1, allow_none=True)

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Raises SpecError for a budget without a rung below it, or with fewer kinds of bracket than asked for."""
        self.strategy.check_study(study, trials)
        check_rung(self, "min_steps", study.budget)
        steps = rungs(study.budget, self.min_steps, self.eta)
        if self.brackets is not None and self.brackets > len(steps):
            raise SpecError(f"Hyperband brackets is {self.brackets}, and the {len(steps)} rungs {steps} make as many")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Those of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """What the wrapped strategy proposes, each to the first rung of its bracket."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(as_pruned(history, steps), n, rng)
        first = len(history.trials)
        starts = [self._bracket(number, steps)[2] for number in range(first, first + len(proposals))]
        return [
            replace(proposal, budget=steps[start], state={**proposal.state, "bracket": len(steps) - 1 - start})
            for proposal, start in zip(proposals, starts, strict=True)
        ]

    def promote(self, history: History, n: int) -> list[Extension]:
        """The best 1/eta of each rung that all have come to, from the oldest bracket on."""
        steps = self._rungs(history)
        extensions: list[Extension] = []
        number = 0
        while number < len(history.trials):
            first, size, start = self._bracket(number, steps)
            members = history.trials[first : first + size]
            if len(members) == size or no_more_come(history):
                extensions += self._within(history, members, steps[start:])
            number = first + size
        return extensions[:n]

    def _within(self, history: History, members: Sequence[Trial], steps: Sequence[int]) -> Iterator[Extension]:
        """The promotions in one bracket: at most one of its rungs is being judged."""
        cohort = list(members)
        for step, above in pairwise(steps):
            if any(trial.outcome is None and trial.step < step for trial in cohort):
                return  # somebody is still to come
            chosen = ranked_at(history, step, cohort)[: max(1, len(cohort) // self.eta)]
            yield from promoted(chosen, step, above)
            cohort = chosen

    def _bracket(self, number: int, steps: Sequence[int]) -> tuple[int, int, int]:
        """(the first trial, how many trials, the first rung's place) of the bracket that a trial belongs to."""
        kinds = self._kinds(steps)
        turn = sum(size for size, _ in kinds)
        first = number - number % turn
        for size, start in kinds:
            if number < first + size:
                return first, size, start
            first += size
        raise AssertionError("a turn of brackets holds every number")

    def _kinds(self, steps: Sequence[int]) -> list[tuple[int, int]]:
        """(how many trials, the first rung's place) of each kind of bracket; algorithm 1, lines 1 to 3."""
        most = len(steps) - 1
        kinds = [(-(-(most + 1) * self.eta**s // (s + 1)), most - s) for s in range(most, -1, -1)]
        return kinds[: self.brackets]

    def _rungs(self, history: History) -> list[int]:
        return rungs(history.study.budget, self.min_steps, self.eta)
