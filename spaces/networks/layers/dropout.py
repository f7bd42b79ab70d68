"""Dropout for a stack: each row has its own rate and random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.layers.initialization import on_meta
from archsearch.spaces.networks.layers.layouts import to_maps


class Dropout(nn.Module):
    """Inverted dropout of (K, …), with one rate for each row.

    See Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting", section 10. Each
    row has its own random generator. It draws numbers for many steps at a time, because a call for each row and step
    would cost more than the step. The size of these blocks depends on the layer's shape alone, so that a row's numbers
    do not depend on the other rows.
    """

    keep: Tensor
    BLOCK = 1 << 16  # numbers for each row: 256 KiB, within a core's cache at K = 1

    def __init__(self, rates: Sequence[float], generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.register_buffer("keep", 1 - torch.tensor(rates).view(-1, 1))  # (K, 1)
        self._drops = any(rate > 0 for rate in rates)
        # Drawn even if all rates are 0, so that what a row draws next does not depend on the rates of other rows.
        self._seeds = [0 if on_meta() else int(torch.randint(2**63 - 1, (), generator=g)) for g in generators]
        self._generators: list[torch.Generator] = []  # made at the first step, on the device of the inputs
        self._noise = torch.empty(len(rates), 0)  # (K, block): 0 where dropped, 1 / keep elsewhere
        self._used = 0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.noise(x.shape, x) if self.training and self._drops else x

    def noise(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """The factors for the activations at the next step, of shape (K, …)."""
        needed = torch.Size(shape[1:]).numel()
        if self._used + needed > self._noise.shape[1]:
            self._draw(max(needed, self.BLOCK), like)
        start, self._used = self._used, self._used + needed
        return self._noise[:, start : self._used].view(shape)

    # state_dict() then holds the numbers that are drawn but not used yet, and the states of the generators.
    def get_extra_state(self) -> dict[str, Any]:
        generators = [generator.get_state() for generator in self._generators]
        return {"noise": self._noise.to("cpu", copy=True), "used": self._used, "generators": generators}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._noise, self._used = state["noise"].to(self.keep.device, copy=True), state["used"]
        self._generators = [torch.Generator(self.keep.device) for _ in state["generators"]]
        for generator, kept in zip(self._generators, state["generators"], strict=True):
            generator.set_state(kept)

    def _draw(self, block: int, like: Tensor) -> None:
        if not self._generators:
            self._generators = [torch.Generator(like.device).manual_seed(seed) for seed in self._seeds]
        if self._noise.shape[1] != block:
            self._noise = like.new_empty(len(self._seeds), block)
        for row, generator in zip(self._noise, self._generators, strict=True):
            row.uniform_(generator=generator)
        self._noise.lt_(self.keep).div_(self.keep)
        self._used = 0


class MapDropout(Dropout):
    """Drops whole channels of maps (batch, K * channels, …), because neighbouring pixels are strongly correlated.

    See Tompson et al., 2015, "Efficient object localization using convolutional networks", section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self._drops):
            return x
        rows = len(self.keep)
        noise = to_maps(self.noise((rows, len(x), x.shape[1] // rows), x))  # (batch, K * channels)
        return x * noise.view(*noise.shape, *(1,) * (x.dim() - 2))
