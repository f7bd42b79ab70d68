"""Stochastic gradient descent with momentum or Nesterov momentum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.optimizers.rule import OptimizerRule


class SGD(OptimizerRule):
    """g ← g + weight_decay · w;  b ← momentum · b + g;  w ← w - rate · b, or - rate · (g + momentum · b) with Nesterov.

    Nesterov momentum as in Sutskever et al., 2013, "On the importance of initialization and momentum in deep learning",
    section 2.

    Args:
        values: The flat weights, (K, P); updated in place.
        weight_decay: The weight decay of each row, (K, 1), added to the gradient g (L2).
        momentum: The momentum of each row, (K, 1).
        nesterov: Whether to use Nesterov momentum.
    """

    def __init__(self, values: Tensor, weight_decay: Tensor, momentum: Tensor, *, nesterov: bool = False) -> None:
        self._values, self._weight_decay, self._momentum, self._nesterov = values, weight_decay, momentum, nesterov
        self._decays = bool(weight_decay.any())
        self._buffer = torch.zeros_like(values)

    @property
    def memory(self) -> Sequence[Tensor]:
        return [self._buffer]

    def epoch_begins(self, rates: Rates) -> None:
        self._descent = rates.times(-1.0, self._values)

    def step(self, step: int, gradient: Tensor) -> None:
        if self._decays:
            gradient.addcmul_(self._values, self._weight_decay)
        self._buffer.mul_(self._momentum).add_(gradient)
        direction = gradient.addcmul_(self._buffer, self._momentum) if self._nesterov else self._buffer
        self._values.addcmul_(direction, self._descent.at(step))
