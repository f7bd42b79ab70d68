"""What the rules that compare with finished trials have in common."""

from __future__ import annotations

from studies.history import History
from studies.records import Trial


def compared(
    trial: Trial, history: History, *, startup_trials: int, warmup_steps: int
) -> tuple[float, list[float]] | None:
    """(the trial's best loss so far, the losses of the finished trials at its step); None where it is not judged.

    It is not in the first steps, nor in its last, nor by fewer than `startup_trials`. One pass over the trials.
    """
    step, budget = trial.step, trial.proposal.budget
    if step <= warmup_steps or (budget is not None and step >= budget) or history.loss_at(trial, step) is None:
        return None
    goal = history.study.goal
    best = min(goal.loss(r.metrics[goal.metric]) for r in trial.reports if goal.metric in r.metrics)
    others = [
        loss
        for other in history.trials
        if other.state == "finished" and other.number != trial.number
        if (loss := history.loss_at(other, step)) is not None
    ]
    return None if len(others) < startup_trials else (best, others)
