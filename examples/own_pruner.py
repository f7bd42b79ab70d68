"""A pruner of your own: stops a trial that is far from the best one at the same epoch.

archsearch run examples/own_pruner.py
"""

from dataclasses import dataclass

from archsearch import (
    MLP,
    Choice,
    Continue,
    Float,
    History,
    Int,
    Pruner,
    Recipe,
    Stop,
    Study,
    Supervised,
    Trial,
    digits,
)


@dataclass(frozen=True)
class FarFromBest(Pruner):
    """Stops a trial whose loss is more than `factor` times that of the best finished trial at the same step."""

    factor: float = 2.0
    warmup_steps: int = 2

    def judge(self, trial: Trial, history: History) -> Continue | Stop:
        """Compares the last report. At its last step a trial is complete, so it is not stopped."""
        budget, step = trial.proposal.budget, trial.step
        own = history.objectives_at(trial, step)
        if own is None or step <= self.warmup_steps or (budget is not None and step >= budget):
            return Continue()
        finished = (history.objectives_at(other, step) for other in history.in_state("finished"))
        losses = [other.losses[0] for other in finished if other is not None]
        if not losses or own.losses[0] <= min(losses) + (self.factor - 1) * abs(min(losses)):
            return Continue()
        return Stop(f"step {step}: loss {own.losses[0]:.3g}, and the best had {min(losses):.3g}")


study = Study(
    name="own-pruner",
    objective=Supervised(
        digits(), MLP(layers=Int(1, 3), units=Choice(16, 32, 64)), Recipe(learning_rate=Float(1e-4, 1e-1, log=True))
    ),
    minimize="val_loss",
    pruner=FarFromBest(),
    trials=20,
    budget=10,
)
