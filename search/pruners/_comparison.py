"""What the rules that compare a trial with others have in common: a number for each, and words for the verdict.

The number is the loss. Where a study has several goals, or constraints on metrics, it is the rank among those compared
(`studies.goals.ranks`), so that one rule serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    """Is a trial's standing more than one loss?"""
    return len(study.goals) > 1 or bool(study.outcome_constraints)


def standing(report: Report, study: StudyRecord) -> str:
    """What the report says of the study's metrics: `loss 0.61, parameters 1.2e+04`."""
    return ", ".join(f"{name} {report.metrics[name]:.4g}" for name in study.metrics if name in report.metrics)
