"""MLP: fully connected layers, hand-batched over a leading trial axis.

Each hidden layer is linear → norm → activation → dropout; the last layer is linear alone. How weights start is said in
`layers.starts`; biases start at 0.
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
SHAPES = {"bottleneck": 3, "constant": 1, "free": 1, "funnel": 2}  # and from how many layers on each is one of its own
EQUAL_WIDTH_SHAPES = {"constant", "free"}  # the shapes in which a layer may be as wide as the one before


@dataclass(frozen=True, slots=True)
class MLP(NetworkFamily):
    """A multi-layer perceptron: `MLP(layers=Int(1, 4), units=Choice(32, 64, 128), activation=Choice("relu", "elu"))`.

    Each argument is a fixed value or a domain, and a parameter by its name. Inputs of any shape are flattened.

    layers: hidden layers, at least 1. units: width of a hidden layer, at least 1.
    activation: a name in ACTIVATIONS; relu, since it is the cheapest and seldom the worst.
    dropout: the share of activations dropped after each hidden layer, in [0, 1); off, since it is a regulariser to be
    asked for.
    norm: of hidden layers: "batch", "layer" or "none"; off, for the same reason.
    shape: how the widths follow from `units`.
        "free": each layer has its own, `units_1` … `units_n`, active where there are so many layers.
        "constant": all have the same, `units`.
        "funnel": from `units` down in equal steps, of which the outputs are the last. A number of outputs above
        `units` counts as `units`.
        "bottleneck": from `units` down in equal steps to a quarter of it in the middle, and up again.
    residual: whether a hidden layer's input is added to what it gives (He et al., 2016, "Deep residual learning for
    image recognition", section 3.2). Around each layer but the first that is as wide as the one before, so only in the
    shapes "free" and "constant".
    initialization: a name in INITIALIZATIONS, for all weights.
    rank: hidden layers have weights of this rank at most, as the product of two factors; None or 0 is full rank, and
    so is a rank that is not below both widths of a layer.
    embedding: the width of the vectors that stand for categories, at least 1; needed where the data has categories as
    codes, `csv(..., categories="codes")`, and refused where it has none. See `layers.categories`.
    dropout_per_layer: says that each layer has its own dropout, `dropout_1` … `dropout_n`; itself no parameter.

    Raises SpaceError for a value outside these bounds, a domain that reaches outside, and a shape or residual that no
    config could have for want of layers.
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
                f"MLP dropout_per_layer must be True or False, got {self.dropout_per_layer!r}; give either"
            )
        self._check_layers()

    @property
    def space(self) -> Space:
        """`layers`, `units_1` … `units_n` (where there are so many layers), `activation`, `dropout`, `norm`; and those
        of the others that are not left at their defaults. See `arguments.non_default`.
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
        """All that is said of the network but dropout, which is each row's own."""
        return _Design.from_config(config)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs). See `StackedNetwork.stack`.

        Raises SpaceError for texts, and for categories as codes where `embedding` is not given, or the reverse.
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
        """A parameter for each layer, `name_1` … `name_n`, active where there are so many."""
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
        """Active where there may be a layer to go around."""
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
                    "allow more layers, or take shape='constant'"
                )
        if True in extremes(self.residual) and (deepest < 2 or EQUAL_WIDTH_SHAPES.isdisjoint(shapes)):
            raise SpaceError(
                f"MLP residual goes around layers as wide as the one before, and none is with layers={self.layers} and "
                f"shape={self.shape!r}; allow 2 layers and shape='constant' or 'free', or drop residual="
            )


class _Design(NamedTuple):
    """What a config says of the network, dropout apart."""

    layers: int
    shape: str
    units: tuple[int, ...]  # of each layer where the shape is free, else one number
    activation: str
    norm: str
    residual: bool
    initialization: str
    rank: int  # 0: full
    embedding: int  # 0: none

    @classmethod
    def from_config(cls, config: Config) -> _Design:
        said = with_defaults(MLP, config)
        free = said["shape"] == "free"
        said["units"] = tuple(said[f"units_{k}"] for k in range(1, said["layers"] + 1)) if free else (said["units"],)
        said |= {name: said[name] or 0 for name in ("rank", "embedding")}
        return cls(**{name: said[name] for name in cls._fields})

    def widths(self, outputs: int) -> tuple[int, ...]:
        """Of each hidden layer."""
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
        bias = design.norm != "batch"  # batch norm takes any bias away
        start = {"activation": design.activation, "scheme": design.initialization}
        low_rank = 0 < design.rank < min(fan_in, width)
        self.linear = (
            LowRank(fan_in, width, design.rank, generators, **start, bias=bias)
            if low_rank
            else Linear(fan_in, width, generators, **start, bias=bias)
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
    """The argument under those of the conditions that do not always hold."""
    open_ones = [text for text, always in conditions.items() if not always]
    return When(" and ".join(open_ones), argument) if open_ones else argument


def _check_inputs(inputs: Inputs, embedding: int) -> None:
    if inputs.vocabulary is not None:
        raise SpaceError("MLP reads numbers, got texts as tokens; take a family for texts, as TextCNN")
    if inputs.categories and not embedding:
        raise SpaceError(
            f"MLP got {len(inputs.categories)} columns of categories as codes, which it can only embed; say how wide "
            "their vectors are, as MLP(..., embedding=8), or read them with csv(..., categories='one_hot')"
        )
    if embedding and not inputs.categories:
        raise SpaceError(
            f"MLP embedding={embedding} needs columns of categories as codes, got data without; read them with "
            "csv(..., categories='codes'), where categorical= names those that hold numbers, or drop embedding="
        )
