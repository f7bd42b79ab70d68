"""Pretrained: transfer learning. A pretrained module gets a new head and is fine-tuned on the data.

The search is for how much of it may change: layers can be frozen (Yosinski et al., 2014, "How transferable are features
in deep neural networks?"), and the others can have a lower learning rate than the head, decreasing from block to block
(Howard and Ruder, 2018, "Universal language model fine-tuning for text classification", section 3.2).
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

    `freeze`, `head_units`, `head_dropout`, `rate_share` and `rate_decay` are each a fixed value or a domain, and become
    the parameters of their names.

    Args:
        module_factory: A function without arguments that returns the module with its weights, for example one that
            makes a torchvision model and loads its weights from a file. Each process calls it once, with the same seed,
            and each trial trains a copy of the module.
        freeze: How many of the first blocks are not trained: a number, "none", or "all", to train the head alone. Batch
            norm in a frozen block keeps its running statistics, and uses them in training too. Parameters that the
            factory has frozen remain frozen.
        head_units: The width of a hidden layer (with ReLU) in the head; 0 or None for a head of one linear layer.
        head_dropout: The fraction of values dropped before each linear layer of the head, in [0, 1).
        rate_share: The learning rate of the last block, as a fraction of the head's, in (0, 1].
        rate_decay: The factor on the learning rate from each block to the one before it, in (0, 1]. Howard and Ruder
            (2018) recommend 1 / 2.6, for `rate_share` too.
        replace: The name of the layer that the head replaces. The head has as many inputs as the first nn.Linear in it.
            None: the module's last nn.Linear.
        blocks: The names of the layers at which blocks start, such as `["layer1", "layer2"]`. None: each child of the
            module that has parameters is a block, where a child that contains the head is replaced by its own children.
        channels: For images, the number of channels of the module's input, (batch, channels, height, width); greyscale
            images are repeated in all channels. None passes samples as they are, (batch, *inputs.shape). If the module
            needs another size or normalization, let the factory put it first, `nn.Sequential(Resize(), resnet)`; the
            blocks are still those of the resnet.

    Raises:
        SpaceError: A value is out of range, or a domain includes such a value. `build` raises it if an argument does
            not fit the module.

    Example:
        >>> from torch import nn
        >>> from archsearch import Int, Pretrained
        >>> def backbone():
        ...     return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> list(Pretrained(backbone, freeze=Int(0, 2)).space)
        ['freeze', 'head_units']
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
        """The parameters: `freeze` and `head_units`; `head_dropout`, `rate_share` and `rate_decay` if they are not left
        at their defaults, the latter two while not all blocks are frozen.
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
        """Copies the pretrained module and gives it a new head with random weights. See `NetworkFamily.build`."""
        given = with_defaults(Pretrained, config)
        module = copy.deepcopy(self._original.module)
        head = find_head(module, self.replace)
        blocks = split_into_blocks(module, head, self.blocks)
        _check_depth(self.freeze, list(blocks))
        _check_channels(self.channels, inputs)
        frozen = {"none": 0, "all": len(blocks)}.get(given["freeze"], given["freeze"])
        frozen_layers: list[nn.Module] = []
        scales: dict[str, float] = {}
        for index, layers in enumerate(blocks.values()):
            if index < frozen:
                frozen_layers += layers.values()
            scale = given["rate_share"] * given["rate_decay"] ** (len(blocks) - 1 - index)
            names = [
                name for prefix, layer in layers.items() for name, _ in layer.named_parameters(prefix, recurse=False)
            ]
            scales |= dict.fromkeys(names, scale)
        replace_layer(
            module, head, _new_head(head_inputs(module, head), given["head_units"] or 0, given["head_dropout"], outputs)
        )
        return _Transferred(module, frozen_layers, scales, self.channels).to(torch.get_default_device())


class _Original:
    """The module that the factory returns, which is called once. Only the factory is pickled."""

    def __init__(self, factory: Callable[[], nn.Module]) -> None:
        self._factory = factory

    @cached_property
    def module(self) -> nn.Module:
        # Independent of the context: the seed of a trial, or the meta device when costs are computed.
        with seeded(0), torch.device("cpu"), torch.enable_grad():
            module = self._factory()
        if not isinstance(module, nn.Module):
            raise SpaceError(
                f"module_factory {_name(self._factory)} must return a torch module, got {module!r}; return the module "
                "with its weights"
            )
        return module

    def __reduce__(self) -> tuple[type[_Original], tuple[Callable[[], nn.Module]]]:
        return _Original, (self._factory,)


class _Transferred(nn.Module):
    """A copy of the pretrained module with its new head.

    Args:
        module: The copy.
        frozen: The layers that are not trained.
        scales: Factors on the learning rate, by the names of the copy's parameters.
        channels: As in Pretrained.
    """

    def __init__(
        self, module: nn.Module, frozen: Sequence[nn.Module], scales: Mapping[str, float], channels: int | None
    ) -> None:
        super().__init__()
        self.pretrained = module
        self.rate_scales = {f"pretrained.{name}": scale for name, scale in scales.items() if scale != 1}
        self._norms = tuple(layer for layer in frozen if hasattr(layer, "running_mean"))
        self._channels = channels
        for layer in frozen:
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
                    "the samples are greyscale images without a channel axis; write Pretrained(..., channels=1), or 3 "
                    "if the module needs color images"
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
            f"Pretrained module_factory must be a function that returns the module, got {got}; write one that makes "
            "the module and loads its weights"
        )
    try:
        signature = inspect.signature(factory)
    except ValueError:  # functions written in C may have no signature
        return
    try:
        signature.bind()
    except TypeError as error:
        raise SpaceError(
            f"Pretrained calls module_factory {_name(factory)} without arguments: {error}; wrap it in a function that "
            "takes none"
        ) from error


def _check_freeze(freeze: Argument) -> None:
    for value in extremes(freeze):
        if isinstance(value, str) and value not in FREEZES:
            raise SpaceError(unknown("freeze", value, FREEZES))
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise SpaceError(
                f"Pretrained freeze must be 'none', 'all' or a number of blocks, got {value!r}; write one of these, "
                "Int(0, high) or Choice(...)"
            )


def _check_depth(freeze: Argument, blocks: Sequence[str]) -> None:
    """Checks the largest value of `freeze` that may be drawn, so that a mistake shows in the first trial."""
    deepest = max((value for value in extremes(freeze) if isinstance(value, int)), default=0)
    if deepest > len(blocks):
        raise SpaceError(
            f"Pretrained freeze must be at most {len(blocks)}, the number of blocks ({', '.join(blocks)}), got "
            f"{deepest}; lower it, or declare smaller blocks with blocks="
        )


def _check_channels(channels: int | None, inputs: Inputs) -> None:
    shape = inputs.shape
    if channels is not None and len(shape) != 2 and (len(shape) != 3 or shape[0] not in (1, channels)):
        raise SpaceError(
            f"Pretrained channels={channels} needs images, greyscale or with {channels} channels, got samples of shape "
            f"{shape}; leave out channels"
        )


def _names(blocks: Sequence[str]) -> tuple[str, ...]:
    if isinstance(blocks, str) or not all(isinstance(name, str) for name in blocks):
        raise SpaceError(f"Pretrained blocks must be names of layers, got {blocks!r}; write ['layer1', 'layer2']")
    return tuple(blocks)


def _name(factory: Callable[..., object]) -> str:
    return str(getattr(factory, "__qualname__", factory))
