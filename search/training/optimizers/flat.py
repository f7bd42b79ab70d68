"""The flat tensor: all trained parameters of a stack as one (K, P), and the learning rates over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.stacks import SingleStack

CACHE_LINE = 16  # floats


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rates of an epoch: `table` (steps, K, 1) in double, times `scales` (1, P) where parts of the network
    learn at rates of their own.
    """

    table: Tensor
    scales: Tensor | None = None

    def times(self, factor: float | Tensor, like: Tensor) -> Rates:
        """Each rate times the factor, a number or (K, 1), in the type of `like`."""
        return Rates((self.table * factor).to(like.dtype), self.scales)

    def at(self, step: int) -> Tensor:
        """The rates of that step: (K, 1), or (K, P) where there are scales."""
        return self.table[step] if self.scales is None else self.table[step] * self.scales


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained: all but the frozen ones."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def flatten(model: nn.Module, rows: int) -> Tensor:
    """Moves all trained parameters of the K rows into one tensor (K, P), of which they are views; returns it.

    P is rounded up to whole cache lines: at another alignment, BLAS rounds a row otherwise than it would alone.
    Raises ValueError for a model without any.
    """
    parameters = trained(model)
    if not parameters:
        raise ValueError("the network has nothing to train: all its parameters are frozen, or it has none; free one")
    values = flat([parameter.detach() for parameter in parameters], rows)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel() // rows
        parameter.data = values[:, start:stop].view(parameter.shape)
        start = stop
    return values


def flat(tensors: Sequence[Tensor], rows: int) -> Tensor:
    """Of K rows each → (K, P), with zeros at the end of the rows."""
    tables = [tensor.reshape(rows, -1) for tensor in tensors]
    padding = -sum(table.shape[1] for table in tables) % CACHE_LINE
    return torch.cat([*tables, tables[0].new_zeros(rows, padding)], dim=1)


def views(model: nn.Module, values: Tensor) -> list[tuple[str, nn.Parameter]]:
    """The trained parameters of a stack of one, by name, in the shapes of one network; they share the flat tensor."""
    found, start = [], 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel()
            shape = parameter.shape if isinstance(model, SingleStack) else parameter.shape[1:]
            found.append((name, nn.Parameter(values[0, start:stop].view(shape))))
            start = stop
    return found


def rate_scales(model: nn.Module, values: Tensor) -> Tensor | None:
    """What the learning rate is multiplied by at each of the flat values, (1, P): the model's `rate_scales`, by the
    names of its parameters, and 1 where nothing is said. None when the model says nothing.
    """
    scales = getattr(model, "rate_scales", None)
    if not scales:
        return None
    row = torch.ones_like(values[:1])
    start = 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel() // len(values)
            row[:, start:stop] = scales.get(name, 1.0)
            start = stop
    return row
