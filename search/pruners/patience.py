"""Patience: stop a trial that no longer improves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import unreachable_warnings, uses_ranks
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.formatting import count
from archsearch.studies.goals import ObjectiveVector
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Patience(Pruner):
    """Stops a trial whose last `steps` values did not improve on its best earlier value by more than `min_delta`.

    Use it if trials converge at different speeds. It considers each trial by itself, without other trials. A trial that
    it stops has converged, and may be the best of the study: to end it as finished instead, with the weights of its
    best epoch, use `Recipe(patience=...)`.

    With several goals or outcome constraints, a report is an improvement if no earlier report is at least as good in
    all of them. A report without a value of a goal does not count, since a metric may come at every fifth report only.
    No trial is stopped at its last step.

    References:
        Prechelt 1998, "Early stopping - but when?".

    Args:
        steps: How many values without an improvement are allowed: one per report, unless the metric comes less often.
            The default of 5 lets a noisy curve recover.
        min_delta: By how much a value must improve, at least 0, in the unit of the metric. With several goals it
            applies to each of them, and one that improves is enough. 0 by default: any improvement counts.

    Raises:
        SpecError: A setting is invalid.
    """

    steps: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_int(self, "steps", least=1)
        value = self.min_delta
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise SpecError(f"Patience min_delta must be a number of at least 0, got {value!r}; the default is 0")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the settings cannot stop any trial of the study."""
        return unreachable_warnings(self, study, trials, first=self.steps + 1, why=f"steps={self.steps}")

    def judge(self, trial: Trial, history: History) -> Verdict:
        budget = trial.proposal.budget
        if len(trial.reports) <= self.steps or (budget is not None and trial.step >= budget):
            return Continue()
        points = [point for _, point in history.curve(trial)]
        before, since = points[: -self.steps], points[-self.steps :]
        if not before or any(
            not any(self._improved_by_delta(earlier).weakly_dominates(point) for earlier in before) for point in since
        ):
            return Continue()
        goal = history.study.goal
        best = min(point.losses[0] for point in before)
        best_text = "an earlier report" if uses_ranks(history.study) else f"{goal.metric} {goal.loss(best):.4g}"
        return Stop(f"step {trial.step}: no improvement on {best_text} in the last {count(self.steps, 'value')}")

    def _improved_by_delta(self, point: ObjectiveVector) -> ObjectiveVector:
        """The point that an improvement must surpass."""
        return ObjectiveVector(point.violation, tuple(loss - self.min_delta for loss in point.losses))
