"""Asynchronous successive halving as a pruner, which stops trials and never resumes them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import metrics_text, scores, unreachable_warnings, uses_ranks
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class SuccessiveHalving(Pruner):
    """Stops a trial at a rung, min_steps * eta**k, unless it is in the best 1/eta of the trials that reached the rung.

    Use it if the objective saves no checkpoints; with checkpoints, consider the strategy `ASHA`. The decision is made
    at once and is final, so that no worker waits. The price is that the first trials of a rung are compared with few
    others.

    A trial is judged by its first new value at or after a rung, since a metric may come at every fifth report only. All
    trials that have such a value are compared, whatever their state. While fewer than eta trials have reached the rung,
    only the best so far continues; ties continue. No trial is stopped at its last step. A verdict at a rung takes one
    pass over the trials. With several goals or outcome constraints, ranks replace the values (`studies.goals.ranks`);
    all trials of a Pareto front have the same rank.

    References:
        Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2 (ASHA), which instead
        pauses a trial at a rung and promotes it once enough other trials are worse.

    Args:
        min_steps: The first rung, in reports. The default is 4, because two of three trials are stopped for good: the
            ranks of neural networks after the first epoch say next to nothing about the final ones (LCBench: rank
            correlation -0.3 to 0.3), while those after the fourth epoch say much (0.9). With 20 to 30 epochs the rungs
            are 4 and 12, and a configuration costs about 9 epochs of 30. A budget of 4 or less has no rung; lower it if
            a report covers more than an epoch.
        eta: Each rung keeps the best 1/eta. The default of 3 is that of Jamieson & Talwalkar 2016, "Non-stochastic Best
            Arm Identification and Hyperparameter Optimization", and Hyperband; larger values are greedier.

    Raises:
        SpecError: A setting is invalid.
    """

    min_steps: int = 4
    eta: int = 3

    def __post_init__(self) -> None:
        check_int(self, "min_steps", least=1)
        check_int(self, "eta", least=2)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the settings cannot stop any trial of the study."""
        return unreachable_warnings(self, study, trials, first=self.min_steps, why=f"min_steps={self.min_steps}")

    def judge(self, trial: Trial, history: History) -> Verdict:
        study, step, budget = history.study, trial.step, trial.proposal.budget
        rung = self._rung_below(step)
        if rung is None or (budget is not None and step >= budget):
            return Continue()
        own = history.objectives_from(trial, rung)
        if own is None or own[0] != step:  # no value yet, or judged before
            return Continue()
        others = [other for other in history.trials if other.number != trial.number]
        values = [own, *(value for other in others if (value := history.objectives_from(other, rung)) is not None)]
        found = scores([point for _, point in values], study)
        needed = heapq.nsmallest(max(1, len(found) // self.eta), found)[-1]
        if found[0] <= needed:
            return Continue()
        field = f"in the best 1/{self.eta}" if len(found) >= self.eta else "the best"
        how = "by rank" if uses_ranks(study) else f"({study.goal.loss(needed):.4g} needed)"
        return Stop(f"rung {rung}: {metrics_text(trial, step, history)} is not {field} of {len(found)} {how}")

    def _rung_below(self, step: int) -> int | None:
        """The highest rung that the step has reached."""
        rung = None
        next_rung = self.min_steps
        while next_rung <= step:
            rung, next_rung = next_rung, next_rung * self.eta
        return rung
