"""A technique of your own: one class, and one line in the recipe. This one is lookahead (Zhang et al., 2019): every few
steps, the weights are moved back part of the way to their earlier values. The share is a parameter of the search.

    archsearch run examples/own_technique.py
"""

from archsearch import MLP, TPE, Float, Recipe, Space, Study, Supervised, Technique, digits


class Lookahead(Technique):
    stackable = True  # each row of the weights (K, P) is treated independently

    def __init__(self, steps: int = 5) -> None:
        self.steps = steps

    @property
    def space(self) -> Space:
        return Space(lookahead_share=Float(0.3, 1.0))  # 1.0 is no lookahead

    def training_begins(self, training) -> None:
        self.slow, self.made = training.weights.clone(), 0
        self.share = training.weights.new_tensor([[config["lookahead_share"]] for config in training.configs])  # (K, 1)

    def step_ends(self, training) -> None:
        self.made += 1
        if self.made % self.steps == 0:
            self.slow += self.share * (training.weights - self.slow)
            training.weights.copy_(self.slow)

    def state(self):
        return self.slow, self.made

    def restore(self, state) -> None:
        self.slow, self.made = state[0].to(self.slow.device), state[1]


recipe = Recipe(learning_rate=Float(1e-4, 1e-1, log=True), techniques=[Lookahead()])
objective = Supervised(digits(), MLP(layers=2, units=64), recipe)
study = Study(name="own-technique", objective=objective, maximize="val_accuracy", strategy=TPE(), trials=20, budget=10)
