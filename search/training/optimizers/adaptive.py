"""RMSprop and Adagrad: the learning rate of each weight is divided by the magnitude of its past gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.optimizers.rule import OptimizerRule


class Adaptive(OptimizerRule):
    """square ← keep · square + take · g²;  w ← w - rate · g / (√square + ε).

    Args:
        values: The flat weights, (K, P); updated in place.
        weight_decay: The weight decay of each row, (K, 1), added to the gradient g (L2).
        keep: The factor of the accumulated squares.
        take: The factor of the new squares.
        epsilon: Avoids a division by 0.
    """

    def __init__(self, values: Tensor, weight_decay: Tensor, *, keep: float, take: float, epsilon: float) -> None:
        self._values, self._weight_decay = values, weight_decay
        self._decays = bool(weight_decay.any())
        self._keep, self._take, self._epsilon = keep, take, epsilon
        self._square, self._scratch = torch.zeros_like(values), torch.zeros_like(values)

    @property
    def memory(self) -> Sequence[Tensor]:
        return [self._square]

    def epoch_begins(self, rates: Rates) -> None:
        self._descent = rates.times(-1.0, self._values)

    def step(self, step: int, gradient: Tensor) -> None:
        if self._decays:
            gradient.addcmul_(self._values, self._weight_decay)
        self._square.mul_(self._keep).addcmul_(gradient, gradient, value=self._take)
        torch.sqrt(self._square, out=self._scratch).add_(self._epsilon)
        self._values.addcmul_(gradient.div_(self._scratch), self._descent.at(step))


def rmsprop(values: Tensor, weight_decay: Tensor) -> Adaptive:
    """RMSprop, with an exponential moving average of the squares (Tieleman and Hinton, 2012, "Lecture 6.5: rmsprop").

    The constants are those of torch.
    """
    return Adaptive(values, weight_decay, keep=0.99, take=0.01, epsilon=1e-8)


def adagrad(values: Tensor, weight_decay: Tensor) -> Adaptive:
    """Adagrad, with the sum of all squares (Duchi et al., 2011, "Adaptive subgradient methods for online learning and
    stochastic optimization", section 1.1). The constants are those of torch.
    """
    return Adaptive(values, weight_decay, keep=1.0, take=1.0, epsilon=1e-10)
