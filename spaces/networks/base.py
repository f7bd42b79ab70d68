"""What a network family is: its parameters, and how a network of it is built. A frozen value, made in a spec file.

Two ways to build, and a family has one of them:

- `build(config, inputs, outputs)` returns a plain module. Whoever writes a family of their own writes this.
- `stack(configs, inputs, outputs, generators)` returns K networks as one module. Small networks waste a machine,
  because a step is nearly all dispatch; as a stack they share it. The families of this package are built so.

`stacked` makes a stack of either kind: a lone network is a stack with K = 1, so the training loop knows only one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from torch import nn

from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.seeding import seeded
from archsearch.spaces.networks.stacks import SingleStack, VmapStack
from archsearch.spaces.space import Config, Space


class Network(Protocol):
    """A family of networks, passed to `Supervised(network=...)`.

    It may also have `stack_key(config) -> Hashable | None`: networks with equal keys have the same graph and train as
    one stack, through torch.func.vmap. Without it, or where it is None, a network trains alone.
    """

    @property
    def space(self) -> Space:
        """The family's parameters. A config holds every active one, the fixed ones too."""
        ...

    def build(self, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
        """A module from (batch, *inputs.shape) to (batch, outputs), drawing its start from torch's global generator.

        That generator has a seed of the trial's then, and later whenever the module is called, so what the module
        draws from it (dropout) is repeatable. Batch norm may meet a batch of one: see `stacks`.

        The module may have `rate_scales`, a mapping from names of its parameters to what the learning rate is
        multiplied by there (1 where nothing is said). Parameters that need no gradient stay as they are.
        """
        ...


class StackedNetwork(Protocol):
    """A family that is hand-batched over the rows of a stack."""

    @property
    def space(self) -> Space:
        """The family's parameters. A config holds every active one, the fixed ones too."""
        ...

    def stack_key(self, config: Config) -> Hashable | None:
        """Networks with equal keys fit into one stack; None: this network is built alone."""
        ...

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks as one module on the CPU: forward maps (K, batch, *inputs.shape) to (K, batch, outputs).

        Every parameter and buffer has a leading axis of K rows, and no row's value depends on another row: row k
        starts from `generators[k]` alone (CPU generators), and draws all its later noise from seeds taken from it.
        The configs have one `stack_key`. Under `torch.device("meta")` nothing is drawn.
        """
        ...


def stack_key(network: Network | StackedNetwork, config: Config) -> Hashable | None:
    """Networks with equal keys fit into one stack; None: this network is built alone."""
    key = getattr(network, "stack_key", None)
    return None if key is None else key(config)


def stacked(
    network: Network | StackedNetwork,
    configs: Sequence[Config],
    inputs: Inputs,
    outputs: int,
    generators: Sequence[torch.Generator],
) -> nn.Module:
    """K networks of the family as one module, (K, batch, *inputs.shape) → (K, batch, outputs).

    Each parameter, seen as (K, …), has one row per network. ValueError where the configs do not share a stack_key.
    """
    keys = {stack_key(network, config) for config in configs}
    if len(configs) != len(generators) or len(keys) != 1 or (len(configs) > 1 and None in keys):
        raise ValueError("a stack needs configs with one stack_key, and a generator for each of them")
    if hasattr(network, "stack"):
        return network.stack(configs, inputs, outputs, generators)
    seeds = [int(torch.randint(2**63 - 1, (), generator=g, device=g.device)) for g in generators]
    modules = [_built(network, config, inputs, outputs, seed) for config, seed in zip(configs, seeds, strict=True)]
    return SingleStack(modules[0], seeds[0]) if len(modules) == 1 else VmapStack(modules)


def _built(network: Network, config: Config, inputs: Inputs, outputs: int, seed: int) -> nn.Module:
    """The family's module, started from `seed`; torch's global generator stays as it was."""
    with seeded(seed):
        module = network.build(config, inputs, outputs)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{type(network).__name__}.build must return a torch module, got {module!r}")
    return module
