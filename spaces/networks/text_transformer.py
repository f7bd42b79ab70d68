"""TextTransformer: a transformer encoder for text (Vaswani et al., 2017, "Attention is all you need", section 3.1).

For classification, it follows Devlin et al., 2019, "BERT: Pre-training of deep bidirectional transformers for language
understanding", section 3.

tokens → embedding + positions → dropout → in each layer: self-attention → dropout, added to its input, and linear →
activation → linear → dropout, added to its input; then pooling over the text → linear. Layer norm is applied before
each of these parts, or after each addition. Padding is masked in attention and pooling, so the length to which texts
are padded does not change the outputs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import check_flag, check_int, check_name, check_number
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    INITIALIZATIONS,
    POSITIONS,
    Dropout,
    Embedding,
    LayerNorm,
    LearnedPositions,
    Linear,
    Output,
    SelfAttention,
    SinusoidalPositions,
)
from archsearch.spaces.networks.layers.initialization import normal
from archsearch.spaces.networks.text import EMBEDDING_STD, PADDING, POOLINGS, token_mask, vocabulary_of
from archsearch.spaces.space import Config, Space

CLASS_TOKEN = "class_token"


@dataclass(frozen=True, slots=True)
class TextTransformer(NetworkFamily):
    """A transformer for text: `TextTransformer(layers=Int(1, 4), heads=Choice(2, 4), head_width=16)`.

    The inputs are tokens with a vocabulary, as `text(...)` prepares them. Each argument is a fixed value or a domain,
    and becomes the parameter of its name. "The paper" is Vaswani et al., 2017, "Attention is all you need".

    Args:
        layers: The number of layers, at least 1.
        heads: The attention heads of each layer, at least 1.
        head_width: The width of a head, at least 1. The width of the network is heads * head_width, so that it is
            always divisible by the number of heads.
        feed_forward: The width of a layer's feed-forward part, as a multiple of the network's width: an integer of at
            least 1; 4 in the paper.
        positions: "learned", or "sinusoidal" as in the paper.
        pooling: "average", "max", or "class_token": a learned token before each text, whose final state represents the
            text (Devlin et al., 2019, "BERT", section 3).
        activation: A name in ACTIVATIONS, for the feed-forward parts; gelu as in BERT.
        pre_norm: True for layer norm before each part, which trains without a warm-up (Xiong et al., 2020, "On layer
            normalization in the transformer architecture", section 3); False for layer norm after each addition, as in
            the paper.
        dropout: The fraction of values dropped from the embedded text and from the output of each part (section 5.4),
            in [0, 1). Off by default, like all regularization.
        initialization: A name in INITIALIZATIONS, for all matrices but the token vectors: auto, he, orthogonal,
            small_normal, xavier or zeros.

    Raises:
        SpaceError: A value is out of range, or a domain includes such a value.

    Example:
        >>> from archsearch import Int, TextTransformer
        >>> [p.name for p in TextTransformer(layers=Int(1, 4), heads=2, head_width=16).space.free]
        ['layers']
    """

    layers: int | Domain
    heads: int | Domain
    head_width: int | Domain
    feed_forward: int | Domain = 4
    positions: str | Choice = "learned"
    pooling: str | Choice = "average"
    activation: str | Choice = "gelu"
    pre_norm: bool | Choice = True
    dropout: float | Domain = 0.0
    initialization: str | Choice = "auto"

    def __post_init__(self) -> None:
        check_int("TextTransformer layers", self.layers, low=1)
        check_int("TextTransformer heads", self.heads, low=1)
        check_int("TextTransformer head_width", self.head_width, low=1)
        check_int("TextTransformer feed_forward", self.feed_forward, low=1)
        check_name("positions", self.positions, POSITIONS)
        check_name("pooling", self.pooling, (*POOLINGS, CLASS_TOKEN))
        check_name("activation", self.activation, ACTIVATIONS)
        check_flag("TextTransformer pre_norm", self.pre_norm)
        check_number("TextTransformer dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_name("initialization", self.initialization, INITIALIZATIONS)

    @property
    def space(self) -> Space:
        """One parameter for each argument."""
        return Space({name: getattr(self, name) for name in _NAMES})

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
        vocabulary = vocabulary_of(inputs, "TextTransformer")
        dropouts: Any = [config["dropout"] for config in configs]
        return _Stack(configs[0], dropouts, vocabulary, inputs.shape[0], outputs, generators)


_NAMES = tuple(field.name for field in fields(TextTransformer))


class _Stack(nn.Module):
    def __init__(
        self,
        config: Mapping[str, Any],
        dropouts: Sequence[float],
        vocabulary: int,
        length: int,
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        width, rows = config["heads"] * config["head_width"], len(generators)
        self.embedding = Embedding(vocabulary, width, generators, std=EMBEDDING_STD, padding=PADDING)
        self.positions = (
            LearnedPositions(length, width, generators, std=EMBEDDING_STD)
            if config["positions"] == "learned"
            else SinusoidalPositions(length, width, rows)
        )
        self.class_token = None
        if config["pooling"] == CLASS_TOKEN:
            self.class_token = normal((width,), EMBEDDING_STD, generators)  # (K, width)
        self.dropout = Dropout(dropouts, generators)
        self.layers = nn.ModuleList(_Layer(config, dropouts, generators) for _ in range(config["layers"]))
        # With pre-norm, the sum of the last layer is not normalized yet.
        self.norm = LayerNorm(rows, width) if config["pre_norm"] else None
        self.pooling = _first if self.class_token is not None else POOLINGS[config["pooling"]]
        self.last = Output(width, outputs, generators, scheme=config["initialization"])

    def forward(self, tokens: Tensor) -> Tensor:
        mask = token_mask(tokens)  # (K, batch, tokens)
        x = self.positions(self.embedding(tokens))  # (K, batch, tokens, width)
        if self.class_token is not None:
            first = self.class_token[:, None, None].expand(-1, x.shape[1], 1, -1)
            x, mask = torch.cat([first, x], dim=2), torch.cat([torch.ones_like(mask[..., :1]), mask], dim=2)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask)
        if self.norm is not None:
            x = self.norm(x)
        outputs: Tensor = self.last(self.pooling(x, mask))
        return outputs  # (K, batch, outputs)


class _Layer(nn.Module):
    def __init__(
        self, config: Mapping[str, Any], dropouts: Sequence[float], generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        width, scheme = config["heads"] * config["head_width"], config["initialization"]
        self.pre_norm = config["pre_norm"]
        self.attention = SelfAttention(config["heads"], config["head_width"], generators, scheme=scheme)
        self.feed_forward = _FeedForward(width, config["feed_forward"], config["activation"], scheme, generators)
        self.norms = nn.ModuleList(LayerNorm(len(generators), width) for _ in range(2))
        self.dropouts = nn.ModuleList(Dropout(dropouts, generators) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        (norm_1, norm_2), (dropout_1, dropout_2) = self.norms, self.dropouts
        if self.pre_norm:
            x = x + dropout_1(self.attention(norm_1(x), mask))
            x = x + dropout_2(self.feed_forward(norm_2(x)))
        else:
            x = norm_1(x + dropout_1(self.attention(x, mask)))
            x = norm_2(x + dropout_2(self.feed_forward(x)))
        return x


class _FeedForward(nn.Module):
    """The same two linear layers for every token: (K, batch, tokens, width) → the same."""

    def __init__(
        self, width: int, times: int, activation: str, scheme: str, generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        self.first = Linear(width, times * width, generators, activation=activation, scheme=scheme)
        self.activation = ACTIVATIONS[activation]
        self.second = Linear(times * width, width, generators, scheme=scheme)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.first(x.flatten(1, 2)))
        return self.second(hidden).view(x.shape)  # type: ignore[no-any-return]  # a module's call is untyped


def _first(x: Tensor, mask: Tensor) -> Tensor:
    """The final state of the class token, with the signature of the functions in POOLINGS."""
    return x[:, :, 0].contiguous()
