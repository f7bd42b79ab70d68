"""SGD and AdamW over a stack of K trials, on one flat tensor.

All parameters of the stack are views of one tensor (K, P), and a step gathers their gradients into another, so it is
a handful of operations however many layers there are; and what differs between trials is a column (K, 1). Frozen
parameters are no part of it; where some learn more slowly than others, that is a row (1, P). The rules are those of
torch.optim: SGD with momentum (its L2 weight decay is added to the gradient), and AdamW (Loshchilov and
Hutter, 2019, "Decoupled weight decay regularization", algorithm 2). A row's numbers do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from spaces import Config

CACHE_LINE = 16  # floats


class Optimizer(Protocol):
    """What the loop asks: a step down the gradients, which come in the order of `trained(model)`."""

    def step(self, gradients: Sequence[Tensor]) -> None: ...


def optimizer_for(model: nn.Module, configs: Sequence[Config]) -> Optimizer:
    """The optimizer that the configs name (all the same one), with each row's own rates."""
    values = flatten(model, len(configs))
    learning_rate, weight_decay = _column(configs, "learning_rate", values), _column(configs, "weight_decay", values)
    scales = _scales(model, values)
    if configs[0]["optimizer"] == "sgd":
        return SGD(values, learning_rate, weight_decay, _column(configs, "momentum", values), scales)
    return AdamW(values, learning_rate, weight_decay, scales)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained: all but the frozen ones."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def flatten(model: nn.Module, rows: int) -> Tensor:
    """Moves all trained parameters of the K rows into one tensor (K, P), of which they are views; returns it.

    P is rounded up to whole cache lines: at another alignment, BLAS rounds a row otherwise than it would alone.
    Raises ValueError for a model without any.
    """
    parameters = trained(model)
    if not parameters:
        raise ValueError("the network has nothing to train: all its parameters are frozen, or it has none; free one")
    values = _flat([parameter.detach() for parameter in parameters], rows)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel() // rows
        parameter.data = values[:, start:stop].view(parameter.shape)
        start = stop
    return values


class SGD:
    """Stochastic gradient descent with momentum: b ← momentum · b + g + weight_decay · p;  p ← p - learning_rate · b.

    values: (K, P). The rates: (K, 1), learning_rate > 0, weight_decay >= 0, 0 <= momentum < 1. scales: (1, P), by
    which the learning rate is multiplied.
    """

    def __init__(
        self,
        values: Tensor,
        learning_rate: Tensor,
        weight_decay: Tensor,
        momentum: Tensor,
        scales: Tensor | None = None,
    ) -> None:
        self._values = values
        self._descent = -learning_rate if scales is None else -learning_rate * scales
        self._weight_decay, self._momentum = weight_decay, momentum
        self._decays = bool(weight_decay.any())
        self._buffer = torch.zeros_like(values)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        gradient = _flat(gradients, len(self._values))
        if self._decays:
            gradient.addcmul_(self._values, self._weight_decay)
        self._buffer.mul_(self._momentum).add_(gradient)
        self._values.addcmul_(self._buffer, self._descent)


class AdamW:
    """Adam with decoupled weight decay; betas and epsilon are the paper's, which are torch's too.

    values: (K, P). The rates: (K, 1), learning_rate > 0, weight_decay >= 0. scales: (1, P), by which the learning rate
    is multiplied.
    """

    BETAS = (0.9, 0.999)
    EPSILON = 1e-8

    def __init__(
        self, values: Tensor, learning_rate: Tensor, weight_decay: Tensor, scales: Tensor | None = None
    ) -> None:
        self._values = values
        self._decay = 1 - learning_rate * weight_decay * (1 if scales is None else scales)
        self._unscale = None if scales is None else 1 / scales
        self._decays = bool(weight_decay.any())
        self._mean, self._square, self._scratch = (torch.zeros_like(values) for _ in range(3))
        # Each row's beta ** step, in double: at the first steps 1 - beta2 ** step loses four digits in single.
        self._betas = torch.tensor(self.BETAS, dtype=torch.float64, device=values.device).view(2, 1, 1)
        self._powers = torch.ones(2, len(values), 1, dtype=torch.float64, device=values.device)  # (2, K, 1)
        self._ascent = -1 / learning_rate.double()

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        gradient, (beta1, beta2) = _flat(gradients, len(self._values)), self.BETAS
        self._powers.mul_(self._betas)
        bias1, bias2 = 1 - self._powers  # (K, 1) each
        root = bias2.sqrt()
        # p ← p - rate / bias1 · mean / (√square / root + ε), turned so that it takes the fewest passes over (K, P).
        epsilon, divisor = (root * self.EPSILON).to(self._values), (bias1 / root * self._ascent).to(self._values)
        if self._decays:
            self._values.mul_(self._decay)
        self._mean.lerp_(gradient, 1 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        torch.sqrt(self._square, out=self._scratch).add_(epsilon).mul_(divisor)
        if self._unscale is not None:
            self._scratch.mul_(self._unscale)
        self._values.addcdiv_(self._mean, self._scratch)


def _flat(tensors: Sequence[Tensor], rows: int) -> Tensor:
    """Of K rows each → (K, P), with zeros at the end of the rows."""
    tables = [tensor.reshape(rows, -1) for tensor in tensors]
    padding = -sum(table.shape[1] for table in tables) % CACHE_LINE
    return torch.cat([*tables, tables[0].new_zeros(rows, padding)], dim=1)


def _scales(model: nn.Module, values: Tensor) -> Tensor | None:
    """What the model says that the learning rate is multiplied by, for each of the flat values (1, P)."""
    scales = getattr(model, "rate_scales", None)
    if not scales:
        return None
    row, start = torch.ones_like(values[:1]), 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel() // len(values)
            row[:, start:stop] = scales.get(name, 1.0)
            start = stop
    return row


def _column(configs: Sequence[Config], name: str, like: Tensor) -> Tensor:
    """That parameter of every config, as (K, 1)."""
    values: list[Any] = [config[name] for config in configs]
    return like.new_tensor(values).view(-1, 1)
