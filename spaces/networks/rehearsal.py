"""A rehearsal: builds a network and passes a few samples through it, to check that it fits the data and the task.

Errors are raised as they are, with a note that names the layer. It runs on the CPU, not on the meta device as `costs`
does: for that, torch first loads its compiler, which takes 1 to 2 s, while a small network takes milliseconds.
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
    """Builds the config's network, and passes samples (batch, *inputs.shape) through it in training mode."""
    model = build_single(network, config, inputs, outputs)
    with torch.no_grad():
        check_forward(model.train(), samples, outputs)


def build_single(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int) -> nn.Module:
    """The network as a stack of one, with any initialization."""
    return stacked(network, [config], inputs, outputs, [torch.Generator().manual_seed(0)])


def check_forward(model: nn.Module, samples: Tensor, outputs: int, tensors: Mapping[str, Tensor] | None = None) -> None:
    """Passes samples through a stack of one network, and checks the shape of its outputs.

    Args:
        model: A stack of one network.
        samples: (batch, *inputs.shape).
        outputs: The number of outputs that the model must have.
        tensors: Parameters and buffers by name, to be used instead of the model's own.

    Raises:
        ValueError: The outputs do not have the shape (1, batch, outputs).
        Exception: Whatever the model raises, with a note that names the layer.
    """
    try:
        given: Tensor = functional_call(model, dict(tensors or {}), (samples.unsqueeze(0),))
    except Exception as error:  # a user's module may raise anything; it is raised again with a note
        if layer := _layer_of(error, model):
            error.add_note(f"in {layer}")
        raise
    if given.shape != (1, len(samples), outputs):
        raise ValueError(
            f"the network's outputs for a batch of {len(samples)} must have shape ({len(samples)}, {outputs}), got "
            f"{tuple(given.shape[1:])}; the last layer needs {outputs} outputs"
        )


def _layer_of(error: BaseException, model: nn.Module) -> str | None:
    """The innermost layer in which the error was raised, such as `Linear 'body.2'`."""
    network = model.module if isinstance(model, SingleStack) else model
    names = {id(layer): name for name, layer in network.named_modules()}
    trace, found = error.__traceback__, None
    while trace is not None:
        layer = trace.tb_frame.f_locals.get("self")
        if (name := names.get(id(layer))) is not None:
            found = f"{type(layer).__name__} '{name}'" if name else type(layer).__name__
        trace = trace.tb_next
    return found
