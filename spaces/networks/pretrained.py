"""Pretrained: transfer learning. A module that has learned before gets a new head, and learns the task at hand.

How much of it may change is what is searched: layers can be frozen (Yosinski et al., 2014, "How transferable are
features in deep neural networks?"), and those that are not can learn more slowly than the head, the more so the
further they are from it (Howard and Ruder, 2018, "Universal language model fine-tuning for text classification",
section 3.2).
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor, nn

from archsearch.spaces.domains import Domain
from archsearch.spaces.errors import SpaceError, unknown
from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.arguments import Argument, check_int, check_number, extremes, non_default, with_defaults
from archsearch.spaces.networks.base import NetworkFamily
from archsearch.spaces.networks.module_surgery import find_head, head_inputs, replace_layer, split_into_blocks
from archsearch.spaces.networks.seeding import seeded
from archsearch.spaces.space import Config, Space, When

FREEZES = ("all", "none")

_ABOVE_1 = math.nextafter(1, 2)


@dataclass(frozen=True, slots=True)
class Pretrained(NetworkFamily):
    """A pretrained module with a new head: `Pretrained(resnet, freeze=Int(0, 6), rate_share=Float(0.01, 1, log=True))`.

    module_factory: a function of no arguments that returns the module with its weights; say, one that makes a
    torchvision model and loads its weights from a file. Each process calls it once, and each trial trains a copy: the
    weights that it returned never change. Whatever it draws from torch, it draws in each process alike.

    Each of the next arguments is a fixed value or a domain, and a parameter by its name.

    freeze: how many of the leading blocks keep their weights: a number, "none", or "all", where the head alone learns.
    Batch norm in a frozen block keeps its running statistics too, and normalises by them in training as in evaluation.
    What the factory froze stays frozen.
    head_units: the width of a hidden layer (with relu) in the head; 0 or None for a head of one linear layer.
    head_dropout: the share dropped before each linear layer of the head, in [0, 1).
    rate_share: the learning rate of the last block, as a share of the head's, in (0, 1].
    rate_decay: what the learning rate is multiplied by from each block to the one before it, in (0, 1]. Howard and
    Ruder found 1 / 2.6 good, for `rate_share` too.

    replace: the layer that the head takes the place of, by its name; None is the module's last nn.Linear. The head has
    as many inputs as the first nn.Linear in it.
    blocks: the names of the layers at which blocks begin, as `["layer1", "layer2"]`. None: at each child of the module
    that has parameters; a child in which the head lies is opened, and its own children count in its stead. See
    `anatomy.split_into_blocks`.
    channels: None gives the module the samples as they are, (batch, *inputs.shape). A number is for images, and gives
    it (batch, channels, height, width), a grey image in each of the channels. What else the module's input needs
    (another size, other statistics), the factory puts before it, as `nn.Sequential(Resize(), resnet)`; the blocks are
    then still those of the resnet.

    Raises SpaceError for a value outside these bounds, or a domain that reaches outside; `build` raises it for what
    does not fit the module.
    """

    module_factory: Callable[[], nn.Module]
    freeze: int | str | Domain = "none"
    head_units: int | Domain | None = 0
    head_dropout: float | Domain = 0.0
    rate_share: float | Domain = 1.0
    rate_decay: float | Domain = 1.0
    replace: str | None = None
    blocks: Sequence[str] | None = None
    channels: int | None = None
    _original: _Original = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_factory(self.module_factory)
        _check_freeze(self.freeze)
        check_int("Pretrained head_units", self.head_units, low=0, allow_none=True)
        check_number("Pretrained head_dropout", self.head_dropout, "in [0, 1)", low=0, below=1)
        check_number("Pretrained rate_share", self.rate_share, "in (0, 1]", above=0, below=_ABOVE_1)
        check_number("Pretrained rate_decay", self.rate_decay, "in (0, 1]", above=0, below=_ABOVE_1)
        if self.channels is not None:
            check_int("Pretrained channels", self.channels, low=1)
        if self.blocks is not None:
            object.__setattr__(self, "blocks", _names(self.blocks))
        object.__setattr__(self, "_original", _Original(self.module_factory))

    @property
    def space(self) -> Space:
        """`freeze`, `head_units`, and those of `head_dropout`, `rate_share` and `rate_decay` that are not left at their
        defaults; the rates where not all is frozen.
        """
        all_frozen = {value == "all" for value in extremes(self.freeze)}
        rates = non_default(self, "rate_share", "rate_decay") if False in all_frozen else {}
        return Space(
            {
                "freeze": self.freeze,
                "head_units": self.head_units,
                **non_default(self, "head_dropout"),
                **{name: When("freeze != 'all'", rate) if True in all_frozen else rate for name, rate in rates.items()},
            }
        )

    def build(self, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
        """See `Network.build`. What is drawn is the head."""
        given = with_defaults(Pretrained, config)
        module = copy.deepcopy(self._original.module)
        head = find_head(module, self.replace)
        blocks = split_into_blocks(module, head, self.blocks)
        _check_depth(self.freeze, list(blocks))
        _check_channels(self.channels, inputs)
        frozen = {"none": 0, "all": len(blocks)}.get(given["freeze"], given["freeze"])
        still: list[nn.Module] = []
        scales: dict[str, float] = {}
        for place, layers in enumerate(blocks.values()):
            if place < frozen:
                still += layers.values()
            scale = given["rate_share"] * given["rate_decay"] ** (len(blocks) - 1 - place)
            names = [
                name for prefix, layer in layers.items() for name, _ in layer.named_parameters(prefix, recurse=False)
            ]
            scales |= dict.fromkeys(names, scale)
        replace_layer(
            module, head, _new_head(head_inputs(module, head), given["head_units"] or 0, given["head_dropout"], outputs)
        )
        return _Transferred(module, still, scales, self.channels).to(torch.get_default_device())


class _Original:
    """What the factory returned when it was called, once. It pickles as the factory alone."""

    def __init__(self, factory: Callable[[], nn.Module]) -> None:
        self._factory = factory

    @cached_property
    def module(self) -> nn.Module:
        # The same whatever goes on around it: another trial's seed, a sketch on the meta device.
        with seeded(0), torch.device("cpu"), torch.enable_grad():
            module = self._factory()
        if not isinstance(module, nn.Module):
            raise SpaceError(
                f"Pretrained's function {_name(self._factory)} must return a torch module, got {module!r}; return the "
                "module with its weights loaded"
            )
        return module

    def __reduce__(self) -> tuple[type[_Original], tuple[Callable[[], nn.Module]]]:
        return _Original, (self._factory,)


class _Transferred(nn.Module):
    """The copy with its new head.

    still: the layers that are frozen. scales: of the learning rate, by the names of the copy's parameters.
    """

    def __init__(
        self, module: nn.Module, still: Sequence[nn.Module], scales: Mapping[str, float], channels: int | None
    ) -> None:
        super().__init__()
        self.pretrained = module
        self.rate_scales = {f"pretrained.{name}": scale for name, scale in scales.items() if scale != 1}
        self._norms = tuple(layer for layer in still if hasattr(layer, "running_mean"))
        self._channels = channels
        for layer in still:
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> _Transferred:
        super().train(mode)
        for norm in self._norms:
            norm.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs  # (batch, *shape)
        if self._channels is not None:
            x = x if x.dim() == 4 else x.unsqueeze(1)
            x = x.expand(-1, self._channels, -1, -1)  # (batch, channels, height, width)
        try:
            outputs: Tensor = self.pretrained(x)
        except RuntimeError as error:
            if x.dim() == 3:
                error.add_note(
                    "the samples are grey images without a channel: give Pretrained channels=1, or 3 for colours"
                )
            raise
        return outputs  # (batch, outputs)


def _new_head(fan_in: int, units: int, dropout: float, outputs: int) -> nn.Sequential:
    widths = [fan_in, units, outputs] if units else [fan_in, outputs]
    layers = [layer for pair in pairwise(widths) for layer in (nn.ReLU(), nn.Dropout(dropout), nn.Linear(*pair))]
    return nn.Sequential(*layers[1:])


def _check_factory(factory: Callable[[], nn.Module]) -> None:
    if isinstance(factory, nn.Module) or not callable(factory):
        got = f"the {type(factory).__name__} itself" if isinstance(factory, nn.Module) else repr(factory)
        raise SpaceError(
            f"Pretrained needs a function that returns the module, got {got}; give one that makes it and loads its "
            "weights"
        )
    try:
        signature = inspect.signature(factory)
    except ValueError:  # what is written in C may have none
        return
    try:
        signature.bind()
    except TypeError as error:
        raise SpaceError(
            f"Pretrained calls its function {_name(factory)} without arguments: {error}; wrap it into one of none"
        ) from error


def _check_freeze(freeze: Argument) -> None:
    for value in extremes(freeze):
        if isinstance(value, str) and value not in FREEZES:
            raise SpaceError(unknown("freeze", value, FREEZES))
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise SpaceError(
                f"Pretrained freeze must be 'none', 'all' or a number of blocks, got {value!r}; give one of these, "
                "Int(0, high) or Choice(...)"
            )


def _check_depth(freeze: Argument, blocks: Sequence[str]) -> None:
    """Of all that may be drawn, so that a mistake shows in the first trial."""
    deepest = max((value for value in extremes(freeze) if isinstance(value, int)), default=0)
    if deepest > len(blocks):
        raise SpaceError(
            f"Pretrained freeze may be {deepest}, but these are all the blocks: {', '.join(blocks)}; freeze at most "
            f"{len(blocks)}, or name finer ones with blocks="
        )


def _check_channels(channels: int | None, inputs: Inputs) -> None:
    shape = inputs.shape
    if channels is not None and len(shape) != 2 and (len(shape) != 3 or shape[0] not in (1, channels)):
        raise SpaceError(
            f"Pretrained channels={channels} is for images, grey or of {channels} channels, got samples of shape "
            f"{shape}; drop channels="
        )


def _names(blocks: Sequence[str]) -> tuple[str, ...]:
    if isinstance(blocks, str) or not all(isinstance(name, str) for name in blocks):
        raise SpaceError(f"Pretrained blocks must be names of layers, got {blocks!r}; give ['layer1', 'layer2']")
    return tuple(blocks)


def _name(factory: Callable[..., object]) -> str:
    return str(getattr(factory, "__qualname__", factory))
