"""The percentile stopping rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import compare_with_finished, metrics_text, unreachable_warnings, uses_ranks
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Percentile(Pruner):
    """Stops a trial whose best value so far is not in the best `percentile` of the finished trials at the same step.

    Use it in place of `Median` to stop more, or fewer, than half of the trials. The rule is that of Optuna's
    PercentilePruner, with linear interpolation between two values. A trial whose value equals the percentile continues,
    and no trial is stopped at its last step. Reports without a new value, several goals and outcome constraints are
    treated as in `Median`.

    Args:
        percentile: From 0 to 100. With 25, the default, a trial continues if it is in the best quarter; 50 is the same
            as `Median`.
        startup_trials: As in `Median`, for the same reasons.
        warmup_steps: As in `Median`, for the same reasons.

    Raises:
        SpecError: A setting is invalid.
    """

    percentile: float = 25.0
    startup_trials: int = 5
    warmup_steps: int = 3

    def __post_init__(self) -> None:
        value = self.percentile
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise SpecError(f"Percentile percentile must be a number from 0 to 100, got {value!r}; the default is 25")
        check_int(self, "startup_trials", least=1)
        check_int(self, "warmup_steps", least=0)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the settings cannot stop any trial of the study."""
        return unreachable_warnings(
            self, study, trials, first=self.warmup_steps + 1, why=f"warmup_steps={self.warmup_steps}"
        )

    def judge(self, trial: Trial, history: History) -> Verdict:
        comparison = compare_with_finished(
            trial, history, startup_trials=self.startup_trials, warmup_steps=self.warmup_steps
        )
        if comparison is None:
            return Continue()
        needed = float(np.percentile(comparison.other_scores, self.percentile))
        if comparison.score <= needed:
            return Continue()
        study = history.study
        how = "by rank" if uses_ranks(study) else f"({study.goal.loss(needed):.4g} needed)"
        return Stop(
            f"step {trial.step}: best {metrics_text(trial, comparison.step, history)} is not in the best "
            f"{self.percentile:g}% of {count(len(comparison.other_scores), 'finished trial')} {how}"
        )
