"""Comparison of a trial with others by a score, as shared by several pruners.

A trial is judged only at a step with a new value of a goal, and compared with the latest values of the others at this
step. So a metric that comes only at every fifth report is judged at every fifth report.

The score is the loss. If a study has several goals or outcome constraints, it is the rank among the compared reports
(`studies.goals.ranks`), so that the same rule applies to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from archsearch.search.protocols import Pruner
from archsearch.studies.goals import ObjectiveVector, ranks
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


class Comparison(NamedTuple):
    """The scores of a trial and of the finished trials at the same step; lower is better.

    Args:
        score: The best score of the trial so far.
        other_scores: The scores of the finished trials at its step.
        step: The trial's step with the best score.
    """

    score: float
    other_scores: list[float]
    step: int


def compare_with_finished(
    trial: Trial, history: History, *, startup_trials: int, warmup_steps: int
) -> Comparison | None:
    """Compare a trial with the finished trials at its current step, in one pass over the trials.

    Args:
        trial: The trial to judge.
        history: All trials.
        startup_trials: How many finished trials must have a value at the step.
        warmup_steps: The number of first steps at which no trial is judged.

    Returns:
        None if the trial is not judged: at its first and last steps, without a new value, or with too few finished
        trials.
    """
    step, budget, curve = trial.step, trial.proposal.budget, history.curve(trial)
    if step <= warmup_steps or (budget is not None and step >= budget) or not curve or curve[-1][0] != step:
        return None
    others = [
        point
        for other in history.trials
        if other.state == "finished" and other.number != trial.number
        if (point := history.objectives_at(other, step)) is not None
    ]
    if len(others) < startup_trials:
        return None
    found = scores([*(point for _, point in curve), *others], history.study)
    best = min(range(len(curve)), key=lambda place: (found[place], -place))  # the latest of equals
    return Comparison(found[best], found[len(curve) :], curve[best][0])


def scores(points: Sequence[ObjectiveVector], study: StudyRecord) -> list[float]:
    """The losses of a single goal without constraints, otherwise ranks; lower is better."""
    return list(map(float, ranks(points))) if uses_ranks(study) else [point.losses[0] for point in points]


def uses_ranks(study: StudyRecord) -> bool:
    """Whether trials are compared by ranks: with several goals or outcome constraints."""
    return len(study.goals) > 1 or bool(study.outcome_constraints)


def metrics_text(trial: Trial, step: int, history: History) -> str:
    """The latest values of the study's metrics up to a step of the trial: `loss 0.61, parameters 1.2e+04`."""
    values = history.metrics_at(trial, step)
    return ", ".join(f"{name} {values[name]:.4g}" for name in history.study.metrics if name in values)


def unreachable_warnings(pruner: Pruner, study: StudyRecord, trials: int | None, *, first: int, why: str) -> list[str]:
    """Warn if the pruner cannot stop any trial of the study, because the study is too short for its settings.

    Args:
        pruner: The pruner; its `startup_trials` are checked if it has that setting.
        study: The study's declaration.
        trials: The study's total number of trials; None if another limit ends it.
        first: The first step at which a trial may be stopped. No trial is stopped at its last step, the budget.
        why: The setting that determines `first`, e.g. "warmup_steps=3".

    Returns:
        The warnings; an empty list if there are none.
    """
    kind, warnings = type(pruner).__name__, []
    if study.budget is not None and first >= study.budget:
        warnings.append(
            f"{kind} stops no trial before step {first} ({why}), and the study has budget={study.budget}: no "
            "trial will be pruned; lower the setting, or raise the budget"
        )
    startup = getattr(pruner, "startup_trials", 0)
    if trials is not None and startup >= trials:
        warnings.append(
            f"{kind} waits for {startup} finished trials (startup_trials), and the study has trials={trials}: no trial "
            "will be pruned; lower the setting, or give the study more trials"
        )
    return warnings
