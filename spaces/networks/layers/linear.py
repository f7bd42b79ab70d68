"""Linear layers for a stack, as batched matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.spaces.networks.layers.initialization import initialize

# The output layer is padded with columns to a multiple of this many floats, a cache line: BLAS rounds differently if a
# row's result has another alignment, or a single column, and a network in a stack must equal the same network alone.
ALIGNED = 16


class Linear(nn.Module):
    """(K, batch, fan_in) → (K, batch, fan_out).

    `activation` is the name of the activation that follows, which the initialization takes into account.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        generators: Sequence[torch.Generator],
        *,
        activation: str | None = None,
        scheme: str = "auto",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = initialize(
            scheme, (fan_in, fan_out), fan_in, fan_out, activation, generators
        )  # (K, fan_in, fan_out)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, fan_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(x, self.weight)
        return torch.baddbmm(self.bias, x, self.weight)


class LowRank(nn.Module):
    """A linear layer whose weights are a product of two factors, (fan_in, rank) and (rank, fan_out).

    See Sainath et al., 2013, "Low-rank matrix factorization for deep neural network training with high-dimensional
    output targets". The first factor is initialized as an orthogonal projection, which preserves the variance of the
    inputs, and the second by the scheme.
    """

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        rank: int,
        generators: Sequence[torch.Generator],
        *,
        activation: str | None = None,
        scheme: str = "auto",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.first = Linear(fan_in, rank, generators, scheme="orthogonal", bias=False)
        self.second = Linear(rank, fan_out, generators, activation=activation, scheme=scheme, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))  # type: ignore[no-any-return]  # a module's call is untyped


class Output(nn.Module):
    """The last layer: (K, batch, fan_in) → (K, batch, outputs). Its weights are padded with unused columns."""

    def __init__(
        self, fan_in: int, outputs: int, generators: Sequence[torch.Generator], *, scheme: str = "auto"
    ) -> None:
        super().__init__()
        columns = math.ceil(outputs / ALIGNED) * ALIGNED
        drawn = initialize(scheme, (fan_in, outputs), fan_in, outputs, None, generators).detach()
        self.weight = nn.Parameter(functional.pad(drawn, (0, columns - outputs)))  # (K, fan_in, columns)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, columns))
        self.outputs = outputs

    @property
    def spare_parameters(self) -> int:
        """The number of weights and biases of each row in the padding, which are not part of the network."""
        return (self.weight.shape[1] + 1) * (self.weight.shape[2] - self.outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:  # without the padding, so that it is not counted
            return torch.baddbmm(self.bias[..., : self.outputs], x, self.weight[..., : self.outputs])
        return torch.baddbmm(self.bias, x, self.weight)[..., : self.outputs]
