"""TextCNN: convolutions with windows of several widths over a text, and the maximum of each filter.

See Kim, 2014, "Convolutional neural networks for sentence classification", section 2.

tokens → embedding → for each kernel size: convolution → activation, once for each layer → pooling over the text; then
all pooled values → dropout → optionally linear → activation → dropout → linear. Padding counts as zeros, like what lies
beyond both ends of a text, so the length to which texts are padded does not change the outputs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.errors import SpaceError
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import Argument, check_int, check_name, check_number, extremes
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    INITIALIZATIONS,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Output,
    to_maps,
)
from archsearch.spaces.networks.text import EMBEDDING_STD, PADDING, POOLINGS, token_mask, vocabulary_of
from archsearch.spaces.space import Config, Space


@dataclass(frozen=True, slots=True)
class TextCNN(NetworkFamily):
    """Convolutional networks for text: `TextCNN(embedding=Choice(32, 64), filters=Int(16, 128, log=True))`.

    The inputs are tokens with a vocabulary, as `text(...)` prepares them. Each argument is a fixed value or a domain,
    and becomes the parameter of its name. "The paper" is Kim, 2014, "Convolutional neural networks for sentence
    classification".

    Args:
        embedding: The length of a token's vector, at least 1.
        filters: The number of filters of each kernel size, at least 1.
        kernels: The sizes of the windows, in tokens, as a tuple; (3, 4, 5) in the paper.
        layers: The number of successive convolutions for each kernel size, at least 1; 1 in the paper.
        activation: A name in ACTIVATIONS, after each convolution and the hidden layer: elu, gelu, leaky_relu, mish,
            relu, sigmoid, silu, swish or tanh.
        pooling: Over the text: "max" as in the paper, or "average".
        hidden: The width of a dense layer before the last one; 0, as in the paper, for none.
        dropout: The fraction of values dropped after pooling and after the hidden layer, in [0, 1). Off by default,
            like all regularization; 0.5 in the paper.
        initialization: A name in INITIALIZATIONS, for all weights but the token vectors: auto, he, orthogonal,
            small_normal, xavier or zeros.

    Raises:
        SpaceError: A value is out of range, or a domain includes such a value.

    Example:
        >>> from archsearch import Choice, TextCNN
        >>> family = TextCNN(embedding=32, filters=16, kernels=Choice((3,), (3, 4, 5)))
        >>> family.space["kernels"].domain.values
        ((3,), (3, 4, 5))
    """

    embedding: int | Domain
    filters: int | Domain
    kernels: tuple[int, ...] | Choice = (3, 4, 5)
    layers: int | Domain = 1
    activation: str | Choice = "relu"
    pooling: str | Choice = "max"
    hidden: int | Domain = 0
    dropout: float | Domain = 0.0
    initialization: str | Choice = "auto"

    def __post_init__(self) -> None:
        check_int("TextCNN embedding", self.embedding, low=1)
        check_int("TextCNN filters", self.filters, low=1)
        _check_kernels(self.kernels)
        check_int("TextCNN layers", self.layers, low=1)
        check_name("activation", self.activation, ACTIVATIONS)
        check_name("pooling", self.pooling, POOLINGS)
        check_int("TextCNN hidden", self.hidden, low=0)
        check_number("TextCNN dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_name("initialization", self.initialization, INITIALIZATIONS)

    @property
    def space(self) -> Space:
        """One parameter for each argument."""
        kernels = Choice(self.kernels) if isinstance(self.kernels, tuple) else self.kernels
        return Space({**{name: getattr(self, name) for name in _NAMES}, "kernels": kernels})

    def stack_key(self, config: Config) -> Hashable | None:
        """Everything but dropout, which may differ within a stack."""
        return tuple(config[name] for name in _NAMES if name != "dropout")

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """Builds K networks as one module: (K, batch, tokens) → (K, batch, outputs). See `NetworkFamily.stack`.

        Raises:
            SpaceError: The inputs are not text.
        """
        vocabulary = vocabulary_of(inputs, "TextCNN")
        dropouts: Any = [config["dropout"] for config in configs]
        return _Stack(configs[0], dropouts, vocabulary, outputs, generators)


_NAMES = tuple(field.name for field in fields(TextCNN))


class _Stack(nn.Module):
    def __init__(
        self,
        config: Mapping[str, Any],
        dropouts: Sequence[float],
        vocabulary: int,
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        width, filters, hidden = config["embedding"], config["filters"], config["hidden"]
        activation, scheme = config["activation"], config["initialization"]
        self.embedding = Embedding(vocabulary, width, generators, std=EMBEDDING_STD, padding=PADDING)
        self.branches = nn.ModuleList(
            _Branch((width, *(filters,) * config["layers"]), kernel, activation, scheme, generators)
            for kernel in config["kernels"]
        )
        self.pooling = POOLINGS[config["pooling"]]
        self.dropout = Dropout(dropouts, generators)
        features = len(self.branches) * filters
        self.hidden = (
            Dense(features, hidden, dropouts, generators, activation=activation, scheme=scheme) if hidden else None
        )
        self.last = Output(hidden or features, outputs, generators, scheme=scheme)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = token_mask(tokens)  # (K, batch, tokens)
        x = to_maps(self.embedding(tokens).transpose(2, 3))  # (batch, K * width, tokens)
        pooled = [self.pooling(branch(x, mask), mask) for branch in self.branches]  # (K, batch, filters) each
        x = self.dropout(torch.cat(pooled, dim=-1))
        if self.hidden is not None:
            x = self.hidden(x)
        outputs: Tensor = self.last(x)
        return outputs  # (K, batch, outputs)


class _Branch(nn.Module):
    """The convolutions of one kernel size. `widths` are the channels before, between and after them."""

    def __init__(
        self,
        widths: Sequence[int],
        kernel: int,
        activation: str,
        scheme: str,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            Conv(before, after, kernel, generators, dimensions=1, activation=activation, scheme=scheme)
            for before, after in pairwise(widths)
        )
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        rows, batch, tokens = mask.shape
        inside = mask.transpose(0, 1).unsqueeze(2)  # (batch, K, 1, tokens)
        for index, convolution in enumerate(self.convolutions):
            if index:  # the previous layer's outputs beyond the end of a text are set to 0
                x = (x.view(batch, rows, -1, tokens) * inside).flatten(1, 2)
            x = self.activation(convolution(x))  # (batch, K * filters, tokens)
        return x.view(batch, rows, -1, tokens).permute(1, 0, 3, 2)  # (K, batch, tokens, filters)


def _check_kernels(argument: Argument) -> None:
    for kernels in extremes(argument):
        sizes = kernels if isinstance(kernels, tuple) else ()
        if not sizes or not all(type(size) is int and size >= 1 for size in sizes):
            raise SpaceError(
                f"TextCNN kernels must be a tuple of whole numbers of at least 1, got {kernels!r}; write (3, 4, 5) or "
                "Choice((3,), (3, 4, 5))"
            )
