"""CNN: a convolutional network for images, from the plain one to residual and separable ones (LeCun et al., 1998,
"Gradient-based learning applied to document recognition", section II; for the blocks see `images.Block` and
`layers.SeparableConv`).

images → in each block: convolutions → pooling → dropout of channels; then all pixels as one vector → dropout → in each
dense layer: linear → activation → dropout; → linear.
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

    Each argument is a fixed value or a domain, and a parameter by its name. The inputs are images, (height, width) or
    (channels, height, width).

    blocks: at least 1. channels: of a block, at least 1; each block has its own, `channels_1` … `channels_n`.
    block: of what a block is made. "plain": convolutions, each with norm and activation. "residual": the same, and the
    block's input is added before its last activation. "separable": as plain, each convolution being one within the
    channels and one across them.
    convolutions: of a block, at least 1. kernel: their size in pixels, at least 1.
    pooling: how a block halves height and width: "max" or "average" of each 2x2 pixels at its end, a "stride" of 2 in
    its first convolution, or "none". Halves round up, so that a map of one pixel stays one, however many blocks there
    are.
    norm: after each convolution, "batch" or "none"; off, since it is an addition to be asked for.
    activation: a name in ACTIVATIONS. channel_dropout: the share of channels dropped after each block, in [0, 1).
    head: what becomes of the last maps: the "average" of each channel, or all pixels in one row, "flatten".
    dense_layers: hidden layers after that, at least 0. units: width of a dense layer, at least 1; each has its own,
    `units_1` … `units_n`. dropout: the share of values dropped before the last layer and each dense one, in [0, 1).
    initialization: a name in INITIALIZATIONS, of all weights.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside.
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
        """Every argument by its name; of `channels` and `units`, one for each block and dense layer."""
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
        """Everything but the rates of dropout, which are each row's own."""
        return _each(config, "channels", "blocks"), _each(config, "units", "dense_layers"), *map(config.get, _SHARED)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs). See `StackedNetwork.stack`.

        Raises SpaceError for inputs that are no images.
        """
        return _Stack(configs, image_shape(inputs, "CNN"), outputs, generators)


# What all blocks, or the whole network, have in common, and all rows of a stack.
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
    """`name_1` … `name_n`, of which there are as many as the parameter `times` says."""
    return tuple(config[f"{name}_{k}"] for k in range(1, config[times] + 1))
