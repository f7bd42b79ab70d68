"""MLP: fully connected layers, hand-batched over a leading trial axis.

Each hidden layer is linear → batch norm → activation → dropout; the last layer is linear alone. Weights start as in
He et al. (2015, "Delving deep into rectifiers", eq. 10: variance 2 / fan-in) before activations that are near the
identity for positive inputs, and as in Glorot and Bengio (2010, "Understanding the difficulty of training deep
feedforward networks", section 4.2.1: variance 2 / (fan-in + fan-out)) before tanh, sigmoid and the outputs; both from a
normal distribution. Biases start at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spaces.domains import Choice, Domain
from spaces.networks.settings import check_flag, check_name, check_number, check_whole, outermost
from spaces.space import Config, Space, When

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": functional.elu,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "mish": functional.mish,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
# The last layer has spare columns up to this many floats, a cache line: BLAS rounds a row of the stack otherwise than
# the same network alone where the row's result starts at another alignment, or has one column.
ALIGNED = 16
_SATURATING = frozenset({"sigmoid", "tanh"})


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
        self,
        configs: Sequence[Config],
        input_shape: tuple[int, ...],
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> nn.Module:
        """K networks as one module: (K, batch, *input_shape) → (K, batch, outputs). See `Network.stack`."""
        if len({self.stack_key(config) for config in configs}) != 1 or len(configs) != len(generators):
            raise ValueError("a stack needs configs with one stack_key, and a generator for each of them")
        config = configs[0]
        inputs, widths = math.prod(input_shape), _widths(config)
        dropouts = [_number(c["dropout"]) for c in configs]
        hidden = [
            _Hidden(fan_in, width, str(config["activation"]), bool(config["batch_norm"]), dropouts, generators)
            for fan_in, width in zip((inputs, *widths), widths, strict=False)
        ]
        columns = math.ceil(outputs / ALIGNED) * ALIGNED
        return _Stack(hidden, _Linear(widths[-1], columns, _glorot(widths[-1], outputs), generators), outputs)


class _Stack(nn.Module):
    def __init__(self, hidden: Sequence[nn.Module], last: nn.Module, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.last = last
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.flatten(2)  # (K, batch, inputs)
        for layer in self.hidden:
            x = layer(x)  # (K, batch, width)
        columns: Tensor = self.last(x)
        return columns[..., : self.outputs]  # (K, batch, outputs)


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
        std = _glorot(fan_in, width) if activation in _SATURATING else math.sqrt(2 / fan_in)
        self.linear = _Linear(fan_in, width, std, generators, bias=not batch_norm)  # batch norm takes any bias away
        self.norm = _BatchNorm(len(generators), width) if batch_norm else None
        self.activation = ACTIVATIONS[activation]
        self.dropout = _Dropout(dropouts, generators)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        if self.norm is not None:
            x = self.norm(x)
        return self.dropout(self.activation(x))  # type: ignore[no-any-return]


class _Linear(nn.Module):
    """(K, batch, fan_in) → (K, batch, fan_out)."""

    def __init__(
        self, fan_in: int, fan_out: int, std: float, generators: Sequence[torch.Generator], bias: bool = True
    ) -> None:
        super().__init__()
        start = [torch.randn(fan_in, fan_out, generator=generator) * std for generator in generators]
        self.weight = nn.Parameter(torch.stack(start))  # (K, fan_in, fan_out)
        self.bias = nn.Parameter(torch.zeros(len(generators), 1, fan_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return torch.bmm(x, self.weight)
        return torch.baddbmm(self.bias, x, self.weight)


class _BatchNorm(nn.Module):
    """Batch normalisation of each row (Ioffe and Szegedy, 2015, algorithms 1 and 2), with torch's constants.

    Training normalises with the batch's own mean and variance, and keeps running ones, which evaluation uses. A
    batch of one, as an epoch's last may be, has no variance: it is normalised to the bias, and not remembered.
    """

    running_mean: Tensor
    running_var: Tensor
    MOMENTUM = 0.1
    EPSILON = 1e-5

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(rows, width))
        self.bias = nn.Parameter(torch.zeros(rows, width))
        self.register_buffer("running_mean", torch.zeros(rows, width))
        self.register_buffer("running_var", torch.ones(rows, width))

    def forward(self, x: Tensor) -> Tensor:
        rows, batch, width = x.shape
        remembers = batch > 1 or not self.training
        y = torch.batch_norm(
            x.transpose(0, 1).reshape(batch, rows * width),  # every row's units as channels of one torch operation
            self.weight.reshape(-1),
            self.bias.reshape(-1),
            self.running_mean.view(-1) if remembers else None,
            self.running_var.view(-1) if remembers else None,
            self.training,
            self.MOMENTUM,
            self.EPSILON,
            torch.backends.cudnn.enabled,
        )
        # Contiguous, as it is at K = 1: some activations (gelu) round otherwise over a strided tensor.
        return y.view(batch, rows, width).transpose(0, 1).contiguous()  # (K, batch, width)


class _Dropout(nn.Module):
    """Inverted dropout with a rate for each row (Srivastava et al., 2014, section 10), off in evaluation.

    Each row's noise comes from its own generator, in blocks of many steps, since one call for each row and step would
    cost more than the step. A block's size depends on the layer's shape alone, so neighbours do not change the noise.
    """

    keep: Tensor
    BLOCK = 1 << 16  # numbers for each row: 256 KiB, within a core's cache at K = 1

    def __init__(self, rates: Sequence[float], generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.register_buffer("keep", 1 - torch.tensor(rates).view(-1, 1))  # (K, 1)
        self._drops = any(rate > 0 for rate in rates)
        self._seeds = [int(torch.randint(2**63 - 1, (), generator=generator)) for generator in generators]
        self._generators: list[torch.Generator] = []  # made where the noise is needed, which is known at the first step
        self._noise = torch.empty(len(rates), 0)  # (K, block): 0 where dropped, 1 / keep elsewhere
        self._used = 0

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and self._drops):
            return x
        needed = x[0].numel()
        if self._used + needed > self._noise.shape[1]:
            self._draw(max(needed, self.BLOCK), x)
        start, self._used = self._used, self._used + needed
        return x * self._noise[:, start : self._used].view(x.shape)

    def _draw(self, block: int, like: Tensor) -> None:
        if not self._generators:
            self._generators = [torch.Generator(like.device).manual_seed(seed) for seed in self._seeds]
        if self._noise.shape[1] != block:
            self._noise = like.new_empty(len(self._seeds), block)
        for row, generator in zip(self._noise, self._generators, strict=True):
            row.uniform_(generator=generator)
        self._noise.lt_(self.keep).div_(self.keep)
        self._used = 0


def _widths(config: Config) -> tuple[int, ...]:
    return tuple(int(_number(config[f"units_{k}"])) for k in range(1, int(_number(config["layers"])) + 1))


def _glorot(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2 / (fan_in + fan_out))


def _number(value: Any) -> float:
    return float(value)
