"""Hyperband and synchronous successive halving, which pause trials and promote them from their checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
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
    rungs,
    without_value,
)
from archsearch.search.strategies.random import Random
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Hyperband(Strategy):
    """Hyperband over another strategy: brackets of trials, of which each rung promotes the best 1/eta.

    Use it if it is unknown how well early results predict final ones: the brackets differ in how early they stop
    trials. ASHA needs fewer trials, since one cycle of all brackets may take many (49 for a budget of 27).

        Study(strategy=Hyperband(TPE(), min_steps=1, eta=3), budget=27, ...)

    A rung is judged once all trials of its bracket have reached it or failed; until then, free workers start the next
    bracket. The number of a trial determines its bracket. The wrapped strategy sees paused trials as pruned ones. If
    the study ends within a bracket, the incomplete bracket is judged as it is. A metric that does not come with every
    report is treated as in ASHA.

    References:
        Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", algorithm 1. With TPE
        as the wrapped strategy it is close to BOHB (Falkner et al. 2018). Its first bracket alone is successive halving
        (Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization").

    Args:
        strategy: The strategy that chooses the configurations. Random by default, as in the paper.
        min_steps: The first rung of the first bracket, in reports; as in ASHA.
        eta: The best 1/eta of each rung are promoted; as in ASHA.
        brackets: How many kinds of bracket alternate, beginning with the one that starts most trials at the lowest
            rung. None, the default, uses all of them, as in the paper; the last kind trains a few trials in full from
            the start. `brackets=1` is successive halving.

    Raises:
        SpecError: A setting is invalid, or the wrapped strategy pauses trials itself.
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
        """Raise SpecError if there is no rung below the budget, or if `brackets` exceeds the number of rungs."""
        self.strategy.check_study(study, trials)
        check_rung(self, "min_steps", study.budget)
        steps = rungs(study.budget, self.min_steps, self.eta)
        if self.brackets is not None and self.brackets > len(steps):
            raise SpecError(
                f"Hyperband brackets is {self.brackets}, but the {len(steps)} rungs {steps} allow at most {len(steps)}"
            )

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Return the warnings of the wrapped strategy."""
        return self.strategy.warnings_for(study, trials)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return the proposals of the wrapped strategy, each with the first rung of its bracket as its budget."""
        steps = self._rungs(history)
        proposals = self.strategy.ask(paused_as_pruned(history, steps), n, rng)
        first = len(history.trials)
        starts = [self._bracket(number, steps)[2] for number in range(first, first + len(proposals))]
        return [
            replace(proposal, budget=steps[start], state={**proposal.state, "bracket": len(steps) - 1 - start})
            for proposal, start in zip(proposals, starts, strict=True)
        ]

    def promote(self, history: History, n: int) -> list[Extension]:
        """Promote the best 1/eta of each rung that is complete, beginning with the oldest bracket.

        Trials without a value come first: they continue until they have one.
        """
        steps = self._rungs(history)
        extensions = without_value(history, steps)
        number = 0
        while number < len(history.trials):
            first, size, start = self._bracket(number, steps)
            members = history.trials[first : first + size]
            if len(members) == size or all_trials_proposed(history):
                extensions += self._promote_in_bracket(history, members, steps[start:])
            number = first + size
        return extensions[:n]

    def _promote_in_bracket(
        self, history: History, members: Sequence[Trial], steps: Sequence[int]
    ) -> Iterator[Extension]:
        """The promotions in one bracket; at most one of its rungs has any."""
        cohort = list(members)
        for step, above in pairwise(steps):
            if any(trial.outcome is None and at_rung(history, trial, step) is None for trial in cohort):
                return  # the rung is not complete
            chosen = ranked_at(history, step, cohort)[: max(1, len(cohort) // self.eta)]
            yield from promote_paused(chosen, step, above)
            cohort = chosen

    def _bracket(self, number: int, steps: Sequence[int]) -> tuple[int, int, int]:
        """The bracket of a trial: (its first trial, its number of trials, the index of its first rung)."""
        kinds = self._kinds(steps)
        cycle = sum(size for size, _ in kinds)
        first = number - number % cycle
        for size, start in kinds:
            if number < first + size:
                return first, size, start
            first += size
        raise AssertionError("every number belongs to a bracket of the cycle")

    def _kinds(self, steps: Sequence[int]) -> list[tuple[int, int]]:
        """(number of trials, index of the first rung) of each kind of bracket; algorithm 1, lines 1 to 3."""
        most = len(steps) - 1
        kinds = [(-(-(most + 1) * self.eta**s // (s + 1)), most - s) for s in range(most, -1, -1)]
        return kinds[: self.brackets]

    def _rungs(self, history: History) -> list[int]:
        return rungs(history.study.budget, self.min_steps, self.eta)
