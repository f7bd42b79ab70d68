"""The optimizers over a stack of K trials, on one flat tensor.

All parameters of the stack are views of one tensor (K, P), and a step gathers their gradients into another, so it is
a handful of operations however many layers there are; and what differs between trials is a column (K, 1). The rules are
those of torch.optim. A row's numbers do not depend on its neighbours.
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
# How many numbers each keeps for each trained weight.
MEMORY_COPIES = {"adagrad": 2, "adam": 3, "adamw": 3, "lion": 1, "rmsprop": 2, "sgd": 1}
OWN_MEMORY_COPIES = 3  # assumed of a user's own: as Adam


def optimizer_for(
    values: Tensor, configs: Configs, model: nn.Module, own: Callable[..., Any] | None = None
) -> OptimizerRule:
    """The optimizer of a stack.

    Args:
        values: The flat weights, (K, P).
        configs: The parameters of each row, which name the same optimizer.
        model: The stack, whose parameters are views of the weights.
        own: The user's optimizer, where it is not one of OPTIMIZERS: a class of OptimizerRule, or a class of
            torch.optim or a function that returns an object of one.
    """
    if own is None:
        return _MAKERS[configs[0]["optimizer"]](values, configs)
    if stacks(own):
        made: OptimizerRule = own(values, _column(configs, "weight_decay", values))
        return made
    return TorchOptimizer(values, model, own, configs[0])


def stacks(own: object) -> bool:
    """Whether a user's optimizer can train a stack of more than one network."""
    return isinstance(own, type) and issubclass(own, OptimizerRule)


def _column(configs: Configs, name: str, like: Tensor) -> Tensor:
    """That parameter of every config, as (K, 1); 0 where it is not in the config."""
    return like.new_tensor([config.get(name, 0.0) for config in configs]).view(-1, 1)
