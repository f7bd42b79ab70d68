"""NetworkFamily: the parameters of a family of networks, and how a network of the family is built.

A family overrides one of two methods; the base class derives the other from it:

- `build(config, inputs, outputs)` returns one plain torch module. This is what you write for a family of your own.
- `stack(configs, inputs, outputs, generators)` returns K networks as one module. A training step of a small network is
  nearly all dispatch overhead, so K networks in one module train almost as fast as one. The families of this package
  override `stack`.

`stacked` builds a stack of either kind. A single network is a stack with K = 1, so there is one training loop.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.errors import SpecError
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.seeding import seeded
from archsearch.spaces.networks.stacks import SingleStack, VmapStack
from archsearch.spaces.space import Config, Space


class NetworkFamily(ArgumentHints):
    """A family of networks for `Supervised(network=...)`: subclass it, declare `space` and write `build`.

    `space` holds the family's parameters, as a class attribute or a property; the default has none. A config holds a
    value for every active parameter, constants included. Override at least one of `build` and `stack`.

    A class that has these members without deriving from NetworkFamily works too. `Supervised` refuses a family that
    defines neither `build` nor `stack`, or that has a misspelt member such as `bild` or `stackkey`.

    Example:
        >>> from torch import nn
        >>> from archsearch import Int, NetworkFamily, Space
        >>> class OneLayer(NetworkFamily):
        ...     space = Space(width=Int(4, 64, log=True))
        ...
        ...     def build(self, config, inputs, outputs):
        ...         (columns,), width = inputs.shape, config["width"]
        ...         return nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, outputs))
        >>> OneLayer().space
        Space(width=Int(low=4, high=64, log=True, step=1))
    """

    __slots__ = ()

    @property
    def space(self) -> Space:
        """The family's parameters; none by default."""
        return Space()

    def build(self, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
        """Builds one network as a plain torch module, with newly initialized weights.

        Draw from torch's global random generator, as torch's own layers do: it is seeded with the trial's seed here and
        in every later call of the module, so that initialization and dropout are repeatable. In training, batch norm
        may be given a batch of one sample; it then uses its running statistics.

        The module may have an attribute `rate_scales`, a mapping from names of its parameters to factors on the
        learning rate (1 for parameters that are not named). Parameters with `requires_grad=False` are not trained.

        Args:
            config: A value for every active parameter of `space`.
            inputs: What one sample looks like.
            outputs: The number of outputs: classes, or regression targets.

        Returns:
            A module that maps (batch, *inputs.shape) to (batch, outputs). By default, a stack of one network.
        """
        if type(self).stack is NetworkFamily.stack:
            raise NotImplementedError(f"{type(self).__name__} has no `build`; {_WRITE_BUILD}")
        seed = int(torch.randint(2**63 - 1, (), device="cpu"))
        return _Unstacked(self.stack([config], inputs, outputs, [torch.Generator().manual_seed(seed)]))

    def stack_key(self, config: Config) -> Hashable | None:
        """Says which networks may be built and trained as one stack: those with equal keys.

        Two networks may have equal keys if they differ in the values of their weights alone: put whatever else depends
        on the config (widths, activations) into the key. A family that overrides `build` but not `stack` is vectorized
        by `torch.func.vmap`, which cannot handle layers that draw random numbers (dropout).

        Args:
            config: A value for every active parameter of `space`.

        Returns:
            The key, or None for a network that trains alone. By default None.
        """
        return None

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """Builds K networks as one module, in which every parameter and buffer has a leading axis of size K.

        No row may depend on another row: row k is initialized from `generators[k]` alone, and takes the seeds of all
        its later random numbers from there. Under `torch.device("meta")` nothing may be drawn.

        Args:
            configs: K configs with the same `stack_key`.
            inputs: What one sample looks like.
            outputs: The number of outputs: classes, or regression targets.
            generators: K random generators on the CPU.

        Returns:
            A module on the CPU that maps (K, batch, *inputs.shape) to (K, batch, outputs). By default, the networks
            that `build` returns: one as it is, several through `torch.func.vmap`.

        Raises:
            ValueError: The networks differ in more than their weights, or draw random numbers.
        """
        return _stack_of_built(self, configs, inputs, outputs, generators)


class Network(Protocol):
    """The members of a family of single networks, for type checkers. See `NetworkFamily`, which documents them.

    It may also have `stack_key(config)`; without it, every network trains alone.
    """

    @property
    def space(self) -> Space:
        """The family's parameters."""
        ...

    def build(self, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
        """One network: (batch, *inputs.shape) → (batch, outputs). See `NetworkFamily.build`."""
        ...


class StackedNetwork(Protocol):
    """The members of a family that builds stacks, for type checkers. See `NetworkFamily`, which documents them."""

    @property
    def space(self) -> Space:
        """The family's parameters."""
        ...

    def stack_key(self, config: Config) -> Hashable | None:
        """Equal for networks that may share a stack; None: alone. See `NetworkFamily.stack_key`."""
        ...

    def stack(
        self, configs: Sequence[Config], inputs: Inputs, outputs: int, generators: Sequence[torch.Generator]
    ) -> nn.Module:
        """K networks: (K, batch, *inputs.shape) → (K, batch, outputs). See `NetworkFamily.stack`."""
        ...


_MEMBERS = ("build", "space", "stack", "stack_key")
_WRITE_BUILD = "write def build(self, config, inputs, outputs)"


def check_family(family: object) -> None:
    """Checks the members of a family when it is declared, before any data is read.

    Raises:
        SpecError: `space` is missing or is not a Space, both `build` and `stack` are missing, or a member's name is
            nearly one of these.
    """
    provided = {name for name in _MEMBERS if _provides(family, name)}
    for name in dir(family):
        close = difflib.get_close_matches(name, _MEMBERS, n=1, cutoff=0.8)
        if name.startswith("_") or name in _MEMBERS or not close or close[0] in provided:
            continue
        if close[0] == "space" or callable(getattr(type(family), name, None)):
            raise SpecError(
                f"the network {type(family).__name__} has the member '{name}', which is not part of NetworkFamily; "
                f"did you mean '{close[0]}'?"
            )
    space = getattr(family, "space", None)
    if not isinstance(space, Space):
        raise SpecError(f"the network's `space` must be a Space, got {space!r}; write Space(...)")
    if not provided & {"build", "stack"}:
        raise SpecError(f"the network {family!r} has no `build`; {_WRITE_BUILD}")


def _provides(family: object, name: str) -> bool:
    """Does the family have the member itself, not only by inheritance from NetworkFamily?"""
    return hasattr(family, name) and getattr(type(family), name, None) is not getattr(NetworkFamily, name)


def stack_key(network: Network | StackedNetwork, config: Config) -> Hashable | None:
    """The key that the family gives to the config's network; None for a family without `stack_key`."""
    key = getattr(network, "stack_key", None)
    return None if key is None else key(config)


def stacked(
    network: Network | StackedNetwork,
    configs: Sequence[Config],
    inputs: Inputs,
    outputs: int,
    generators: Sequence[torch.Generator],
) -> nn.Module:
    """Builds K networks of the family as one module, (K, batch, *inputs.shape) → (K, batch, outputs).

    Every parameter can be viewed as (K, …), with one row for each network.

    Raises:
        ValueError: The configs do not share a `stack_key`, or their number differs from that of the generators.
    """
    keys = {stack_key(network, config) for config in configs}
    if len(configs) != len(generators) or len(keys) != 1 or (len(configs) > 1 and None in keys):
        raise ValueError("a stack needs configs with one stack_key, and a generator for each of them")
    if hasattr(network, "stack"):
        return network.stack(configs, inputs, outputs, generators)
    return _stack_of_built(network, configs, inputs, outputs, generators)


def _stack_of_built(
    network: Network,
    configs: Sequence[Config],
    inputs: Inputs,
    outputs: int,
    generators: Sequence[torch.Generator],
) -> nn.Module:
    seeds = [int(torch.randint(2**63 - 1, (), generator=g, device=g.device)) for g in generators]
    modules = [_build(network, config, inputs, outputs, seed) for config, seed in zip(configs, seeds, strict=True)]
    return SingleStack(modules[0], seeds[0]) if len(modules) == 1 else VmapStack(modules)


def _build(network: Network, config: Config, inputs: Inputs, outputs: int, seed: int) -> nn.Module:
    """The family's module, initialized from `seed`; the state of torch's global generator is restored."""
    with seeded(seed):
        module = network.build(config, inputs, outputs)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{type(network).__name__}.build must return a torch module, got {module!r}")
    return module


class _Unstacked(nn.Module):
    """A stack of one network as a plain module: (batch, *shape) → (batch, outputs)."""

    def __init__(self, stack: nn.Module) -> None:
        super().__init__()
        self.stack = stack

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.stack(inputs.unsqueeze(0))
        return outputs.squeeze(0)
