"""Patience: a trial stops when it has not become better for some steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import by_rank, unreachable_warnings
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.goals import ObjectiveVector
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Patience(Pruner):
    """Stops a trial whose last `steps` reports hold nothing better than what it had before, by more than `min_delta`.

    - steps: 5 lets a noisy curve recover. min_delta: at least 0, in the unit of the study's metric; of each, where it
      has several goals, and one that gains as much will do.

    Better, with several goals or constraints on metrics, is what no earlier report equals or beats in all of them.

    It looks at the trial alone (Prechelt 1998, "Early stopping - but when?"). What it stops has converged, and was
    perhaps the best of all: `Recipe(patience=...)` ends a training likewise, as finished, with the weights of its best
    epoch. Reports without the metric count as steps. Nothing stops at the trial's last step.
    """

    steps: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_int(self, "steps", least=1)
        value = self.min_delta
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise SpecError(f"Patience min_delta must be a number of at least 0, got {value!r}; 0 is usual")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where it would never stop a trial."""
        return unreachable_warnings(self, study, trials, first=self.steps + 1, why=f"steps={self.steps}")

    def judge(self, trial: Trial, history: History) -> Verdict:
        budget = trial.proposal.budget
        if len(trial.reports) <= self.steps or (budget is not None and trial.step >= budget):
            return Continue()
        points = [history.objectives_at(trial, report.step) for report in trial.reports]
        before = [point for point in points[: -self.steps] if point is not None]
        since = [point for point in points[-self.steps :] if point is not None]
        if not before or any(not any(self._nearly(earlier).covers(point) for earlier in before) for point in since):
            return Continue()
        goal = history.study.goal
        best = min(point.losses[0] for point in before)
        what = "before" if by_rank(history.study) else f"{goal.metric} {goal.loss(best):.4g}"
        return Stop(f"step {trial.step}: nothing better than {what} for {self.steps} steps")

    def _nearly(self, point: ObjectiveVector) -> ObjectiveVector:
        """What a better point must beat."""
        return ObjectiveVector(point.violation, tuple(loss - self.min_delta for loss in point.losses))
