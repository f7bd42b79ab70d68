"""The percentile rule: a trial stops when its best value so far is not among the best of the others at that step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import by_rank, compared, metrics_text, unreachable_warnings
from archsearch.search.validation import check_int
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Percentile(Pruner):
    """Stops a trial whose best value up to this step is not in the best `percentile` of the finished trials' at it.

    - percentile: from 0 to 100; with 25, who is better than three of four goes on. `Median` is the one of 50.
    - startup_trials, warmup_steps: as in `Median`, for the same reasons.

    As Optuna's PercentilePruner, with the percentile between two values on the line that joins them. A value equal to
    it goes on, and nothing stops at the trial's last step. With several goals, or constraints on metrics, by ranks, as
    `Median`.
    """

    percentile: float = 25.0
    startup_trials: int = 5
    warmup_steps: int = 3

    def __post_init__(self) -> None:
        value = self.percentile
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise SpecError(f"Percentile percentile must be a number from 0 to 100, got {value!r}; 25 is usual")
        check_int(self, "startup_trials", least=1)
        check_int(self, "warmup_steps", least=0)

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where it would never stop a trial."""
        return unreachable_warnings(
            self, study, trials, first=self.warmup_steps + 1, why=f"warmup_steps={self.warmup_steps}"
        )

    def judge(self, trial: Trial, history: History) -> Verdict:
        found = compared(trial, history, startup_trials=self.startup_trials, warmup_steps=self.warmup_steps)
        if found is None:
            return Continue()
        needed = float(np.percentile(found.others, self.percentile))
        if found.number <= needed:
            return Continue()
        study = history.study
        how = "by rank" if by_rank(study) else f"({study.goal.loss(needed):.4g} needed)"
        return Stop(
            f"step {trial.step}: best {metrics_text(found.report, study)} is not in the best {self.percentile:g}% of "
            f"{len(found.others)} finished trials {how}"
        )
