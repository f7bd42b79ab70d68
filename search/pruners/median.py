"""The median stopping rule."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import compare_with_finished, metrics_text, unreachable_warnings, uses_ranks
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Median(Pruner):
    """Stops a trial whose best value so far is worse than the median of the finished trials at the same step.

    Use it as a simple pruner that works for most learning curves, if at least some trials run to the end.

    Only finished trials are compared with: if all trials that reached the step were, half of them would be stopped at
    every step. A trial whose value equals the median continues, and no trial is stopped at its last step. A report
    without a new value is not judged, and finished trials count with their latest value at the step, since a metric may
    come at every fifth report only. A verdict takes one pass over the trials. With several goals or outcome
    constraints, ranks replace the values: those of the finished trials and of all reports of the trial so far
    (`studies.goals.ranks`: by Pareto front, with reports that violate a constraint last).

    References:
        Golovin et al. 2017, "Google Vizier", section 3.2.2. The paper compares with the running averages of the
        finished trials, which lag behind the values of an improving curve, so that fewer trials are stopped. Here, as
        in Optuna's MedianPruner, it is their value at the same step.

    Args:
        startup_trials: How many finished trials must have a value at a step before trials are judged there. The default
            of 5 is that of Optuna: the median of fewer is mostly chance.
        warmup_steps: The number of first steps at which no trial is judged. The default of 3 is chosen because the
            ranks of neural networks after the first epoch say next to nothing about the final ones (LCBench: rank
            correlation -0.3 to 0.3), while those after the fourth epoch say much (0.9). Lower it if a report covers
            more than an epoch.

    Raises:
        SpecError: A setting is invalid.
    """

    startup_trials: int = 5
    warmup_steps: int = 3

    def __post_init__(self) -> None:
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
        median = statistics.median(comparison.other_scores)
        if comparison.score <= median:
            return Continue()
        study = history.study
        needed = "" if uses_ranks(study) else f"{study.goal.loss(median):.4g}, "
        how = " by rank" if uses_ranks(study) else ""
        best = metrics_text(trial, comparison.step, history)
        return Stop(
            f"step {trial.step}: best {best} is worse than {needed}the median of {len(comparison.other_scores)} "
            f"finished trials{how}"
        )
