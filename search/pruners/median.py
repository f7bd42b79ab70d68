"""The median rule: a trial stops when its best value so far is worse than the median of the others at that step."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import by_rank, compared, metrics_text, unreachable_warnings
from archsearch.search.validation import check_int
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Median(Pruner):
    """Stops a trial whose best value up to this step is worse than the median of the finished trials' values at it.

    - startup_trials: how many finished trials must have a value at the step before any is judged by them. 5, as in
      Optuna: the median of fewer is mostly chance.
    - warmup_steps: the first steps, which are not judged. 3, because the ranks after the first epoch of a neural net
      say next to nothing of the last ones (LCBench: rank correlation -0.3 to 0.3), those after the fourth much (0.9).
      Lower it when a report covers more than an epoch.

    Golovin et al. 2017, "Google Vizier", section 3.2.2, compares with the finished trials' running averages, which for
    a curve that climbs lie behind its values: it stops fewer. Here, as in Optuna's MedianPruner, it is their value at
    the same step. Only finished trials are asked: among all that came so far, half would stop at every step. A value
    equal to the median goes on, and nothing stops at the trial's last step. One pass over the trials per verdict.

    With several goals, or constraints on metrics, ranks stand for the values: of these finished trials and all reports
    of the trial so far (`studies.goals.ranks`: Pareto fronts, and behind them what breaks a constraint).
    """

    startup_trials: int = 5
    warmup_steps: int = 3

    def __post_init__(self) -> None:
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
        median = statistics.median(found.others)
        if found.number <= median:
            return Continue()
        study = history.study
        needed = "" if by_rank(study) else f"{study.goal.loss(median):.4g}, "
        how = " by rank" if by_rank(study) else ""
        return Stop(
            f"step {trial.step}: best {metrics_text(found.report, study)} is worse than {needed}the median of "
            f"{len(found.others)} finished trials{how}"
        )
