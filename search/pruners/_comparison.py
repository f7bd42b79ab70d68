"""What the rules that compare a trial with others have in common: a number for each, and words for the verdict.

The number is the loss. Where a study has several goals, or constraints on metrics, it is the rank among those compared
(`studies.goals.ranks`), so that one rule serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from archsearch.search.protocols import Pruner
from archsearch.studies.goals import ObjectiveVector, ranks
from archsearch.studies.history import History
from archsearch.studies.records import Report, StudyRecord, Trial


class Compared(NamedTuple):
    """A trial's best report so far, and the finished trials at its step; of the numbers, lower is better."""

    number: float
    others: list[float]
    report: Report


def compared(trial: Trial, history: History, *, startup_trials: int, warmup_steps: int) -> Compared | None:
    """None where the trial is not judged: in the first steps, in its last, or by fewer than `startup_trials`.

    One pass over the trials.
    """
    step, budget = trial.step, trial.proposal.budget
    if step <= warmup_steps or (budget is not None and step >= budget) or history.objectives_at(trial, step) is None:
        return None
    others = [
        point
        for other in history.trials
        if other.state == "finished" and other.number != trial.number
        if (point := history.objectives_at(other, step)) is not None
    ]
    if len(others) < startup_trials:
        return None
    own = [(point, r) for r in trial.reports if (point := history.objectives_at(trial, r.step)) is not None]
    found = numbers([*(point for point, _ in own), *others], history.study)
    best = min(range(len(own)), key=lambda place: (found[place], -place))  # of equals the latest
    return Compared(found[best], found[len(own) :], own[best][1])


def numbers(points: Sequence[ObjectiveVector], study: StudyRecord) -> list[float]:
    """The losses of the only goal, or ranks."""
    return list(map(float, ranks(points))) if by_rank(study) else [point.losses[0] for point in points]


def by_rank(study: StudyRecord) -> bool:
    """Is a trial compared by more than one loss?"""
    return len(study.goals) > 1 or bool(study.outcome_constraints)


def metrics_text(report: Report, study: StudyRecord) -> str:
    """What the report says of the study's metrics: `loss 0.61, parameters 1.2e+04`."""
    return ", ".join(f"{name} {report.metrics[name]:.4g}" for name in study.metrics if name in report.metrics)


def unreachable_warnings(pruner: Pruner, study: StudyRecord, trials: int | None, *, first: int, why: str) -> list[str]:
    """Warnings where the pruner would never stop a trial, because its settings reach beyond the study.

    Args:
        pruner: It, for its name, and for its `startup_trials` where it has any.
        study: What the study declares.
        trials: Its total number of trials; None if another limit ends it.
        first: The first step at which a trial may be stopped. Nothing is stopped at its last step, the budget.
        why: The setting that says so: "warmup_steps=3".
    """
    kind, warnings = type(pruner).__name__, []
    if study.budget is not None and first >= study.budget:
        warnings.append(
            f"{kind} stops no trial before step {first} ({why}), and the study has budget={study.budget}: it will "
            "never stop one; lower the setting, or raise the budget"
        )
    startup = getattr(pruner, "startup_trials", 0)
    if trials is not None and startup >= trials:
        warnings.append(
            f"{kind} waits for {startup} finished trials (startup_trials), and the study has trials={trials}: it will "
            "never stop one; lower the setting, or give the study more trials"
        )
    return warnings
