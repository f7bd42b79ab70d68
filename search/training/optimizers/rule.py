"""What the training loop asks of an optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from archsearch.search.training.optimizers.flat import Rates


class Optimizer(Protocol):
    """A rule that moves the flat values (K, P) down their gradients."""

    def epoch(self, rates: Rates) -> None:
        """The learning rates of the epoch that begins."""
        ...

    def step(self, step: int, gradient: Tensor) -> None:
        """That step of the epoch, counted from 0. gradient: (K, P), which is used up."""
        ...

    @property
    def memory(self) -> Sequence[Tensor]:
        """All that is kept from step to step, as tensors that may be copied, and filled to go on from a copy."""
        ...
