"""MLP: fully connected layers, hand-batched over a leading trial axis.

Each hidden layer is linear → batch norm → activation → dropout; the last layer is linear alone. How weights start is
said in `layers.starts`; biases start at 0.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spaces.domains import Choice, Domain
from spaces.inputs import Inputs
from spaces.networks.layers import ACTIVATIONS, BatchNorm, Dropout, Linear, Output, to_maps, to_rows
from spaces.networks.settings import check_flag, check_name, check_number, check_whole, outermost
from spaces.space import Config, Space, When


@dataclass(frozen=True, slots=True)
class MLP:
    """A multi-layer perceptron: `MLP(layers=Int(1, 4), units=Choice(32, 64, 128), activation=Choice("relu", "elu"))`.

    Each argument is a fixed value or a domain. Inputs of any shape are flattened.

    layers: hidden layers, at least 1. units: width of a hidden layer, at least 1; each layer is a parameter of its
    own, `units_1` … `units_n`, active where there are so many layers. activation: a name in ACTIVATIONS; relu, since
    it is the cheapest and seldom the worst. dropout: the share of activations dropped after each hidden layer, in
    [0, 1); off, since it is a regulariser to be asked for. batch_norm: whether hidden layers are normalised over the
    batch; off, for the same reason.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside.
    """

    layers: int | Domain
    units: int | Domain
    activation: str | Choice = "relu"
    dropout: float | Domain = 0.0
    batch_norm: bool | Choice = False

    def __post_init__(self) -> None:
        check_whole("MLP layers", self.layers, low=1)
        check_whole("MLP units", self.units, low=1)
        check_name("activation", self.activation, ACTIVATIONS)
        check_number("MLP dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_flag("MLP batch_norm", self.batch_norm)

    @property
    def space(self) -> Space:
        """`layers`, `units_1` … `units_n` (where there are so many layers), `activation`, `dropout`, `batch_norm`."""
        depths = [depth for depth in outermost(self.layers) if isinstance(depth, int)]
        units = {
            f"units_{k}": self.units if k <= min(depths) else When(f"layers >= {k}", self.units)
            for k in range(1, max(depths) + 1)
        }
        return Space(
            {
                "layers": self.layers,
                **units,
                "activation": self.activation,
                "dropout": self.dropout,
                "batch_norm": self.batch_norm,
            }
        )

    def stack_key(self, config: Config) -> Hashable | None:
        """The widths, the activation and whether there is batch norm. Dropout is each row's own."""
        return _widths(config), config["activation"], config["batch_norm"]

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs). See `StackedNetwork.stack`."""
        config = configs[0]
        features, widths = math.prod(inputs.shape), _widths(config)
        dropouts = [_number(c["dropout"]) for c in configs]
        hidden = [
            _Hidden(fan_in, width, str(config["activation"]), bool(config["batch_norm"]), dropouts, generators)
            for fan_in, width in zip((features, *widths), widths, strict=False)
        ]
        return _Stack(hidden, Output(widths[-1], outputs, generators))


class _Stack(nn.Module):
    def __init__(self, hidden: Sequence[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.last = last

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.flatten(2)  # (K, batch, features)
        for layer in self.hidden:
            x = layer(x)  # (K, batch, width)
        outputs: Tensor = self.last(x)
        return outputs  # (K, batch, outputs)


class _Hidden(nn.Module):
    def __init__(
        self,
        fan_in: int,
        width: int,
        activation: str,
        batch_norm: bool,
        dropouts: Sequence[float],
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        # Batch norm takes any bias away.
        self.linear = Linear(fan_in, width, generators, activation=activation, bias=not batch_norm)
        self.norm = BatchNorm(len(generators), width) if batch_norm else None
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropouts, generators)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.norm is not None:
            x = to_rows(self.norm(to_maps(x)), len(x))
        return self.dropout(self.activation(x))  # type: ignore[no-any-return]  # a module's call is untyped


def _widths(config: Config) -> tuple[int, ...]:
    return tuple(int(_number(config[f"units_{k}"])) for k in range(1, int(_number(config["layers"])) + 1))


def _number(value: Any) -> float:
    return float(value)
