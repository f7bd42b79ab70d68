"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.optimizers.rule import OptimizerRule


class Adam(OptimizerRule):
    """Adam (Kingma and Ba, 2015, "Adam: A method for stochastic optimization", algorithm 1) and AdamW.

    The betas and epsilon are those of the paper and of torch.

    Args:
        values: The flat weights, (K, P); updated in place.
        weight_decay: The weight decay of each row, (K, 1).
        decoupled: Whether the weight decay is that of AdamW, w ← w - rate · weight_decay · w (Loshchilov and Hutter,
            2019, "Decoupled weight decay regularization", algorithm 2). Otherwise it is added to the gradient (L2).
    """

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(self, values: Tensor, weight_decay: Tensor, *, decoupled: bool) -> None:
        self._values, self._weight_decay, self._decoupled = values, weight_decay, decoupled
        self._decays = bool(weight_decay.any())
        self._mean, self._square, self._scratch = (torch.zeros_like(values) for _ in range(3))
        self._steps = torch.zeros((), dtype=torch.float64)  # the number of steps before the current epoch

    @property
    def memory(self) -> Sequence[Tensor]:
        return [self._mean, self._square, self._steps]

    def epoch_begins(self, rates: Rates) -> None:
        # Computed for the whole epoch at once, in float64: in float32, 1 - beta2 ** step loses four digits in the
        # first steps.
        steps, like = len(rates.table), self._values
        made = (self._steps + torch.arange(1, steps + 1)).view(-1, 1, 1).to(rates.table.device)
        bias1, bias2 = (1 - beta**made for beta in self.BETAS)  # (steps, 1, 1)
        root = bias2.sqrt()
        # w ← w - rate / bias1 · mean / (√square / root + ε), rearranged for the fewest passes over (K, P).
        self._epsilon = (root * self.EPSILON).to(like.dtype)
        self._divisor = (-bias1 / root / rates.table).to(like.dtype)
        self._shrink = rates.times(self._weight_decay, like)
        self._scales = rates.scales
        self._steps += steps

    def step(self, step: int, gradient: Tensor) -> None:
        beta1, beta2 = self.BETAS
        divisor = self._divisor[step]
        if self._scales is not None:
            divisor = divisor / self._scales
        if self._decays:
            self._decay(step, gradient)
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.sqrt(self._square, out=self._scratch).add_(self._epsilon[step]).mul_(divisor)
        self._values.addcdiv_(self._mean, self._scratch)

    def _decay(self, step: int, gradient: Tensor) -> None:
        if not self._decoupled:
            gradient.addcmul_(self._values, self._weight_decay)
            return
        self._values.mul_(1 - self._shrink.at(step))
