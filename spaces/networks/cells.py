"""Cells: neural architecture search. The search is for a cell, a small graph of operations, which the network repeats.

The cell is that of NAS-Bench-201 (Dong and Yang, 2020, "NAS-Bench-201: Extending the scope of reproducible neural
architecture search", section 2.1). Node 0 is the input, and the last node the output. From each node to each later one
there is an edge with one of a few operations, or "none"; a node is the sum of its incoming edges (Liu et al., 2019,
"DARTS: Differentiable architecture search", section 2.1, equation 1). So there is one parameter for each edge.

The network is also that of NAS-Bench-201: images → 3x3 convolution → norm → stages of cells, with a residual block
between two stages, which halves height and width and doubles the channels; then norm → activation → average of each
channel → dropout → linear.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import Argument, check_int, check_name, check_number, extremes
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.images import NORMS, Block, ConvNorm, ConvOptions, image_maps, image_shape
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    INITIALIZATIONS,
    SAME_SIZE_POOLINGS,
    BatchNorm,
    Dropout,
    Output,
    to_rows,
)
from archsearch.spaces.space import Config, Space, When

OPERATIONS = ("average_pool", "conv", "max_pool", "none", "separable", "skip")
ANY_OPERATION = Choice(*OPERATIONS)


@dataclass(frozen=True, slots=True)
class Cells(NetworkFamily):
    """Networks of repeated cells whose graph is searched: `Cells(nodes=3, cells=2, channels=Choice(8, 16))`.

    The inputs are images, (height, width) or (channels, height, width). Each argument is a fixed value or a domain, and
    becomes the parameter of its name, except `operation`.

    Edges that are on no path from the cell's input to its output are not built. If there is no path at all, the output
    is 0, and the network predicts the same for every image. Such a config is legal, as in NAS-Bench-201.

    Args:
        nodes: The nodes of a cell, without its input; at least 1. NAS-Bench-201 has 3.
        cells: The number of cells in a stage, at least 1.
        channels: The channels of the first stage, at least 1. Each later stage has twice as many.
        operation: The operation on an edge. Each edge has its own parameter, `edge_0_1`, `edge_0_2`, `edge_1_2`, …,
            where `edge_0_1` leads from node 0 to node 1.
            "conv", "separable": activation → convolution (plain or depthwise separable) → norm.
            "max_pool", "average_pool": of 3x3 pixels, with stride 1.
            "skip": the identity.
            "none": no edge.
        stages: The number of stages, at least 1; 3 in both papers. Halves of height and width are rounded up, so that
            any number of stages is possible.
        kernel: The size of the convolutions on edges, at least 1.
        norm: After each convolution, "batch" or "none". On by default, since sums of many edges grow without it.
        activation: A name in ACTIVATIONS: elu, gelu, leaky_relu, mish, relu, sigmoid, silu, swish or tanh.
        dropout: The fraction of channels dropped before the last layer, in [0, 1).
        initialization: A name in INITIALIZATIONS, for all weights: auto, he, orthogonal, small_normal, xavier or zeros.

    Raises:
        SpaceError: A value is out of range, or a domain includes such a value.

    Example:
        >>> from archsearch import Cells
        >>> [name for name in Cells(nodes=2, cells=1, channels=8).space if name.startswith("edge")]
        ['edge_0_1', 'edge_0_2', 'edge_1_2']
    """

    nodes: int | Domain
    cells: int | Domain
    channels: int | Domain
    operation: str | Choice = ANY_OPERATION
    stages: int | Domain = 3
    kernel: int | Domain = 3
    norm: str | Choice = "batch"
    activation: str | Choice = "relu"
    dropout: float | Domain = 0.0
    initialization: str | Choice = "auto"

    def __post_init__(self) -> None:
        check_int("Cells nodes", self.nodes, low=1)
        check_int("Cells cells", self.cells, low=1)
        check_int("Cells channels", self.channels, low=1)
        check_name("operation", self.operation, OPERATIONS)
        check_int("Cells stages", self.stages, low=1)
        check_int("Cells kernel", self.kernel, low=1)
        check_name("norm", self.norm, NORMS)
        check_name("activation", self.activation, ACTIVATIONS)
        check_number("Cells dropout", self.dropout, "in [0, 1)", low=0, below=1)
        check_name("initialization", self.initialization, INITIALIZATIONS)

    @property
    def space(self) -> Space:
        """One parameter for each argument; for `operation`, one for each edge, active if the cell has its nodes."""
        shared: dict[str, Argument] = {name: getattr(self, name) for name in _SHARED}
        return Space({"nodes": self.nodes, **self._edges(), **shared, "dropout": self.dropout})

    def _edges(self) -> dict[str, Argument | When]:
        nodes = [nodes for nodes in extremes(self.nodes) if isinstance(nodes, int)]
        return {
            f"edge_{tail}_{head}": self.operation if head <= min(nodes) else When(f"nodes >= {head}", self.operation)
            for tail, head in _pairs(max(nodes))
        }

    def stack_key(self, config: Config) -> Hashable | None:
        """The edges that are built, and everything else but dropout, which may differ within a stack."""
        return edges(config), *map(config.get, _SHARED)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """Builds K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs).

        See `NetworkFamily.stack`.

        Raises:
            SpaceError: The inputs are not images.
        """
        channels, _, _ = image_shape(inputs, "Cells")
        return _Stack(configs, channels, outputs, generators)


# Parameters that are the same for all networks of a stack, besides the edges.
_SHARED = ("cells", "stages", "channels", "kernel", "norm", "activation", "initialization")

Edge = tuple[int, int, str]  # from, to, operation


def edges(config: Mapping[str, Any]) -> tuple[Edge, ...]:
    """The edges on paths from a cell's input to its output, ordered by the node that they lead to."""
    last = config["nodes"]
    given = [(tail, head, config[f"edge_{tail}_{head}"]) for tail, head in _pairs(last)]
    there = [edge for edge in given if edge[2] != "none"]
    reached, used = {0}, {last}
    for tail, head, _ in there:
        if tail in reached:
            reached.add(head)
    for tail, head, _ in reversed(there):
        if head in used:
            used.add(tail)
    return tuple((tail, head, operation) for tail, head, operation in there if tail in reached and head in used)


def _pairs(nodes: int) -> list[tuple[int, int]]:
    return [(tail, head) for head in range(1, nodes + 1) for tail in range(head)]


class _Stack(nn.Module):
    def __init__(
        self,
        configs: Sequence[Mapping[str, Any]],
        channels: int,
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        config, graph = configs[0], edges(configs[0])
        options = ConvOptions(config["norm"], config["activation"], config["initialization"], generators)
        widths = [config["channels"] * 2**stage for stage in range(config["stages"])]
        self.rows = len(configs)
        self.stem = ConvNorm(channels, widths[0], 3, options)

        def stage(width: int) -> list[nn.Module]:
            return [_Cell(graph, width, config["kernel"], options) for _ in range(config["cells"])]

        body = stage(widths[0])
        for before, after in pairwise(widths):
            body += [Block(before, after, 3, options, convolutions=2, stride=2, residual=True), *stage(after)]
        self.body = nn.Sequential(*body)
        self.norm = BatchNorm(self.rows, widths[-1]) if options.norm == "batch" else None
        self.activation = ACTIVATIONS[options.activation]
        self.dropout = Dropout([float(each["dropout"]) for each in configs], generators)
        self.last = Output(widths[-1], outputs, generators, scheme=options.scheme)

    def forward(self, images: Tensor) -> Tensor:
        x = self.body(self.stem(image_maps(images)))  # (batch, K * channels, height, width)
        x = self.activation(x if self.norm is None else self.norm(x))
        outputs: Tensor = self.last(self.dropout(to_rows(x.mean((2, 3)), self.rows)))
        return outputs  # (K, batch, outputs)


class _Cell(nn.Module):
    def __init__(self, graph: Sequence[Edge], channels: int, kernel: int, options: ConvOptions) -> None:
        super().__init__()
        self.ends = [(tail, head) for tail, head, _ in graph]
        self.operations = nn.ModuleList(_operation(name, channels, kernel, options) for _, _, name in graph)

    def forward(self, x: Tensor) -> Tensor:
        if not self.ends:
            return x * 0  # not a new tensor, so that earlier layers have gradients, of 0
        nodes = {0: x}
        for (tail, head), operation in zip(self.ends, self.operations, strict=True):
            brought = operation(nodes[tail])
            nodes[head] = nodes[head] + brought if head in nodes else brought
        return nodes[self.ends[-1][1]]


class _Convolution(nn.Module):
    """Activation → convolution → norm, in this order as in NAS-Bench-201, so that a node adds up normalized values."""

    def __init__(self, channels: int, kernel: int, options: ConvOptions, *, separable: bool) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[options.activation]
        self.convolution = ConvNorm(channels, channels, kernel, options, separable=separable)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(self.activation(x))  # type: ignore[no-any-return]  # a module's call is untyped


class _Pooling(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.pool: Callable[[Tensor], Tensor] = SAME_SIZE_POOLINGS[kind]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


def _operation(name: str, channels: int, kernel: int, options: ConvOptions) -> nn.Module:
    match name:
        case "conv" | "separable":
            return _Convolution(channels, kernel, options, separable=name == "separable")
        case "max_pool" | "average_pool":
            return _Pooling(name.removesuffix("_pool"))
        case "skip":
            return nn.Identity()
        case _:
            raise ValueError(f"unknown operation {name!r}")
