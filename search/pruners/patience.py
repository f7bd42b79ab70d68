"""Patience: a trial stops when it has not become better for some steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search.protocols import Continue, Stop, Verdict
from search.settings import check_whole
from spaces import SpecError
from studies.history import History
from studies.records import Trial


@dataclass(frozen=True, slots=True)
class Patience:
    """Stops a trial whose last `steps` reports hold nothing better than what it had before, by more than `min_delta`.

    - steps: 5 lets a noisy curve recover. min_delta: at least 0, in the unit of the study's metric.

    It looks at the trial alone (Prechelt 1998, "Early stopping - but when?"). What it stops has converged, and was
    perhaps the best of all: `Recipe(patience=...)` ends a training likewise, as finished, with the weights of its best
    epoch. Reports without the metric count as steps. Nothing stops at the trial's last step.
    """

    steps: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_whole(self, "steps", least=1)
        value = self.min_delta
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise SpecError(f"Patience min_delta must be a number of at least 0, got {value!r}; 0 is usual")

    def judge(self, trial: Trial, history: History) -> Verdict:
        budget = trial.proposal.budget
        if len(trial.reports) <= self.steps or (budget is not None and trial.step >= budget):
            return Continue()
        goal = history.study.goal
        losses = [goal.loss(r.metrics[goal.metric]) if goal.metric in r.metrics else math.inf for r in trial.reports]
        before, since = min(losses[: -self.steps]), min(losses[-self.steps :])
        if since < before - self.min_delta or before == math.inf:
            return Continue()
        best = f"{goal.metric} {goal.loss(before):.4g}"
        return Stop(f"step {trial.step}: nothing better than {best} for {self.steps} steps")
