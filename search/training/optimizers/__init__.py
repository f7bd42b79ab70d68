"""Optimizers for a stack of K trials.

All parameters of the stack are views of one tensor (K, P), and their gradients are gathered into another, so that a
step is a few operations, regardless of the number of layers. Hyperparameters that differ between trials are columns
(K, 1). The update rules are those of torch.optim. The result of a row does not depend on the other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from archsearch.search.training.optimizers.adam import Adam
from archsearch.search.training.optimizers.adaptive import Adaptive, adagrad, rmsprop
from archsearch.search.training.optimizers.flat import Rates, flat, flatten, rate_scales, trained
from archsearch.search.training.optimizers.lion import Lion
from archsearch.search.training.optimizers.rule import OptimizerRule
from archsearch.search.training.optimizers.sgd import SGD
from archsearch.search.training.optimizers.torch_optimizer import TorchOptimizer, takes

__all__ = [
    "MEMORY_COPIES",
    "OPTIMIZERS",
    "OWN_MEMORY_COPIES",
    "SGD",
    "Adam",
    "Adaptive",
    "Lion",
    "OptimizerRule",
    "Rates",
    "TorchOptimizer",
    "flat",
    "flatten",
    "optimizer_for",
    "rate_scales",
    "stacks",
    "takes",
    "trained",
]

Configs = Sequence[Mapping[str, Any]]

_MAKERS: dict[str, Callable[[Tensor, Configs], OptimizerRule]] = {
    "adagrad": lambda values, configs: adagrad(values, _column(configs, "weight_decay", values)),
    "adam": lambda values, configs: Adam(values, _column(configs, "weight_decay", values), decoupled=False),
    "adamw": lambda values, configs: Adam(values, _column(configs, "weight_decay", values), decoupled=True),
    "lion": lambda values, configs: Lion(values, _column(configs, "weight_decay", values)),
    "rmsprop": lambda values, configs: rmsprop(values, _column(configs, "weight_decay", values)),
    "sgd": lambda values, configs: SGD(
        values,
        _column(configs, "weight_decay", values),
        _column(configs, "momentum", values),
        nesterov=bool(configs[0].get("nesterov", False)),
    ),
}
OPTIMIZERS = tuple(_MAKERS)
# The numbers of state and scratch memory per trained weight.
MEMORY_COPIES = {"adagrad": 2, "adam": 3, "adamw": 3, "lion": 1, "rmsprop": 2, "sgd": 1}
OWN_MEMORY_COPIES = 3  # assumed for a custom optimizer: as many as Adam


def optimizer_for(
    values: Tensor, configs: Configs, model: nn.Module, own: Callable[..., Any] | None = None
) -> OptimizerRule:
    """The optimizer of a stack.

    Args:
        values: The flat weights, (K, P).
        configs: The parameters of each row, with the same optimizer.
        model: The stack, whose parameters are views of the weights.
        own: A custom optimizer, if it is not one of OPTIMIZERS: a subclass of OptimizerRule, a class of torch.optim, or
            a function that returns a torch.optim.Optimizer.
    """
    if own is None:
        return _MAKERS[configs[0]["optimizer"]](values, configs)
    if stacks(own):
        made: OptimizerRule = own(values, _column(configs, "weight_decay", values))
        return made
    return TorchOptimizer(values, model, own, configs[0])


def stacks(own: object) -> bool:
    """Whether a custom optimizer can train a stack of more than one network."""
    return isinstance(own, type) and issubclass(own, OptimizerRule)


def _column(configs: Configs, name: str, like: Tensor) -> Tensor:
    """A parameter of all configs, as (K, 1); 0 for configs that do not have it."""
    return like.new_tensor([config.get(name, 0.0) for config in configs]).view(-1, 1)
