"""OptimizerRule: what the training loop asks of an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates
from archsearch.search.training.tensors import on_host


class OptimizerRule:
    """A rule that moves the weights (K, P) of a stack along their gradients, each row by itself.

    An optimizer of your own as a class of this kind stacks: `Recipe(optimizer=SignSGD)`. It is made as
    `SignSGD(weights, weight_decay)`, of (K, P) and (K, 1), and changes `weights` in place. (A `torch.optim.Optimizer`
    may be given too, and trains each trial alone.)

        class SignSGD(OptimizerRule):
            def __init__(self, weights, weight_decay):
                self.weights = weights

            def epoch_begins(self, rates):
                self.rates = rates.times(-1.0, self.weights)

            def step(self, step, gradient):
                self.weights.addcmul_(gradient.sign(), self.rates.at(step))
    """

    def epoch_begins(self, rates: Rates) -> None:
        """An epoch begins.

        Args:
            rates: Its learning rates: `rates.at(step)` is (K, 1), in double precision unless `rates.times` converts it.
        """
        raise NotImplementedError

    def step(self, step: int, gradient: Tensor) -> None:
        """Make one step. Called without gradients being recorded.

        Args:
            step: Of the epoch, counted from 0.
            gradient: (K, P); may be overwritten.
        """
        raise NotImplementedError

    @property
    def memory(self) -> Sequence[Tensor]:
        """All tensors that are kept from step to step; none by default."""
        return ()

    def state(self) -> Any:
        """What `restore` needs between two epochs: by default a copy of `memory`."""
        return [on_host(kept) for kept in self.memory]

    def restore(self, state: Any) -> None:
        """Go on from what `state` returned."""
        for memory, kept in zip(self.memory, state, strict=True):
            memory.copy_(kept)
