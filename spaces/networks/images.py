"""What the image families share: the check of their inputs, and the blocks of their networks.

Activations are maps (batch, K * channels, height, width). On a CPU they are in channels-last memory format: there,
torch's convolutions are up to twice as fast, and its pooling ten times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from archsearch.spaces.errors import SpaceError
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.layers import ACTIVATIONS, BatchNorm, Conv, SeparableConv, to_maps

NORMS = ("batch", "none")


def image_shape(inputs: Inputs, family: str) -> tuple[int, int, int]:
    """Channels, height and width. Raises SpaceError if the inputs are not images."""
    if inputs.vocabulary is None and not inputs.categories:
        match inputs.shape:
            case (height, width):
                return 1, height, width
            case (channels, height, width):
                return channels, height, width
    kind = "texts" if inputs.vocabulary is not None else f"inputs of shape {inputs.shape}"
    raise SpaceError(
        f"{family} needs images, (height, width) or (channels, height, width), got {kind}; use data of such a shape, "
        f"or another family, such as {'TextCNN' if inputs.vocabulary is not None else 'MLP'}"
    )


def image_maps(images: Tensor) -> Tensor:
    """(K, batch, height, width) or (K, batch, channels, height, width) → maps."""
    x = to_maps(images.unsqueeze(2) if images.dim() == 4 else images)
    # Not `contiguous`, which leaves the strides of images with one channel, by which torch selects the algorithm.
    return x.to(memory_format=torch.channels_last) if x.device.type == "cpu" else x


def halved(size: int, times: int = 1) -> int:
    """Height or width of a map after this many strides of 2. Halves are rounded up, so one pixel remains one."""
    return -(-size >> times)


@dataclass(frozen=True, slots=True)
class ConvOptions:
    """What all convolutions of a network have in common.

    Args:
        norm: One of NORMS.
        activation: A name in ACTIVATIONS, of what follows the convolutions.
        scheme: A name in INITIALIZATIONS.
        generators: One for each row of the stack.
    """

    norm: str
    activation: str
    scheme: str
    generators: Sequence[torch.Generator]


class ConvNorm(nn.Module):
    """Convolution → norm: maps of channels_in → maps of channels_out."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        options: ConvOptions,
        *,
        stride: int = 1,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = (SeparableConv if separable else Conv)(
            channels_in,
            channels_out,
            kernel,
            options.generators,
            stride=stride,
            activation=options.activation,
            scheme=options.scheme,
            bias=options.norm == "none",  # batch norm would cancel a bias
        )
        self.norm = BatchNorm(len(options.generators), channels_out) if options.norm == "batch" else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(x)
        return x if self.norm is None else self.norm(x)


class Block(nn.Module):
    """One or more times: convolution → norm → activation. The first convolution has the stride.

    With `residual`, the block's input is added before the last activation, through a 1x1 convolution with a norm if the
    channels or the size change (He et al., 2016, "Deep residual learning for image recognition", sections 3.2 and 3.3,
    option B; their blocks have two convolutions).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        options: ConvOptions,
        *,
        convolutions: int = 1,
        stride: int = 1,
        separable: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        widths = (channels_in, *(channels_out,) * convolutions)
        strides = (stride, *(1,) * (convolutions - 1))
        self.convolutions = nn.ModuleList(
            ConvNorm(before, after, kernel, options, stride=each, separable=separable)
            for (before, after), each in zip(pairwise(widths), strides, strict=True)
        )
        self.activation = ACTIVATIONS[options.activation]
        self.residual = residual
        changes = channels_in != channels_out or stride > 1
        self.projection = (
            ConvNorm(channels_in, channels_out, 1, options, stride=stride) if residual and changes else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for index, convolution in enumerate(self.convolutions):
            y = convolution(self.activation(y) if index else y)
        if self.residual:
            y = y + (x if self.projection is None else self.projection(x))
        return self.activation(y)
