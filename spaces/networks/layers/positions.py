"""Positional encodings for transformers, since attention alone does not depend on the order of tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.layers.initialization import normal

POSITIONS = ("learned", "sinusoidal")


class LearnedPositions(nn.Module):
    """Adds a learned vector for each position: (K, batch, tokens, width) → the same.

    See Gehring et al., 2017, "Convolutional sequence to sequence learning", section 3.1. `length` is the maximum number
    of tokens.
    """

    def __init__(self, length: int, width: int, generators: Sequence[torch.Generator], *, std: float) -> None:
        super().__init__()
        self.weight = normal((length, width), std, generators)  # (K, length, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight[:, None, : x.shape[2]]


class SinusoidalPositions(nn.Module):
    """Adds sines and cosines of the position: (K, batch, tokens, width) → the same. Wavelengths are 2π to 20,000π.

    See Vaswani et al., 2017, "Attention is all you need", section 3.5. Nothing is learned.
    """

    waves: Tensor
    # 1 in the paper, which scales the token vectors up (section 3.4). Here, token vectors are initially small and grow,
    # while these do not: with 1 they dominate the tokens in the first epochs, and with the initial size of the token
    # vectors the order of words is hardly learned.
    AMPLITUDE = 0.3

    def __init__(self, length: int, width: int, rows: int) -> None:
        super().__init__()
        position = torch.arange(length).unsqueeze(1)  # (length, 1)
        rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000) / width))
        angles = position * rates  # (length, width / 2, rounded up)
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width] * self.AMPLITUDE
        self.register_buffer("waves", waves.repeat(rows, 1, 1))  # (K, length, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.waves[:, None, : x.shape[2]]
