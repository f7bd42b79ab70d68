"""Self-attention for a stack: the heads of all rows are heads of one torch operation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.spaces.networks.layers.linear import Linear


class SelfAttention(nn.Module):
    """Multi-head self-attention: (K, batch, tokens, width) → the same, with width = heads * head_width.

    See Vaswani et al., 2017, "Attention is all you need", sections 3.2.1 and 3.2.2. The mask (K, batch, tokens) is True
    for tokens that may be attended to; each text needs at least one.
    """

    def __init__(
        self, heads: int, head_width: int, generators: Sequence[torch.Generator], *, scheme: str = "auto"
    ) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.queries_keys_values = Linear(width, 3 * width, generators, scheme=scheme)
        self.last = Linear(width, width, generators, scheme=scheme)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        rows, batch, tokens, width = x.shape
        projected = self.queries_keys_values(x.flatten(1, 2)).view(rows * batch, tokens, 3, self.heads, -1)
        queries, keys, values = projected.permute(2, 0, 3, 1, 4)  # (K * batch, heads, tokens, head_width) each
        # On a CPU, torch's fused attention is about as fast as two matrix products at 40 tokens, and twice as fast at
        # 128. On the meta device it is computed as these two products, so that their FLOPs are counted.
        attended = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask.reshape(rows * batch, 1, 1, tokens)
        )
        joined = attended.transpose(1, 2).reshape(rows, batch * tokens, width)
        return self.last(joined).view(x.shape)  # type: ignore[no-any-return]  # a module's call is untyped
