"""The two layouts of a stack's activations, and the way from one to the other. Free for a stack of one."""

from __future__ import annotations

from torch import Tensor


def to_maps(x: Tensor) -> Tensor:
    """(K, batch, channels, …) → (batch, K * channels, …)"""
    return x.transpose(0, 1).flatten(1, 2)


def to_rows(x: Tensor, rows: int) -> Tensor:
    """(batch, K * channels, …) → (K, batch, channels, …), contiguous.

    Contiguous, as it is at K = 1: some activations (gelu) round otherwise over a strided tensor.
    """
    return x.view(len(x), rows, -1, *x.shape[2:]).transpose(0, 1).contiguous()
