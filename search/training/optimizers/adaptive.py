"""RMSprop and Adagrad: each weight's rate by the size of its own gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from search.training.optimizers.flat import Rates


class _Adaptive:
    """w ← w - rate · g / (√square + ε), where the squares are gathered as a subclass says; weight decay is L2."""

    EPSILON: float

    def __init__(self, values: Tensor, weight_decay: Tensor) -> None:
        self._values, self._weight_decay = values, weight_decay
        self._decays = bool(weight_decay.any())
        self._square, self._scratch = torch.zeros_like(values), torch.zeros_like(values)

    @property
    def memory(self) -> Sequence[Tensor]:
        return [self._square]

    def epoch(self, rates: Rates) -> None:
        self._rates = rates
        self._descent = (-rates.table).to(self._values.dtype)

    @torch.no_grad()
    def step(self, step: int, gradient: Tensor) -> None:
        if self._decays:
            gradient.addcmul_(self._values, self._weight_decay)
        self._gather(gradient)
        torch.sqrt(self._square, out=self._scratch).add_(self.EPSILON)
        self._values.addcmul_(gradient.div_(self._scratch), self._rates.over(self._descent, step))

    def _gather(self, gradient: Tensor) -> None:
        raise NotImplementedError


class RMSprop(_Adaptive):
    """square ← 0.99 · square + 0.01 · g² (Tieleman and Hinton, 2012, lecture 6.5), with torch's constants."""

    EPSILON = 1e-8
    ALPHA = 0.99

    def _gather(self, gradient: Tensor) -> None:
        self._square.mul_(self.ALPHA).addcmul_(gradient, gradient, value=1 - self.ALPHA)


class Adagrad(_Adaptive):
    """square ← square + g² (Duchi et al., 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization", section 1.1), with torch's constants.
    """

    EPSILON = 1e-10

    def _gather(self, gradient: Tensor) -> None:
        self._square.addcmul_(gradient, gradient)
