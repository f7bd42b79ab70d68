"""A rehearsal: a network is built and takes a few samples, untrained. Does it fit the data and the task?

What goes wrong is raised as it is, with a note that names the layer. It is done for real, where `costs` works on the
meta device: for that torch loads its compiler, which takes a second or two, and a small network takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.base import Network, StackedNetwork, stacked
from archsearch.spaces.networks.stacks import SingleStack
from archsearch.spaces.space import Config


def rehearse(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int, samples: Tensor) -> None:
    """Builds the config's network, and passes samples (batch, *inputs.shape) through it as training does."""
    model = build_single(network, config, inputs, outputs)
    with torch.no_grad():
        check_forward(model.train(), samples, outputs)


def build_single(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
    """The network as a stack of one. How it starts does not matter here."""
    return stacked(network, [config], inputs, outputs, [torch.Generator().manual_seed(0)])


def check_forward(model: nn.Module, samples: Tensor, outputs: int, tensors: Mapping[str, Tensor] | None = None) -> None:
    """Passes samples (batch, …) through a stack of one. tensors: by name, instead of the model's own.

    Raises whatever the model raises, and ValueError when its outputs are not (1, batch, outputs).
    """
    try:
        given: Tensor = functional_call(model, dict(tensors or {}), (samples.unsqueeze(0),))
    except Exception as error:  # a user's module may raise anything, and it is only given a note
        if layer := _layer_of(error, model):
            error.add_note(f"in {layer}")
        raise
    if given.shape != (1, len(samples), outputs):
        raise ValueError(
            f"the network's outputs for a batch of {len(samples)} have shape {tuple(given.shape[1:])}, and must have "
            f"({len(samples)}, {outputs}); let its last layer give {outputs} outputs"
        )


def _layer_of(error: BaseException, model: nn.Module) -> str | None:
    """`Linear 'body.2'`: the innermost layer that was at work, by its name in the network."""
    network = model.module if isinstance(model, SingleStack) else model
    names = {id(layer): name for name, layer in network.named_modules()}
    trace, found = error.__traceback__, None
    while trace is not None:
        layer = trace.tb_frame.f_locals.get("self")
        if (name := names.get(id(layer))) is not None:
            found = f"{type(layer).__name__} '{name}'" if name else type(layer).__name__
        trace = trace.tb_next
    return found
