"""A torch.optim.Optimizer for a single network."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from archsearch.search.training.optimizers.flat import Rates, views
from archsearch.search.training.optimizers.rule import OptimizerRule
from archsearch.search.training.tensors import on_host
from archsearch.spaces import SpecError


class TorchOptimizer(OptimizerRule):
    """Wraps the torch.optim.Optimizer that `make(params, lr=..., weight_decay=...)` returns.

    Its parameters have their shapes in one network, without the axis of the stack. The schedule multiplies the initial
    learning rate of each of its parameter groups.

    Args:
        weights: The flat weights of one network, (1, P).
        model: The stack of one network, whose parameters are views of the weights.
        make: A class of torch.optim, or a function that returns an instance of one. `weight_decay` is only passed if it
            accepts it.
        config: The trial's parameters.

    Raises:
        ValueError: The stack has more than one network.
        SpecError: `make` returns another type.
    """

    def __init__(self, weights: Tensor, model: nn.Module, make: Callable[..., Any], config: Mapping[str, Any]) -> None:
        if len(weights) != 1:
            raise ValueError(
                f"an optimizer of torch.optim trains one network, got a stack of {len(weights)}; write an OptimizerRule"
            )
        self._rate = config["learning_rate"]
        named = views(model, weights)
        self._parameters = [parameter for _, parameter in named]
        scales = getattr(model, "rate_scales", None)
        groups: list[Any] = self._parameters
        if scales:
            groups = [{"params": [each], "lr": self._rate * scales.get(name, 1.0)} for name, each in named]
        decay = {"weight_decay": config["weight_decay"]} if takes(make, "weight_decay") else {}
        made = make(groups, lr=self._rate, **decay)
        if not isinstance(made, torch.optim.Optimizer):
            raise SpecError(
                f"Recipe optimizer {config['optimizer']} must return a torch.optim.Optimizer, got {made!r}; write "
                "def optimizer(params, lr, weight_decay): return torch.optim.SGD(params, lr, weight_decay=weight_decay)"
            )
        self._optimizer = made
        self._bases = [group["lr"] for group in made.param_groups]

    def epoch_begins(self, rates: Rates) -> None:
        self._factors: list[float] = (rates.table[:, 0, 0] / self._rate).tolist()

    def step(self, step: int, gradient: Tensor) -> None:
        start = 0
        for parameter in self._parameters:
            stop = start + parameter.numel()
            parameter.grad = gradient[0, start:stop].view(parameter.shape)
            start = stop
        for group, base in zip(self._optimizer.param_groups, self._bases, strict=True):
            group["lr"] = base * self._factors[step]
        self._optimizer.step()

    def state(self) -> Any:
        return on_host(self._optimizer.state_dict())

    def restore(self, state: Any) -> None:
        self._optimizer.load_state_dict(copy.deepcopy(state))


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Whether the function has an argument of this name or accepts any keyword argument."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions written in C have no signature
        return True
    return argument in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
