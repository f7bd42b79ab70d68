"""What a network costs, found without training it: parameters, FLOPs, memory.

It is built on torch's `meta` device, where tensors have shapes and no numbers: the largest network takes milliseconds
there, and no memory. Passing two samples and then three tells what grows with the batch from what does not; never one
sample, since some layers cannot normalise a batch of one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, UntypedStorage, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from archsearch.spaces.inputs import Inputs
from archsearch.spaces.networks.base import Network, StackedNetwork
from archsearch.spaces.networks.rehearsal import build_single, check_forward
from archsearch.spaces.space import Config


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs; and what a trial does that trains it, once the last three fields say how.

    parameters: all, and of them `trainable` are not frozen. flops: of a forward pass of one sample, as torch counts
    them: a multiply-add is two, and whatever is no matrix product, convolution or attention is none.

    weight_bytes: of parameters and buffers. trainable_bytes: of the trainable parameters. kept_bytes and sample_bytes:
    what a forward pass keeps for the backward pass, whatever the batch, and for each of its samples.

    batch_size: samples in a step. optimizer_copies: numbers that the optimizer keeps for each trainable parameter.
    data_bytes: of the data, which lies on the device once.
    """

    parameters: int
    trainable: int
    flops: int
    weight_bytes: int
    trainable_bytes: int
    kept_bytes: int
    sample_bytes: int
    batch_size: int = 1
    optimizer_copies: int = 0
    data_bytes: int = 0

    @property
    def memory_bytes(self) -> int:
        """Of a trial in training, estimated: weights, gradients, the optimizer's copies, activations and the data."""
        learning = (1 + self.optimizer_copies) * self.trainable_bytes
        return self.weight_bytes + learning + self.kept_bytes + self.batch_size * self.sample_bytes + self.data_bytes


def costs(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int) -> Costs:
    """What the config's network costs. Raises whatever goes wrong when it is built, or takes samples.

    A network that meta cannot build or run, since it looks at its numbers, is built on the CPU instead.
    """
    try:
        return _costs(network, config, inputs, outputs, "meta")
    except Exception as error:  # a user's module may raise anything; what is not about meta is raised as it is
        if "meta" not in str(error).lower():
            raise
    return _costs(network, config, inputs, outputs, "cpu")


def _costs(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int, device: str) -> Costs:
    with torch.device(device), warnings.catch_warnings():
        # A family may load weights into what it has built: on meta that does nothing, and torch says so.
        warnings.filterwarnings("ignore", message=".*meta parameter")
        model = build_single(network, config, inputs, outputs).eval()
        # Instead of moving the model, since a family may lend its own weights to every network that it builds.
        tensors = {name: _moved(held, device) for name, held in chain(model.named_parameters(), model.named_buffers())}
        with FlopCounterMode(display=False) as counter:
            two = _kept_bytes(model, tensors, _samples(inputs, 2), outputs)
        three = _kept_bytes(model, tensors, _samples(inputs, 3), outputs)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    spare = sum(getattr(layer, "spare_parameters", 0) for layer in model.modules())  # of layers that are trained
    return Costs(
        parameters=sum(parameter.numel() for parameter in model.parameters()) - spare,
        trainable=sum(parameter.numel() for parameter in trainable) - spare,
        flops=counter.get_total_flops() // 2,
        weight_bytes=_bytes(tensors.values()),
        trainable_bytes=_bytes(trainable),
        kept_bytes=max(0, 3 * two - 2 * three),
        sample_bytes=three - two,
    )


def _moved(held: Tensor, device: str) -> Tensor:
    return held.detach().to(device).requires_grad_(held.requires_grad)


def _samples(inputs: Inputs, batch: int) -> Tensor:
    """(batch, *shape) as the data has it, of no meaning. No padding in a text: a text without a word may be none."""
    if inputs.vocabulary is not None:
        return torch.ones(batch, *inputs.shape, dtype=torch.int32)
    return torch.zeros(batch, *inputs.shape)


def _kept_bytes(model: nn.Module, tensors: Mapping[str, Tensor], samples: Tensor, outputs: int) -> int:
    """What a forward pass keeps for the backward pass, beside the weights. What several layers keep counts once."""
    weights = {_identity(tensor.untyped_storage()) for tensor in tensors.values()}
    kept: dict[int, UntypedStorage] = {}  # which also keeps them alive, so that no identity is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if _identity(storage) not in weights:
            kept[_identity(storage)] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        check_forward(model, samples, outputs, tensors)
    return sum(storage.nbytes() for storage in kept.values())


def _identity(storage: UntypedStorage) -> int:
    return int(storage._cdata)  # its address would be the public way, but on meta all addresses are 0


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
