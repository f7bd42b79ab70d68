"""Conversion between the two layouts of a stack's activations. It copies nothing for a stack of one."""

from __future__ import annotations

from torch import Tensor


def to_maps(x: Tensor) -> Tensor:
    """(K, batch, channels, …) → (batch, K * channels, …)"""
    return x.transpose(0, 1).flatten(1, 2)


def to_rows(x: Tensor, rows: int) -> Tensor:
    """(batch, K * channels, …) → (K, batch, channels, …), contiguous.

    Contiguous as for K = 1, because some activations (gelu) round differently for a strided tensor.
    """
    return x.view(len(x), rows, -1, *x.shape[2:]).transpose(0, 1).contiguous()
