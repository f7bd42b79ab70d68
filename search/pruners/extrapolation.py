"""Learning-curve extrapolation: a trial stops when it has hardly a chance left to come up to the best finished value.

The criterion is that of Domhan et al. 2015, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks
by Extrapolation of Learning Curves". Their probability comes from eleven curve models, fitted by MCMC to the trial
alone; ours from one model, and from how far it missed on the trials that have finished.
"""

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

# Of the power law a + b / step**EXPONENT. From 0.25 to 1 it made no difference on TaskSet, 0 (no slope) did.
EXPONENT = 0.5

Losses = tuple[float, float, float]  # of a finished trial: at half the step, at the step, at its end


@dataclass(frozen=True, slots=True)
class Extrapolation(Pruner):
    """Stops a trial whose extrapolated curve comes up to the best finished value with a probability below `chance`.

    - chance: above 0, at most 0.5. With 0.1, nobody stops before five trials have finished, since fewer cannot tell
      what one in ten does. On TaskSet 0.05, which waits for ten, found less, and 0.2 no more, at twice the late ones.

    A curve is extrapolated to the study's budget along the power law through its values at half the step and at the
    step. So are those of the finished trials, from the same two steps; how far each of them then missed its last value
    is how far this one may be missed. So there is no warm-up: where the first steps say nothing of the last, or some
    have bloomed late, the misses are large, and trials go on. When the misses of k of n finished trials would do, the
    probability is (k + 1/2) / (n + 1), its mean under Jeffreys' prior. Each step is judged anew, so over all of them
    more than `chance` may err.

    What was worse than all that this trial has seen, and than the finished ones usually end, counts as no worse: who
    has come back from 1e16 does not show how much one gains who never was there. Without a budget, the end is where the
    best trial ended. Finished trials without a value at the two steps are not asked, a trial without one goes on, and
    nothing stops at the trial's last step. One pass over the trials per verdict.

    With several goals each has its curve, missed by what the same trial missed; to come up to the best is then to end
    where no finished trial is as good in every goal and better in one. The best are those that keep the outcome
    constraints; whether the trial itself will is not foretold.
    """

    chance: float = 0.1

    def __post_init__(self) -> None:
        value = self.chance
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 0.5:
            raise SpecError(f"Extrapolation chance must be a number above 0, at most 0.5, got {value!r}; 0.1 is usual")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warns where it would never stop a trial."""
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
        points = {r.step: point for r in trial.reports if (point := history.objectives_at(trial, r.step)) is not None}
        half = max((each for each in points if 2 * each <= step), default=None)
        if not kept or step not in points or half is None:
            return Continue()
        leader, leading = min(kept, key=lambda each: each[0].losses)
        end = leading.step if budget is None else budget
        known = [(*told, last.losses) for last, other in finished if (told := _losses(other, history, half, step))]
        if step >= min(end, trial.proposal.budget or end) or not known:
            return Continue()

        ahead = (step**-EXPONENT - end**-EXPONENT) / (half**-EXPONENT - step**-EXPONENT)  # in gains since half the step
        possible: list[list[float]] = []  # of each goal, as each of the known trials went on
        for place in range(len(study.goals)):
            curve = [point.losses[place] for point in points.values()]
            others: list[Losses] = [(before[place], now[place], last[place]) for before, now, last in known]
            limit = max(*curve, statistics.median(last for _, _, last in others))
            now, before = points[step].losses[place], points[half].losses[place]
            possible.append(_possible_ends(before, now, others, ahead, limit))
        ends = [ObjectiveVector(0.0, losses) for losses in zip(*possible, strict=True)]
        best = {last for (last, _), rank in zip(kept, ranks([last for last, _ in kept]), strict=True) if rank == 0}
        unbeaten = sum(not any(point != ending and point.covers(ending) for point in best) for ending in ends)
        chance = (unbeaten + 0.5) / (len(ends) + 1)
        if chance >= self.chance:
            return Continue()
        now_says = metrics_text(trial.reports[-1], study)
        if len(study.goals) > 1:
            return Stop(
                f"step {step}: {now_says}, and a chance of {chance:.2g} to be, at step {end}, where no finished trial "
                f"is better, as {len(known)} of them went on"
            )
        goal = study.goal
        low, middle, high = sorted(map(goal.loss, np.quantile(possible[0], [self.chance, 0.5, 1 - self.chance])))
        return Stop(
            f"step {step}: {now_says} leads to {middle:.4g} at step {end} ({low:.4g} to {high:.4g}, as {len(known)} "
            f"finished trials went on); a chance of {chance:.2g} to come up to {goal.loss(leader.losses[0]):.4g}"
        )


def _losses(trial: Trial, history: History, half: int, step: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Its losses at these steps; None where one was not reported."""
    before, now = history.objectives_at(trial, half), history.objectives_at(trial, step)
    return None if before is None or now is None else (before.losses, now.losses)


def _possible_ends(half: float, now: float, known: list[Losses], ahead: float, limit: float) -> list[float]:
    """What the trial would come to if its extrapolation missed by as much as that of each finished trial did.

    half, now: the trial's losses. ahead: what a curve still gains, in what it has gained since half the step. limit:
    what a finished trial's loss counts as where it was worse.
    """

    def extrapolated(half: float, now: float) -> float:
        return now - ahead * (half - now)

    expected = extrapolated(half, now)
    # In this order equal curves come to exactly equal ends.
    return [last + (expected - extrapolated(min(half, limit), min(now, limit))) for half, now, last in known]
