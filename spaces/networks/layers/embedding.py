"""Embedding for a stack: each row has its own table of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.spaces.networks.layers.initialization import normal


class Embedding(nn.Module):
    """Codes (K, …) below `codes` → vectors (K, …, width).

    Args:
        codes: The number of codes.
        width: The length of a vector.
        generators: One for each row, for the initialization.
        std: The standard deviation of the initial vectors; 1 as in torch.nn.Embedding.
        padding: The code, if any, whose vector is always 0.
    """

    offset: Tensor

    def __init__(
        self,
        codes: int,
        width: int,
        generators: Sequence[torch.Generator],
        *,
        std: float = 1.0,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.weight = normal((codes, width), std, generators)  # (K, codes, width)
        self.padding = padding
        self.register_buffer("offset", torch.arange(len(generators)) * codes)  # (K,)

    def forward(self, codes: Tensor) -> Tensor:
        offset = self.offset.view(-1, *(1,) * (codes.dim() - 1))
        vectors = functional.embedding(codes.long() + offset, self.weight.flatten(0, 1))
        return vectors if self.padding is None else vectors * (codes != self.padding).unsqueeze(-1)
