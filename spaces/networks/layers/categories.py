"""Learned vectors for categorical columns (Guo and Berkhahn, 2016, "Entity embeddings of categorical variables")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.layers.initialization import normal


class Categories(nn.Module):
    """Numeric columns, then a vector for each categorical one: (K, batch, columns) → (K, batch, features).

    A column of n codes has vectors of min(width, n - 1) numbers, since more cannot represent more. Code 0, a value that
    the training data does not have, is a vector of zeros, as in one-hot encoding. The other vectors have an initial
    length of about 1, also as in one-hot encoding.
    """

    column: Tensor
    start: Tensor
    stride: Tensor

    def __init__(self, inputs: Inputs, width: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        known = [codes - 1 for codes in inputs.categories]
        widths = [min(width, codes) for codes in known]
        tables: list[Tensor] = [normal((n * w,), w**-0.5, generators) for n, w in zip(known, widths, strict=True)]
        # One flat tensor for all columns, (K, numbers): separate lookups for each column take three times as long.
        self.weight = nn.Parameter(torch.cat(tables, dim=1).detach())
        self.numbers = inputs.shape[0] - len(known)
        self.features = self.numbers + sum(widths)

        # Feature f of code c of its column is at start + c * stride; code 0 has none.
        places, first = [], 0
        for column, (codes, w) in enumerate(zip(known, widths, strict=True)):
            places += [(column, first - w + place, w) for place in range(w)]
            first += codes * w
        for name, values in zip(("column", "start", "stride"), zip(*places, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(values).repeat(len(generators), 1, 1))  # (K, 1, features)

    def forward(self, x: Tensor) -> Tensor:
        codes = x[..., self.numbers :].long().index_select(-1, self.column[0, 0])  # (K, batch, features)
        known = codes != 0
        places = (self.start + codes * self.stride) * known
        vectors = self.weight.gather(1, places.flatten(1)).view(codes.shape) * known
        return torch.cat([x[..., : self.numbers], vectors], dim=-1)
