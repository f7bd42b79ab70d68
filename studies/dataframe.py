"""Trials as a pandas DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from archsearch.studies.history import History
    from archsearch.studies.records import Trial


def trials_frame(history: History) -> pd.DataFrame:
    """One row per trial, sorted by number.

    Args:
        history: The study.

    Returns:
        The columns `number`, `state`, `metrics.NAME` for each reported metric (those of the study first),
        `params.NAME` for each parameter of the space, `steps`, `duration_s` and `reason` (why a trial was pruned or
        failed). Metrics that a trial has not reported and parameters that are inactive in it are missing values.
        Metrics are the last reported values; for trials with repeats, the means over the complete runs.
    """
    import pandas as pd  # imported here, as it takes half a second

    reported = (name for trial in history.trials for report in trial.reports for name in report.metrics)
    metrics = [*dict.fromkeys((*history.study.metrics, *reported))]
    columns: dict[str, list[Any]] = {
        "number": [trial.number for trial in history.trials],
        "state": [trial.state for trial in history.trials],
        **{f"metrics.{name}": [trial.value(name) for trial in history.trials] for name in metrics},
        **{f"params.{name}": [trial.config.get(name) for trial in history.trials] for name in history.study.space},
        "steps": [trial.step for trial in history.trials],
        "duration_s": [duration_s(trial) for trial in history.trials],
        "reason": [trial.reason for trial in history.trials],
    }
    frame = pd.DataFrame(columns)
    numbers = [f"metrics.{name}" for name in metrics] + ["duration_s"]
    return frame.astype(dict.fromkeys(numbers, float))


def duration_s(trial: Trial) -> float | None:
    """The duration of the latest attempt in seconds, up to its end or its last report; None before the first report."""
    if trial.started_at is not None and trial.ended_at is not None:
        return trial.ended_at - trial.started_at
    return trial.reports[-1].seconds if trial.reports else None
