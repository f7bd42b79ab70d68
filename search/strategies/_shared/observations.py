"""What a Gaussian process is told: every trial that ended, as losses that do not drown the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.studies.goals import best_first
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial

Array = NDArray[np.float64]

_TOLD = 300  # a fit is cubic in the trials; so many take it some seconds


@dataclass(frozen=True, slots=True)
class Observations:
    """The trials that ended, by number, and what is told of them. Empty when none has a value.

    losses: (trials, goals). beyond: (trials, outcome constraints), how far each value lies beyond its bound, in parts
    of the bound; negative inside. A pruned trial has its last values, and a failed one the worst seen, of each column
    by itself: without them the model would go there again.
    """

    trials: list[Trial]
    losses: Array
    beyond: Array


def observed(history: History) -> Observations:
    """Of more than 300 trials, half of so many are the best, and half the newest."""
    ended = history.in_state("finished", "pruned")
    points = {trial.number: point for trial in ended if (point := history.objectives(trial)) is not None}
    told = [trial for trial in history.trials if trial.state == "failed" or trial.number in points] if points else []
    if len(told) > _TOLD:
        numbers = [*points]
        best = [numbers[place] for place in best_first([*points.values()])[: _TOLD // 2]]
        kept = {*best, *(trial.number for trial in told[-_TOLD // 2 :])}
        told = [trial for trial in told if trial.number in kept]
    losses = {number: point.losses for number, point in points.items()}
    beyond = {trial.number: _beyond(trial, history.study) for trial in ended if trial.number in points}
    return Observations(told, _table(told, losses), _table(told, beyond))


def single(history: History) -> tuple[list[Trial], list[float]]:
    """The trials that ended, each with one loss, for a model of the first goal alone.

    One that breaks an outcome constraint counts as a failed one. Until a trial has kept them, the loss is how far a
    trial is beyond them.
    """
    seen = observed(history)
    if not seen.trials:
        return [], []
    beyond = np.maximum(seen.beyond, 0.0).sum(axis=1)  # (trials,); all 0 without constraints
    kept = beyond == 0
    losses = np.where(kept, seen.losses[:, 0], seen.losses[kept, 0].max()) if kept.any() else beyond
    return seen.trials, losses.tolist()


def tamed(seen: Observations) -> tuple[Array, Array]:
    """What a model of every goal and constraint by itself is told: both tables, without what would drown the rest.

    The losses are cut; how far a trial is beyond a constraint, or inside, grows with its logarithm.
    """
    losses = np.stack([cut(column) for column in seen.losses.T], axis=1)
    return losses, np.sign(seen.beyond) * np.log1p(np.abs(seen.beyond))


def cut(losses: Sequence[float] | Array) -> Array:
    """Losses worse than the median by more than three times what the best is better count as that much worse.

    So one diverged run does not flatten all differences between good ones. (losses,)
    """
    given = np.asarray(losses, dtype=np.float64)
    median = np.median(given)
    reach = 3 * (median - given.min())
    return np.minimum(given, median + reach) if reach > 0 else given


def _beyond(trial: Trial, study: StudyRecord) -> tuple[float, ...]:
    """A constraint whose metric is not there counts as just kept."""
    values = [(each, trial.value(each.metric)) for each in study.outcome_constraints]
    return tuple(0.0 if value is None else each.beyond(value) for each, value in values)


def _table(told: Sequence[Trial], known: Mapping[int, tuple[float, ...]]) -> Array:
    """(trials, columns), with the worst of each column for those that are not known."""
    if not told:
        return np.empty((0, 0))
    worst = tuple(map(max, zip(*known.values(), strict=True)))
    return np.array([known.get(trial.number, worst) for trial in told], dtype=np.float64).reshape(len(told), -1)
