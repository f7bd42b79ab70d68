"""Lion: steps along the sign of the momentum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.optimizers.rule import OptimizerRule


class Lion(OptimizerRule):
    """c = 0.9 · m + 0.1 · g;  w ← w - rate · (sign(c) + weight_decay · w);  m ← 0.99 · m + 0.01 · g.

    Chen et al., 2023, "Symbolic discovery of optimization algorithms", algorithm 2. It needs a learning rate 3 to 10
    times smaller than AdamW (section 5).

    Args:
        values: The flat weights, (K, P); updated in place.
        weight_decay: The weight decay of each row, (K, 1).
    """

    BETAS = (0.9, 0.99)

    def __init__(self, values: Tensor, weight_decay: Tensor) -> None:
        self._values, self._weight_decay = values, weight_decay
        self._decays = bool(weight_decay.any())
        self._momentum = torch.zeros_like(values)

    @property
    def memory(self) -> Sequence[Tensor]:
        return [self._momentum]

    def epoch_begins(self, rates: Rates) -> None:
        self._descent = rates.times(-1.0, self._values)

    def step(self, step: int, gradient: Tensor) -> None:
        beta1, beta2 = self.BETAS
        direction = self._momentum.lerp(gradient, 1 - beta1).sign_()
        if self._decays:
            direction.addcmul_(self._values, self._weight_decay)
        self._values.addcmul_(direction, self._descent.at(step))
        self._momentum.lerp_(gradient, 1 - beta2)
