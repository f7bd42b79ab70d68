"""Linear layers, hand-batched over the rows of a stack."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.spaces.networks.layers.initialization import initialize

# The output layer has spare columns up to this many floats, a cache line: BLAS rounds a row of the stack otherwise than
# the same network alone where the row's result starts at another alignment, or has one column.
ALIGNED = 16


class Linear(nn.Module):
    """(K, batch, fan_in) → (K, batch, fan_out). `activation` names what follows, for a start that fits it."""

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
    """A linear layer whose weights are a product of two factors, (fan_in, rank) and (rank, fan_out) (Sainath et al.,
    2013, "Low-rank matrix factorization for deep neural network training with high-dimensional output targets").

    The first factor starts as an orthogonal projection, which hands its inputs' variance on; the second by the scheme.
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
    """The last layer: (K, batch, fan_in) → (K, batch, outputs), with spare columns of zeros that nothing ever reads."""

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
        """Of each row, in the spare columns: weights and biases that are part of no network."""
        return (self.weight.shape[1] + 1) * (self.weight.shape[2] - self.outputs)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:  # without the spare columns, so that what is counted there is what the network needs
            return torch.baddbmm(self.bias[..., : self.outputs], x, self.weight[..., : self.outputs])
        return torch.baddbmm(self.bias, x, self.weight)[..., : self.outputs]
