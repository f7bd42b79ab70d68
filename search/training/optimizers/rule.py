"""OptimizerRule: the interface of optimizers in the training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.tensors import on_host


class OptimizerRule:
    """Base class for optimizers that update the weights of a stack of K networks, each row independently.

    Pass a subclass as `Recipe(optimizer=SignSGD)`. It is created as `SignSGD(weights, weight_decay)`, with the weights
    (K, P), which it updates in place, and the weight decay of each row, (K, 1). A class of torch.optim works too, but
    then each trial trains alone instead of in a stack.

        class SignSGD(OptimizerRule):
            def __init__(self, weights, weight_decay):
                self.weights = weights

            def epoch_begins(self, rates):
                self.rates = rates.times(-1.0, self.weights)

            def step(self, step, gradient):
                self.weights.addcmul_(gradient.sign(), self.rates.at(step))
    """

    def epoch_begins(self, rates: Rates) -> None:
        """Called before the first step of each epoch.

        Args:
            rates: The learning rates of the epoch. `rates.at(step)` is (K, 1), or (K, P) if parts of the network have
                learning rates of their own; in float64, unless converted with `rates.times`.
        """
        raise NotImplementedError

    def step(self, step: int, gradient: Tensor) -> None:
        """Update the weights. Called under `torch.no_grad()`.

        Args:
            step: The step of the epoch, counted from 0.
            gradient: The gradient of the loss, (K, P). It may be overwritten.
        """
        raise NotImplementedError

    @property
    def memory(self) -> Sequence[Tensor]:
        """The tensors that are kept between steps; none by default."""
        return ()

    def state(self) -> Any:
        """The state between two epochs, for checkpoints. By default, a copy of `memory` on the CPU."""
        return [on_host(kept) for kept in self.memory]

    def restore(self, state: Any) -> None:
        """Continue from a state.

        Args:
            state: What `state` returned.
        """
        for memory, kept in zip(self.memory, state, strict=True):
            memory.copy_(kept)
