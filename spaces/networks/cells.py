"""Cells: the search for an architecture. A small graph of operations is searched, the cell, and the network is that
cell over and over.

The cell is that of NAS-Bench-201 (Dong and Yang, 2020, "NAS-Bench-201: Extending the scope of reproducible neural
architecture search", section 2.1): node 0 is its input; an edge leads from each node to each later one, and is one of a
few operations, or none; a node is the sum of what its edges bring (DARTS: Liu et al., 2019, "DARTS: Differentiable
architecture search", section 2.1, equation 1); the last node is the output. Edges that are none say which nodes a node
reads, and `skip` edges into the last node collect the others there, so one parameter for each edge says it all.

The network is theirs too: images → convolution of 3x3 → norm → stages of cells, and between two stages a residual block
that halves height and width and doubles the channels; then norm → activation → average of each channel → dropout →
linear.
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
    """A network of equal cells, whose graph is searched: `Cells(nodes=3, cells=2, channels=Choice(8, 16))`.

    Each argument is a fixed value or a domain, and a parameter by its name. The inputs are images, (height, width) or
    (channels, height, width).

    nodes: of a cell, without its input, at least 1. operation: of an edge; each has its own, `edge_0_1`, `edge_0_2`,
    `edge_1_2`, … for the edge from node 0 to node 1, and so on.
        "conv", "separable": activation → convolution → norm, the latter with one convolution within the channels and
        one across them. "max_pool", "average_pool": of the 3x3 pixels around each. "skip": what comes in. "none".
    cells: of a stage, at least 1. stages: at least 1; 3, as in both papers. Halves round up, so that a map of one pixel
    stays one, however many stages there are.
    channels: of the first stage, at least 1; each later one has twice as many. kernel: size of the edges' convolutions,
    at least 1. norm: after each convolution, "batch" or "none"; on, since sums of many grow without it. activation: a
    name in ACTIVATIONS. dropout: the share of channels dropped before the last layer, in [0, 1). initialization: a name
    in INITIALIZATIONS, of all weights.

    An edge that is on no way from the cell's input to its output is not built. Where there is no way at all, the output
    is 0, and the network gives every image the same answer. Such a config is legal, as in NAS-Bench-201, and loses.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside.
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
        """Every argument by its name; of `operation`, one for each edge, active where the cell has its nodes."""
        shared: dict[str, Argument] = {name: getattr(self, name) for name in _SHARED}
        return Space({"nodes": self.nodes, **self._edges(), **shared, "dropout": self.dropout})

    def _edges(self) -> dict[str, Argument | When]:
        nodes = [nodes for nodes in extremes(self.nodes) if isinstance(nodes, int)]
        return {
            f"edge_{tail}_{head}": self.operation if head <= min(nodes) else When(f"nodes >= {head}", self.operation)
            for tail, head in _pairs(max(nodes))
        }

    def stack_key(self, config: Config) -> Hashable | None:
        """The edges that are built, and everything else but dropout, which is each row's own."""
        return edges(config), *map(config.get, _SHARED)

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks as one module: (K, batch, *inputs.shape) → (K, batch, outputs). See `StackedNetwork.stack`.

        Raises SpaceError for inputs that are no images.
        """
        channels, _, _ = image_shape(inputs, "Cells")
        return _Stack(configs, channels, outputs, generators)


# What all rows of a stack have in common, beside their edges.
_SHARED = ("cells", "stages", "channels", "kernel", "norm", "activation", "initialization")

Edge = tuple[int, int, str]  # from, to, operation


def edges(config: Mapping[str, Any]) -> tuple[Edge, ...]:
    """The edges on the ways from a cell's input to its output, by the node that they lead to."""
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
            return x * 0  # and not a fresh 0: what lies before has then a gradient, of 0
        nodes = {0: x}
        for (tail, head), operation in zip(self.ends, self.operations, strict=True):
            brought = operation(nodes[tail])
            nodes[head] = nodes[head] + brought if head in nodes else brought
        return nodes[self.ends[-1][1]]


class _Convolution(nn.Module):
    """Activation → convolution → norm, in this order, as in NAS-Bench-201: what a node adds up is centred then."""

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
            raise ValueError(f"no operation is named {name!r}")
