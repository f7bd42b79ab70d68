"""A fully connected hidden layer: linear → activation → dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.layers.activations import ACTIVATIONS
from archsearch.spaces.networks.layers.dropout import Dropout
from archsearch.spaces.networks.layers.linear import Linear


class Dense(nn.Module):
    """(K, batch, fan_in) → (K, batch, width), with one dropout rate for each row."""

    def __init__(
        self,
        fan_in: int,
        width: int,
        dropouts: Sequence[float],
        generators: Sequence[torch.Generator],
        *,
        activation: str,
        scheme: str = "auto",
    ) -> None:
        super().__init__()
        self.linear = Linear(fan_in, width, generators, activation=activation, scheme=scheme)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropouts, generators)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.activation(self.linear(x)))  # type: ignore[no-any-return]  # a module's call is untyped
