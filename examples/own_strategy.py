"""A strategy of your own: simulated annealing, which mutates finished trials and becomes greedier over time.

archsearch run examples/own_strategy.py
"""

from dataclasses import dataclass

import numpy as np

from archsearch import MLP, Choice, Float, History, Int, Proposal, Recipe, Strategy, Study, Supervised, digits, mutate


@dataclass(frozen=True)
class Annealing(Strategy):
    """Mutates one of the best finished trials: any of them at the beginning, only the best at the end."""

    start: int = 5
    cooling: float = 0.9

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """The base class repairs illegal configurations, and asks again for those that were tried before."""
        space, finished = history.study.space, history.in_state("finished")
        if len(finished) < self.start:
            return Proposal(space.sample(rng), reason="start-up trial", drawn_at_random=True)
        ranked = sorted(finished, key=lambda trial: (history.loss(trial), trial.number))
        temperature = self.cooling ** len(finished)
        parent = ranked[int(rng.random() * temperature * len(ranked))]
        reason = f"mutation of trial {parent.number} at temperature {temperature:.2f}"
        return Proposal(mutate(space, parent.config, rng), reason=reason, state={"parent": parent.number})


study = Study(
    name="own-strategy",
    objective=Supervised(
        digits(), MLP(layers=Int(1, 3), units=Choice(16, 32, 64)), Recipe(learning_rate=Float(1e-4, 1e-1, log=True))
    ),
    maximize="val_accuracy",
    strategy=Annealing(),
    trials=20,
    budget=5,
)
