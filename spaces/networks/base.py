"""Network: what a family offers to the training loop. It declares its parameters, and builds a stack of networks.

A stack is one module that holds K networks with the same graph. Small networks waste a machine, because a step is
nearly all dispatch; as a stack they share it. A lone network is a stack with K = 1, so there is only one kind.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from torch import nn

from spaces.space import Config, Space


class Network(Protocol):
    """A family of networks: a frozen value, passed to `Supervised(network=...)`."""

    @property
    def space(self) -> Space:
        """The family's parameters. A config holds every active one, the fixed ones too."""
        ...

    def stack_key(self, config: Config) -> Hashable | None:
        """Networks with equal keys fit into one stack; None: this network is built alone."""
        ...

    def stack(
        self,
        configs: Sequence[Config],
        input_shape: tuple[int, ...],
        outputs: int,
        generators: Sequence[torch.Generator],
    ) -> nn.Module:
        """K networks as one module on the CPU: forward maps (K, batch, *input_shape) to (K, batch, outputs).

        Every parameter and buffer has a leading axis of K rows, and no row's value depends on another row: row k
        starts from `generators[k]` alone (CPU generators), and draws all its later noise from seeds taken from it.
        The configs must have one `stack_key`; ValueError otherwise.
        """
        ...
