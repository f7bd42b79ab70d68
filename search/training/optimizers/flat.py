"""All trainable parameters of a stack as one flat tensor (K, P), and their learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.stacks import SingleStack

CACHE_LINE = 16  # floats


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rates of an epoch.

    Attributes:
        table: The learning rate of each step and row, (steps, K, 1), in float64.
        scales: Factors for each weight, (1, P), if parts of the network have learning rates of their own; else None.
    """

    table: Tensor
    scales: Tensor | None = None

    def times(self, factor: float | Tensor, like: Tensor) -> Rates:
        """Multiply the rates.

        Args:
            factor: A number, or a tensor (K, 1).
            like: A tensor whose dtype the result gets.

        Returns:
            The product, with the same scales.
        """
        return Rates((self.table * factor).to(like.dtype), self.scales)

    def at(self, step: int) -> Tensor:
        """The rates of a step, counted from 0: (K, 1), or (K, P) with scales."""
        return self.table[step] if self.scales is None else self.table[step] * self.scales


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters: all with requires_grad=True."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def flatten(model: nn.Module, rows: int) -> Tensor:
    """Move all trainable parameters of a stack into one tensor; they become views of it.

    P is rounded up to whole cache lines, because with another alignment BLAS may round the results of a row differently
    than if it were alone.

    Args:
        model: The stack.
        rows: The number of rows, K.

    Returns:
        The flat tensor, (K, P).

    Raises:
        ValueError: The model has no trainable parameters.
    """
    parameters = trained(model)
    if not parameters:
        raise ValueError("the network has no trainable parameters; set requires_grad=True for at least one")
    values = flat([parameter.detach() for parameter in parameters], rows)
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel() // rows
        parameter.data = values[:, start:stop].view(parameter.shape)
        start = stop
    return values


def flat(tensors: Sequence[Tensor], rows: int) -> Tensor:
    """Concatenate tensors of K rows each into (K, P), with each row padded with zeros to whole cache lines."""
    tables = [tensor.reshape(rows, -1) for tensor in tensors]
    padding = -sum(table.shape[1] for table in tables) % CACHE_LINE
    return torch.cat([*tables, tables[0].new_zeros(rows, padding)], dim=1)


def views(model: nn.Module, values: Tensor) -> list[tuple[str, nn.Parameter]]:
    """The trainable parameters of a stack of one network, by name, without the axis of the stack.

    They are views of the flat tensor `values`, (1, P).
    """
    found, start = [], 0
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            stop = start + parameter.numel()
            shape = parameter.shape if isinstance(model, SingleStack) else parameter.shape[1:]
            found.append((name, nn.Parameter(values[0, start:stop].view(shape))))
            start = stop
    return found


def rate_scales(model: nn.Module, values: Tensor) -> Tensor | None:
    """The factor of the learning rate for each of the flat values, (1, P); None if the model does not define any.

    The model defines them in `rate_scales`, a mapping from names of parameters to factors. The default is 1.
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
