"""What pruners read off a trial's curve: the loss at a step."""

from __future__ import annotations

from studies.records import Goal, Trial


def loss_at(trial: Trial, step: int, goal: Goal) -> float | None:
    """The goal's metric at exactly this step, turned so that lower is better; None where it was not reported."""
    if trial.step < step:
        return None
    reports = trial.reports
    # Steps count from 1 and hardly ever have gaps, so the report is sought first where it would then be.
    report = reports[step - 1] if 1 <= step <= len(reports) else None
    if report is None or report.step != step:
        report = next((other for other in reports if other.step == step), None)
    value = None if report is None else report.metrics.get(goal.metric)
    return None if value is None else goal.loss(value)
