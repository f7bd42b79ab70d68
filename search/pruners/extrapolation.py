"""Learning-curve extrapolation: stop a trial that is unlikely to reach the best finished value."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np

from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.pruners._comparison import metrics_text, unreachable_warnings
from archsearch.spaces import SpecError
from archsearch.studies.goals import ObjectiveVector, ranks
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial

# Of the power law a + b / step**EXPONENT. On TaskSet, values from 0.25 to 1 made no difference, while 0 (flat) did.
EXPONENT = 0.5

Losses = tuple[float, float, float]  # of a finished trial: at half the step, at the step, and at its end


@dataclass(frozen=True, slots=True)
class Extrapolation(Pruner):
    """Stops a trial if its extrapolated learning curve reaches the best finished value with a low probability.

    Use it if curves cross late or differ in speed, so that a comparison at the current step would mislead. It adapts to
    the study and needs no warm-up: if early steps say little about the final value, its uncertainty is large, and
    trials continue.

    A curve is extrapolated to the study's budget by the power law through its values at half the current step and at
    the current step. The curves of the finished trials are extrapolated from the same two steps, and the errors of
    these extrapolations are taken as the distribution of the error for this trial. If k of the n errors would let the
    trial reach the best value, its probability is (k + 1/2) / (n + 1), the mean under Jeffreys' prior. Each step is
    judged separately, so over all steps the rate of wrong decisions may exceed `chance`.

    Losses of finished trials are limited to the worst loss of this trial or the median of the final losses, whichever
    is higher: a finished trial that recovered from a loss of 1e16 says nothing about the gain of a trial that never had
    one. Without a budget, curves are extrapolated to the last step of the best trial. If the metric does not come with
    every report, a trial is judged only at a new value, "half the step" is the last step before it that has one, and
    finished trials count with their latest values at the two steps; those that have none yet are ignored. No trial is
    stopped at its last step. A verdict takes one pass over the trials.

    With several goals each has its own curve, with the errors of one finished trial applied to all goals together. The
    trial reaches the best if it ends at a point that no finished trial dominates. Only finished trials that satisfy the
    outcome constraints count as best; whether the trial itself will satisfy them is not predicted.

    References:
        Domhan et al. 2015, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation
        of Learning Curves", for the criterion. Their probability comes from eleven curve models, fitted by MCMC to the
        trial alone; here it comes from one model and its errors on the finished trials.

    Args:
        chance: The probability below which a trial is stopped, above 0 and at most 0.5. With the default of 0.1 no
            trial is stopped before five have finished, since fewer give no probability that low. On TaskSet, 0.05,
            which waits for ten, found less, and 0.2 found no more while stopping twice as many late improvers.

    Raises:
        SpecError: `chance` is invalid.
    """

    chance: float = 0.1

    def __post_init__(self) -> None:
        value = self.chance
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 0.5:
            raise SpecError(
                f"Extrapolation chance must be a number above 0, at most 0.5, got {value!r}; the default is 0.1"
            )

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warn if the settings cannot stop any trial of the study."""
        return unreachable_warnings(self, study, trials, first=2, why="it needs two reports")

    def judge(self, trial: Trial, history: History) -> Verdict:
        study, budget, step = history.study, history.study.budget, trial.step
        finished = [
            (last, other)
            for other in history.trials
            if other.state == "finished"
            and other.number != trial.number
            and (last := history.objectives(other)) is not None
        ]
        kept = [(last, other) for last, other in finished if not last.violation]
        points = dict(history.curve(trial))
        half = max((each for each in points if 2 * each <= step), default=None)
        if not kept or step not in points or half is None:
            return Continue()
        leader, leading_trial = min(kept, key=lambda each: each[0].losses)
        end = leading_trial.step if budget is None else budget
        known = [
            (*reached, last.losses) for last, other in finished if (reached := _losses(other, history, half, step))
        ]
        if step >= min(end, trial.proposal.budget or end) or not known:
            return Continue()

        ahead = (step**-EXPONENT - end**-EXPONENT) / (
            half**-EXPONENT - step**-EXPONENT
        )  # relative to the gain since half the step
        possible: list[list[float]] = []  # per goal, one for each of the known trials
        for place in range(len(study.goals)):
            curve = [point.losses[place] for point in points.values()]
            others: list[Losses] = [(before[place], now[place], last[place]) for before, now, last in known]
            limit = max(*curve, statistics.median(last for _, _, last in others))
            now, before = points[step].losses[place], points[half].losses[place]
            possible.append(_possible_ends(before, now, others, ahead, limit))
        ends = [ObjectiveVector(0.0, losses) for losses in zip(*possible, strict=True)]
        best = {last for (last, _), rank in zip(kept, ranks([last for last, _ in kept]), strict=True) if rank == 0}
        unbeaten = sum(not any(point != ending and point.weakly_dominates(ending) for point in best) for ending in ends)
        chance = (unbeaten + 0.5) / (len(ends) + 1)
        if chance >= self.chance:
            return Continue()
        current = metrics_text(trial, step, history)
        if len(study.goals) > 1:
            return Stop(
                f"step {step}: {current}; the probability of ending on the Pareto front at step {end} is {chance:.2g}, "
                f"estimated from {len(known)} finished trials"
            )
        goal = study.goal
        low, middle, high = sorted(map(goal.loss, np.quantile(possible[0], [self.chance, 0.5, 1 - self.chance])))
        return Stop(
            f"step {step}: {current}; predicted {middle:.4g} at step {end} ({low:.4g} to {high:.4g}, estimated from "
            f"{len(known)} finished trials); the probability of reaching {goal.loss(leader.losses[0]):.4g} is "
            f"{chance:.2g}"
        )


def _losses(trial: Trial, history: History, half: int, step: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The losses of a trial at these two steps; None if it had none yet."""
    before, now = history.objectives_at(trial, half), history.objectives_at(trial, step)
    return None if before is None or now is None else (before.losses, now.losses)


def _possible_ends(half: float, now: float, known: list[Losses], ahead: float, limit: float) -> list[float]:
    """The final losses of the trial if its extrapolation has the same error as that of each finished trial.

    Args:
        half: The loss of the trial at half the step.
        now: Its loss at the step.
        known: The losses of the finished trials.
        ahead: The gain that is still to come, relative to the gain since half the step.
        limit: The highest loss that a finished trial counts with.
    """

    def extrapolated(half: float, now: float) -> float:
        return now - ahead * (half - now)

    expected = extrapolated(half, now)
    # In this order of operations, equal curves end at exactly equal losses.
    return [last + (expected - extrapolated(min(half, limit), min(now, limit))) for half, now, last in known]
