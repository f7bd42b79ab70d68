"""CNN: convolutional networks for images with plain, residual or separable blocks.

See LeCun et al., 1998, "Gradient-based learning applied to document recognition", section II; for the blocks,
`images.Block` and `layers.SeparableConv`.

images → in each block: convolutions → pooling → channel dropout; then average or flatten → dropout → in each dense
layer: linear → activation → dropout; → linear.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.flattening import Repeat
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import check_int, check_name, check_number
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.images import NORMS, Block, ConvOptions, halved, image_maps, image_shape
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    HALVING_POOLINGS,
    INITIALIZATIONS,
    Dense,
    Dropout,
    MapDropout,
    Output,
    to_rows,
)
from archsearch.spaces.space import Config, Space

BLOCKS = ("plain", "residual", "separable")
POOLINGS = (*HALVING_POOLINGS, "none", "stride")
HEADS = ("average", "flatten")


@dataclass(frozen=True, slots=True)
class CNN(NetworkFamily):
    """A convolutional network: `CNN(blocks=Int(1, 3), channels=Choice(16, 32, 64), block=Choice("plain", "residual"))`.

    The inputs are images, (height, width) or (channels, height, width). Each argument is a fixed value or a domain, and
    becomes the parameter of its name.

    Args:
        blocks: The number of blocks, at least 1.
        channels: The channels of a block, at least 1. Each block has its own, `channels_1` … `channels_n`.
        block: The kind of block. "plain": convolutions, each with norm and activation. "residual": the same, and the
            block's input is added before the last activation (He et al., 2016, "Deep residual learning for image
            recognition"). "separable": as plain, with depthwise separable convolutions (Chollet, 2017, "Xception: deep
            learning with depthwise separable convolutions").
        convolutions: The number of convolutions in a block, at least 1.
        kernel: Their size in pixels, at least 1.
        pooling: How a block halves height and width: "max" or "average" pooling of 2x2 pixels at its end, a "stride" of
            2 in its first convolution, or "none". Halves are rounded up, so that any number of blocks is possible.
        norm: After each convolution, "batch" or "none".
        activation: A name in ACTIVATIONS: elu, gelu, leaky_relu, mish, relu, sigmoid, silu, swish or tanh.
        channel_dropout: The fraction of channels dropped after each block, in [0, 1) (Tompson et al., 2015, "Efficient
            object localization using convolutional networks", section 3.2).
        head: How the last maps become a vector: the "average" of each channel, or "flatten", all pixels.
        dense_layers: The number of hidden layers after that, at least 0.
        units: The width of a dense layer, at least 1. Each has its own, `units_1` … `units_n`.
        dropout: The fraction of values dropped before each dense layer and before the last one, in [0, 1).
        initialization: A name in INITIALIZATIONS, for all weights: auto, he, orthogonal, small_normal, xavier or zeros.

    Raises:
        SpaceError: A value is out of range, or a domain includes such a value.

    Example:
        >>> from archsearch import CNN, Choice, Int
        >>> family = CNN(blocks=Int(1, 2), channels=Choice(8, 16))
        >>> str(family.space["channels_2"])
        'Choice(8, 16) when blocks >= 2'
    """

    blocks: int | Domain
    channels: int | Domain
    block: str | Choice = "plain"
    convolutions: int | Domain = 1
    kernel: int | Domain = 3
    pooling: str | Choice = "max"
    norm: str | Choice = "none"
    activation: str | Choice = "relu"
    channel_dropout: float | Domain = 0.0
    head: str | Choice = "average"
    dense_layers: int | Domain = 0
    units: int | Domain = 128
    dropout: float | Domain = 0.0
    initialization: str | Choice = "auto"

    def __post_init__(self) -> None:
        check_int("CNN blocks", self.blocks, low=1)
        check_int("CNN channels", self.channels, low=1)
        check_name("block", self.block, BLOCKS)
        check_int("CNN convolutions", self.convolutions, low=1)
        check_int("CNN kernel", self.kernel, low=1)
        check_name("pooling", self.pooling, POOLINGS)
        check_name("norm", self.norm, NORMS)
        check_name("activation", self.activation, ACTIVATIONS)
        check_number("CNN channel_dropout", self.channel_dropout, "in [0, 1)", low=0, below=1)
        check_name("head", self.head, HEADS)
        check_int("CNN dense_layers", self.dense_layers, low=0)
        check_int("CNN units", self.units, low=1)
        check_number("CNN dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_name("initialization", self.initialization, INITIALIZATIONS)

    @property
    def space(self) -> Space:
        """One parameter for each argument; for `channels` and `units`, one for each block and dense layer."""
        return Space(
            {
                "blocks": self.blocks,
                "channels": Repeat(self.channels, times="blocks"),
                **{name: getattr(self, name) for name in _SHARED},
                "dense_layers": self.dense_layers,
                "units": Repeat(self.units, times="dense_layers"),
                "channel_dropout": self.channel_dropout,
                "dropout": self.dropout,
            }
        )

    def stack_key(self, config: Config) -> Hashable | None:
        """Everything but the dropout rates, which may differ within a stack."""
        return _each(config, "channels", "blocks"), _each(config, "units", "dense_layers"), *map(config.get, _SHARED)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """Builds K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs).

        See `NetworkFamily.stack`.

        Raises:
            SpaceError: The inputs are not images.
        """
        return _Stack(configs, image_shape(inputs, "CNN"), outputs, generators)


# Parameters that are the same for all blocks, and for all networks of a stack.
_SHARED = ("block", "convolutions", "kernel", "pooling", "norm", "activation", "head", "initialization")


class _Stack(nn.Module):
    def __init__(
        self,
        configs: Sequence[Mapping[str, Any]],
        shape: tuple[int, int, int],
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        config, (channels, height, width) = configs[0], shape
        dropouts = [float(each["dropout"]) for each in configs]
        channel_dropouts = [float(each["channel_dropout"]) for each in configs]
        options = ConvOptions(config["norm"], config["activation"], config["initialization"], generators)
        widths = (channels, *_each(config, "channels", "blocks"))
        self.rows = len(configs)
        self.blocks = nn.ModuleList(_block(config, before, after, options) for before, after in pairwise(widths))
        self.pooling = HALVING_POOLINGS.get(config["pooling"])
        self.channel_dropouts = nn.ModuleList(MapDropout(channel_dropouts, generators) for _ in self.blocks)
        self.flattens = config["head"] == "flatten"
        halvings = 0 if config["pooling"] == "none" else config["blocks"]
        pixels = halved(height, halvings) * halved(width, halvings) if self.flattens else 1
        self.dropout = Dropout(dropouts, generators)
        features = (widths[-1] * pixels, *_each(config, "units", "dense_layers"))
        self.dense = nn.ModuleList(
            Dense(before, after, dropouts, generators, activation=options.activation, scheme=options.scheme)
            for before, after in pairwise(features)
        )
        self.last = Output(features[-1], outputs, generators, scheme=options.scheme)

    def forward(self, images: Tensor) -> Tensor:
        x = image_maps(images)  # (batch, K * channels, height, width)
        for block, dropout in zip(self.blocks, self.channel_dropouts, strict=True):
            x = block(x)
            x = dropout(x if self.pooling is None else self.pooling(x))
        x = to_rows(x if self.flattens else x.mean((2, 3)), self.rows).flatten(2)  # (K, batch, features)
        x = self.dropout(x)
        for layer in self.dense:
            x = layer(x)
        outputs: Tensor = self.last(x)
        return outputs  # (K, batch, outputs)


def _block(config: Mapping[str, Any], before: int, after: int, options: ConvOptions) -> Block:
    return Block(
        before,
        after,
        config["kernel"],
        options,
        convolutions=config["convolutions"],
        stride=2 if config["pooling"] == "stride" else 1,
        separable=config["block"] == "separable",
        residual=config["block"] == "residual",
    )


def _each(config: Mapping[str, Any], name: str, times: str) -> tuple[int, ...]:
    """The values of `name_1` … `name_n`, where n is the parameter `times`."""
    return tuple(config[f"{name}_{k}"] for k in range(1, config[times] + 1))
