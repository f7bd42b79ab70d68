"""Learning-curve extrapolation: a trial stops when it has hardly a chance left to come up to the best finished value.

The criterion is that of Domhan et al. 2015, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks
by Extrapolation of Learning Curves". Their probability comes from eleven curve models, fitted by MCMC to the trial
alone; ours from one model, and from how far it missed on the trials that have finished.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from search.protocols import Continue, Stop, Verdict
from spaces import SpecError
from studies.history import History
from studies.records import Trial

# Of the power law a + b / step**EXPONENT. From 0.25 to 1 it made no difference on TaskSet, 0 (no slope) did.
EXPONENT = 0.5

Losses = tuple[float, float, float]  # of a finished trial: at half the step, at the step, at its end


@dataclass(frozen=True, slots=True)
class Extrapolation:
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
    """

    chance: float = 0.1

    def __post_init__(self) -> None:
        value = self.chance
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 0.5:
            raise SpecError(f"Extrapolation chance must be a number above 0, at most 0.5, got {value!r}; 0.1 is usual")

    def judge(self, trial: Trial, history: History) -> Verdict:
        goal, budget, step = history.study.goal, history.study.budget, trial.step
        finished = [
            (last, other)
            for other in history.trials
            if other.state == "finished" and other.number != trial.number and (last := history.loss(other)) is not None
        ]
        own = {r.step: goal.loss(r.metrics[goal.metric]) for r in trial.reports if goal.metric in r.metrics}
        half = max((each for each in own if 2 * each <= step), default=None)
        if not finished or step not in own or half is None:
            return Continue()
        best, best_trial = min(finished, key=itemgetter(0))
        end = best_trial.step if budget is None else budget
        known = [(*told, last) for last, other in finished if (told := _losses(other, history, half, step)) is not None]
        if step >= min(end, trial.proposal.budget or end) or not known:
            return Continue()

        ahead = (step**-EXPONENT - end**-EXPONENT) / (half**-EXPONENT - step**-EXPONENT)  # in gains since half the step
        limit = max(*own.values(), statistics.median(last for _, _, last in known))
        possible = _possible_ends(own[half], own[step], known, ahead, limit)
        chance = (sum(loss <= best for loss in possible) + 0.5) / (len(possible) + 1)
        if chance >= self.chance:
            return Continue()
        low, middle, high = sorted(map(goal.loss, np.quantile(possible, [self.chance, 0.5, 1 - self.chance])))
        return Stop(
            f"step {step}: {goal.metric} {goal.loss(own[step]):.4g} leads to {middle:.4g} at step {end} ({low:.4g} to "
            f"{high:.4g}, as {len(known)} finished trials went on); a chance of {chance:.2g} to come up to "
            f"{goal.loss(best):.4g}"
        )


def _losses(trial: Trial, history: History, half: int, step: int) -> tuple[float, float] | None:
    """Its losses at these steps; None where one was not reported."""
    before, now = history.loss_at(trial, half), history.loss_at(trial, step)
    return None if before is None or now is None else (before, now)


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
