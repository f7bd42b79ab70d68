"""Convolution for a stack: a grouped convolution in which each row has its own groups."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from archsearch.spaces.networks.layers.initialization import initialize


class Conv(nn.Module):
    """(batch, K * channels_in, *space) → (batch, K * channels_out, *space), for one or two dimensions of space.

    Args:
        channels_in: Input channels of each row.
        channels_out: Output channels of each row.
        kernel: Its size in each dimension. Inputs are padded so that a stride of 1 keeps the size; for an even kernel,
            there is one more at the end.
        generators: One for each row, for the initialization.
        dimensions: 1 or 2.
        stride: In each dimension.
        groups: Of each row's channels; with channels_in groups, the convolution is depthwise.
        activation: The name of the activation that follows, which the initialization takes into account.
        scheme: A name in INITIALIZATIONS.
        bias: Whether there is one.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        generators: Sequence[torch.Generator],
        *,
        dimensions: int = 2,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = None,
        scheme: str = "auto",
        bias: bool = True,
    ) -> None:
        super().__init__()
        window = (kernel,) * dimensions
        fan_in, fan_out = channels_in // groups * kernel**dimensions, channels_out // groups * kernel**dimensions
        shape = (channels_out, channels_in // groups, *window)
        self.weight = initialize(
            scheme, shape, fan_in, fan_out, activation, generators
        )  # (K, out, in / groups, *window)
        self.bias = nn.Parameter(torch.zeros(len(generators), channels_out)) if bias else None
        self._convolve = functional.conv1d if dimensions == 1 else functional.conv2d
        self._groups, self._stride = groups * len(generators), stride
        self._before = (kernel - 1) // 2
        self._uneven = (0, (kernel - 1) % 2) * dimensions  # in the form of functional.pad

    def forward(self, x: Tensor) -> Tensor:
        if any(self._uneven):
            x = functional.pad(x, self._uneven)
        bias = None if self.bias is None else self.bias.flatten()
        return self._convolve(
            x, self.weight.flatten(0, 1), bias, stride=self._stride, padding=self._before, groups=self._groups
        )


class SeparableConv(nn.Module):
    """A depthwise convolution, then one of 1x1: the shapes of `Conv` with far fewer weights.

    See Chollet, 2017, "Xception: deep learning with depthwise separable convolutions", section 1.2; there is no
    activation in between, as in section 4.7. The first has the kernel and the stride, the second the bias.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        generators: Sequence[torch.Generator],
        *,
        stride: int = 1,
        activation: str | None = None,
        scheme: str = "auto",
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = Conv(
            channels_in, channels_in, kernel, generators, stride=stride, groups=channels_in, scheme=scheme, bias=False
        )
        self.pointwise = Conv(channels_in, channels_out, 1, generators, activation=activation, scheme=scheme, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]  # a module's call is untyped
