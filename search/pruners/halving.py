"""Asynchronous successive halving that only stops: at each rung, the best 1/eta so far go on."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import by_rank, metrics_text, numbers, unreachable_warnings
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class SuccessiveHalving(Pruner):
    """At the steps min_steps * eta**k, a trial goes on only when it is in the best 1/eta of those that came there.

    - min_steps: the first rung. 4, because it stops two of three for good: for neural nets the ranks after the first
      epoch say next to nothing of the last ones (LCBench: rank correlation -0.3 to 0.3), those after the fourth much
      (0.9). With 20 to 30 epochs the rungs are 4 and 12, and a configuration costs about 9 epochs of 30. A budget of
      4 or less has no rung; lower it when a report covers more than an epoch.
    - eta: how hard each rung selects. 3, as in Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and
      Hyperparameter Optimization" and Hyperband; larger is greedier.

    Everyone that has a value at the rung counts, whatever became of it; while fewer than eta came, only the best so
    far goes on; equals go on. Nothing stops at the trial's last step. One pass over the trials, at rungs only. With
    several goals, or constraints on metrics, by ranks (`studies.goals.ranks`); a Pareto front goes on as one.

    Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (ASHA, algorithm 2) pauses a trial at a
    rung and promotes it once enough others fall behind it. Here the verdict falls at once and is final, which needs no
    checkpoint and keeps no worker waiting; the price is paid by the first few, who are judged among few.
    """

    min_steps: int = 4
    eta: int = 3

    def __post_init__(self) -> None:
        check_int(self, "min_steps", least=1)
        check_int(self, "eta", least=2)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where it would never stop a trial."""
        return unreachable_warnings(self, study, trials, first=self.min_steps, why=f"min_steps={self.min_steps}")

    def judge(self, trial: Trial, history: History) -> Verdict:
        study, step, budget = history.study, trial.step, trial.proposal.budget
        if not self._is_rung(step) or (budget is not None and step >= budget):
            return Continue()
        own = history.objectives_at(trial, step)
        if own is None:
            return Continue()
        points = [own]
        for other in history.trials:
            if other.number != trial.number and (point := history.objectives_at(other, step)) is not None:
                points.append(point)
        found = numbers(points, study)
        needed = heapq.nsmallest(max(1, len(found) // self.eta), found)[-1]
        if found[0] <= needed:
            return Continue()
        field = f"in the best 1/{self.eta}" if len(found) >= self.eta else "the best"
        how = "by rank" if by_rank(study) else f"({study.goal.loss(needed):.4g} needed)"
        return Stop(f"rung {step}: {metrics_text(trial.reports[-1], study)} is not {field} of {len(found)} {how}")

    def _is_rung(self, step: int) -> bool:
        rung = self.min_steps
        while rung < step:
            rung *= self.eta
        return rung == step
