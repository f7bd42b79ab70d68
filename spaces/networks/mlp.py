"""MLP: a multi-layer perceptron, built as a stack of K networks.

Each hidden layer is linear → norm → activation → dropout; the last layer is linear. Weights are initialized as
described in `layers.initialization`, biases with 0.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.errors import SpaceError
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import (
    Argument,
    check_flag,
    check_int,
    check_name,
    check_number,
    extremes,
    non_default,
    with_defaults,
)
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    INITIALIZATIONS,
    BatchNorm,
    Dropout,
    LayerNorm,
    Linear,
    Output,
    to_maps,
    to_rows,
)
from archsearch.spaces.networks.layers.categories import Categories
from archsearch.spaces.networks.layers.linear import LowRank
from archsearch.spaces.space import Config, Space, When

NORMS = ("batch", "layer", "none")
SHAPES = {"bottleneck": 3, "constant": 1, "free": 1, "funnel": 2}  # and the number of layers that each needs
EQUAL_WIDTH_SHAPES = {"constant", "free"}  # in which a layer may be as wide as the previous one


@dataclass(frozen=True, slots=True)
class MLP(NetworkFamily):
    """A multi-layer perceptron: `MLP(layers=Int(1, 4), units=Choice(32, 64, 128), activation=Choice("relu", "elu"))`.

    Inputs of any shape are flattened. Each argument but the last is a fixed value or a domain, and becomes the
    parameter of its name.

    Args:
        layers: The number of hidden layers, at least 1.
        units: The width of a hidden layer, at least 1.
        activation: A name in ACTIVATIONS: elu, gelu, leaky_relu, mish, relu, sigmoid, silu, swish or tanh. ReLU is the
            cheapest, and seldom the worst.
        dropout: The fraction of activations dropped after each hidden layer, in [0, 1). Off by default, like all
            regularization.
        norm: Normalization in the hidden layers: "batch", "layer" or "none".
        shape: How the widths of the layers follow from `units`.
            "free": each layer has its own, `units_1` … `units_n`, active if there are that many layers.
            "constant": all layers have the width `units`.
            "funnel": the widths decrease linearly from `units` towards the number of outputs; needs 2 layers. If there
            are more outputs than `units`, the widths are constant.
            "bottleneck": they decrease linearly from `units` to a quarter of it in the middle, and increase again;
            needs 3 layers.
        residual: Whether a hidden layer's input is added to its output (He et al., 2016, "Deep residual learning for
            image recognition", section 3.2). Applies to each layer, except the first, that is as wide as the previous
            one, so only with the shapes "free" and "constant".
        initialization: A name in INITIALIZATIONS, for all weights: auto, he, orthogonal, small_normal, xavier or zeros.
            "auto" is he before activations of the ReLU kind, else xavier.
        rank: The maximum rank of the weights of hidden layers, which are then the product of two factors. None or 0 is
            full rank, as is a rank that is not below both widths of a layer.
        embedding: The length of the vectors that represent categories, at least 1 (Guo and Berkhahn, 2016, "Entity
            embeddings of categorical variables"). Required if the data has categories as codes,
            `csv(..., categories="codes")`, and an error if it has none.
        dropout_per_layer: Whether each layer has its own dropout, `dropout_1` … `dropout_n`. True or False, and not a
            parameter.

    Raises:
        SpaceError: A value is out of range, a domain includes such a value, or no config has enough layers for a shape
            or for `residual`.

    Example:
        >>> from archsearch import MLP, Choice, Int
        >>> family = MLP(layers=Int(1, 2), units=Choice(32, 64))
        >>> list(family.space)
        ['layers', 'units_1', 'units_2', 'activation', 'dropout', 'norm']
    """

    layers: int | Domain
    units: int | Domain
    activation: str | Choice = "relu"
    dropout: float | Domain = 0.0
    norm: str | Choice = "none"
    shape: str | Choice = "free"
    residual: bool | Choice = False
    initialization: str | Choice = "auto"
    rank: int | Domain | None = None
    embedding: int | Domain | None = None
    dropout_per_layer: bool = False

    def __post_init__(self) -> None:
        check_int("MLP layers", self.layers, low=1)
        check_int("MLP units", self.units, low=1)
        check_name("activation", self.activation, ACTIVATIONS)
        check_number("MLP dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_name("norm", self.norm, NORMS)
        check_name("shape", self.shape, SHAPES)
        check_flag("MLP residual", self.residual)
        check_name("initialization", self.initialization, INITIALIZATIONS)
        check_int("MLP rank", self.rank, low=0, allow_none=True)
        if self.embedding is not None:
            check_int("MLP embedding", self.embedding, low=1)
        if not isinstance(self.dropout_per_layer, bool):
            raise SpaceError(
                f"MLP dropout_per_layer must be True or False, got {self.dropout_per_layer!r}; it cannot be a domain"
            )
        self._check_layers()

    @property
    def space(self) -> Space:
        """The parameters: `layers`, `units_1` … `units_n`, `activation`, `dropout` and `norm`; the other arguments only
        if they are not left at their defaults.
        """
        dropout = self._each_layer("dropout", self.dropout) if self.dropout_per_layer else {"dropout": self.dropout}
        return Space(
            {
                "layers": self.layers,
                **non_default(self, "shape"),
                **self._units(),
                "activation": self.activation,
                **dropout,
                "norm": self.norm,
                **self._residual(),
                **non_default(self, "initialization", "rank", "embedding"),
            }
        )

    def stack_key(self, config: Config) -> Hashable | None:
        """The architecture. Dropout rates may differ within a stack."""
        return _Design.from_config(config)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """Builds K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs).

        See `NetworkFamily.stack`.

        Raises:
            SpaceError: The inputs are text, or have categories as codes while `embedding` is not given, or the reverse.
        """
        design = _Design.from_config(configs[0])
        _check_inputs(inputs, design.embedding)
        categories = Categories(inputs, design.embedding, generators) if design.embedding else None
        features = math.prod(inputs.shape) if categories is None else categories.features
        widths, rows = design.widths(outputs), [with_defaults(MLP, config) for config in configs]
        hidden = []
        for k, (fan_in, width) in enumerate(zip((features, *widths), widths, strict=False), start=1):
            dropouts = [float(row.get(f"dropout_{k}", row["dropout"])) for row in rows]
            hidden.append(_Hidden(fan_in, width, design, dropouts, generators, first=k == 1))
        return _Stack(categories, hidden, Output(widths[-1], outputs, generators, scheme=design.initialization))

    def _depths(self) -> list[int]:
        return [depth for depth in extremes(self.layers) if isinstance(depth, int)]

    def _shapes(self) -> set[str]:
        return {str(shape) for shape in extremes(self.shape)}

    def _each_layer(
        self, name: str, argument: Argument, conditions: Mapping[str, bool] | None = None
    ) -> dict[str, Argument | When]:
        """One parameter for each layer, `name_1` … `name_n`, active if there are that many layers."""
        depths = self._depths()
        return {
            f"{name}_{k}": _when({**(conditions or {}), f"layers >= {k}": k <= min(depths)}, argument)
            for k in range(1, max(depths) + 1)
        }

    def _units(self) -> dict[str, Argument | When]:
        shapes = self._shapes()
        own = self._each_layer("units", self.units, {"shape == 'free'": shapes == {"free"}})
        shared = {"units": _when({"shape != 'free'": "free" not in shapes}, self.units)}
        return {**(own if "free" in shapes else {}), **(shared if shapes != {"free"} else {})}

    def _residual(self) -> dict[str, Argument | When]:
        """Active if there can be a layer as wide as the previous one."""
        needs = {
            "layers >= 2": min(self._depths()) >= 2,
            "shape in ('constant', 'free')": self._shapes() <= EQUAL_WIDTH_SHAPES,
        }
        return {name: _when(needs, argument) for name, argument in non_default(self, "residual").items()}

    def _check_layers(self) -> None:
        deepest, shapes = max(self._depths()), self._shapes()
        for shape in sorted(shapes):
            if deepest < SHAPES[shape]:
                raise SpaceError(
                    f"MLP shape '{shape}' needs at least {SHAPES[shape]} layers, got layers={self.layers}; "
                    "raise layers, or use shape='constant'"
                )
        if True in extremes(self.residual) and (deepest < 2 or EQUAL_WIDTH_SHAPES.isdisjoint(shapes)):
            raise SpaceError(
                f"MLP residual needs layers as wide as the previous one, but there are none with layers={self.layers} "
                f"and shape={self.shape!r}; use at least 2 layers and shape='constant' or 'free', or leave out residual"
            )


class _Design(NamedTuple):
    """The architecture that a config describes: everything but dropout rates."""

    layers: int
    shape: str
    units: tuple[int, ...]  # one for each layer if the shape is free, else a single one
    activation: str
    norm: str
    residual: bool
    initialization: str
    rank: int  # 0: full
    embedding: int  # 0: none

    @classmethod
    def from_config(cls, config: Config) -> _Design:
        full = with_defaults(MLP, config)
        free = full["shape"] == "free"
        full["units"] = tuple(full[f"units_{k}"] for k in range(1, full["layers"] + 1)) if free else (full["units"],)
        full |= {name: full[name] or 0 for name in ("rank", "embedding")}
        return cls(**{name: full[name] for name in cls._fields})

    def widths(self, outputs: int) -> tuple[int, ...]:
        """The width of each hidden layer."""
        (units, *_), last = self.units, self.layers - 1
        match self.shape:
            case "free":
                return self.units
            case "funnel":
                drop = units - min(outputs, units)
                return tuple(units - drop * k // self.layers for k in range(self.layers))
            case "bottleneck" if last >= 2:
                drop = units - max(1, units // 4)
                return tuple(units - drop * min(k, last - k) // (last // 2) for k in range(self.layers))
            case _:
                return (units,) * self.layers


class _Stack(nn.Module):
    def __init__(self, categories: Categories | None, hidden: Sequence[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.categories = categories
        self.hidden = nn.ModuleList(hidden)
        self.last = last

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.flatten(2)  # (K, batch, columns)
        if self.categories is not None:
            x = self.categories(x)  # (K, batch, features)
        for layer in self.hidden:
            x = layer(x)  # (K, batch, width)
        outputs: Tensor = self.last(x)
        return outputs  # (K, batch, outputs)


class _Hidden(nn.Module):
    def __init__(
        self,
        fan_in: int,
        width: int,
        design: _Design,
        dropouts: Sequence[float],
        generators: Sequence[torch.Generator],
        *,
        first: bool,
    ) -> None:
        super().__init__()
        bias = design.norm != "batch"  # batch norm would cancel a bias
        initialization = {"activation": design.activation, "scheme": design.initialization}
        low_rank = 0 < design.rank < min(fan_in, width)
        self.linear = (
            LowRank(fan_in, width, design.rank, generators, **initialization, bias=bias)
            if low_rank
            else Linear(fan_in, width, generators, **initialization, bias=bias)
        )
        self.norm = _NORMS[design.norm](len(generators), width) if design.norm != "none" else None
        self.activation = ACTIVATIONS[design.activation]
        self.dropout = Dropout(dropouts, generators)
        self.residual = design.residual and not first and fan_in == width

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if self.norm is not None:
            y = self.norm(y)
        y = self.dropout(self.activation(y))
        return x + y if self.residual else y  # type: ignore[no-any-return]  # a module's call is untyped


class _FeatureNorm(BatchNorm):
    """Batch norm of features (K, batch, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return to_rows(super().forward(to_maps(x)), len(x))


_NORMS: dict[str, type[BatchNorm | LayerNorm]] = {"batch": _FeatureNorm, "layer": LayerNorm}


def _when(conditions: Mapping[str, bool], argument: Argument) -> Argument | When:
    """The argument under the conditions, without those that always hold (by the mapping's values)."""
    needed = [text for text, always in conditions.items() if not always]
    return When(" and ".join(needed), argument) if needed else argument


def _check_inputs(inputs: Inputs, embedding: int) -> None:
    if inputs.vocabulary is not None:
        raise SpaceError("MLP needs numbers, got text; use a family for text, such as TextCNN")
    if inputs.categories and not embedding:
        raise SpaceError(
            f"MLP needs embedding= for data with categories as codes, got {len(inputs.categories)} such columns; write "
            "MLP(..., embedding=8), or read the data with csv(..., categories='one_hot')"
        )
    if embedding and not inputs.categories:
        raise SpaceError(
            f"MLP embedding={embedding} needs data with categories as codes, got data without; read the data with "
            "csv(..., categories='codes'), where categorical= names columns of numbers, or leave out embedding"
        )
