"""Training data for a Gaussian process: all trials that ended, with outliers clipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.studies.goals import best_first
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial

Array = NDArray[np.float64]

_MAX_TRIALS = 300  # the cost of a fit is cubic in the number of trials; with this many it takes some seconds


@dataclass(frozen=True, slots=True)
class Observations:
    """The trials that ended, by number, with their losses and constraint values. Empty if no trial has a value.

    A pruned trial has its last values. A failed trial has the worst value of each column: if it were left out, the
    model would propose configurations near it again.

    Args:
        trials: The trials, by number.
        losses: (trials, goals); lower is better.
        constraint_values: (trials, outcome constraints); the distance of each value from its bound, relative to the
            bound: positive if the constraint is violated, negative if it is satisfied.
    """

    trials: list[Trial]
    losses: Array
    constraint_values: Array

    @classmethod
    def from_history(cls, history: History) -> Observations:
        """Collect the observations of a history; if there are more than 300, the 150 best and the 150 newest."""
        ended = history.in_state("finished", "pruned")
        points = {trial.number: point for trial in ended if (point := history.objectives(trial)) is not None}
        trials = [t for t in history.trials if t.state == "failed" or t.number in points] if points else []
        if len(trials) > _MAX_TRIALS:
            numbers = [*points]
            best = [numbers[place] for place in best_first([*points.values()])[: _MAX_TRIALS // 2]]
            kept = {*best, *(trial.number for trial in trials[-_MAX_TRIALS // 2 :])}
            trials = [trial for trial in trials if trial.number in kept]
        losses = {number: point.losses for number, point in points.items()}
        constraint_values = {t.number: _constraint_values(t, history.study) for t in ended if t.number in points}
        return cls(trials, _table(trials, losses), _table(trials, constraint_values))


def first_goal_losses(history: History) -> tuple[list[Trial], list[float]]:
    """The trials that ended, each with one loss, for a model of the first goal only.

    A trial that violates an outcome constraint counts as failed. Until one trial satisfies all constraints, the loss is
    the sum of the constraint violations.
    """
    observations = Observations.from_history(history)
    if not observations.trials:
        return [], []
    violations = np.maximum(observations.constraint_values, 0.0).sum(axis=1)  # (trials,); all 0 without constraints
    feasible = violations == 0
    if feasible.any():
        losses = np.where(feasible, observations.losses[:, 0], observations.losses[feasible, 0].max())
    else:
        losses = violations
    return observations.trials, losses.tolist()


def model_targets(observations: Observations) -> tuple[Array, Array]:
    """The losses and constraint values that a model with one output per goal and constraint is fitted to.

    Outliers among the losses are clipped; constraint values are compressed to sign(v) * log(1 + |v|).
    """
    losses = np.stack([clip_outliers(column) for column in observations.losses.T], axis=1)
    values = observations.constraint_values
    return losses, np.sign(values) * np.log1p(np.abs(values))


def clip_outliers(losses: Sequence[float] | Array) -> Array:
    """Clip losses at median + 3 * (median - best), so that a diverged run does not hide the differences between others.

    Args:
        losses: (losses,); lower is better.

    Returns:
        The clipped losses, (losses,); unchanged if the median equals the best.
    """
    given = np.asarray(losses, dtype=np.float64)
    median = np.median(given)
    reach = 3 * (median - given.min())
    return np.minimum(given, median + reach) if reach > 0 else given


def _constraint_values(trial: Trial, study: StudyRecord) -> tuple[float, ...]:
    """A constraint whose metric was not reported counts as exactly satisfied."""
    values = [(each, trial.value(each.metric)) for each in study.outcome_constraints]
    return tuple(0.0 if value is None else each.beyond(value) for each, value in values)


def _table(trials: Sequence[Trial], known: Mapping[int, tuple[float, ...]]) -> Array:
    """(trials, columns); a trial whose values are not known gets the worst of each column."""
    if not trials:
        return np.empty((0, 0))
    worst = tuple(map(max, zip(*known.values(), strict=True)))
    return np.array([known.get(trial.number, worst) for trial in trials], dtype=np.float64).reshape(len(trials), -1)
