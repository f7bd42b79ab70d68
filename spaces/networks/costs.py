"""The costs of a network, computed without training it: parameters, FLOPs and memory.

The network is built on torch's `meta` device, where tensors have shapes but no values: even a large network takes
milliseconds there, and no memory. A pass with two samples and one with three tell the memory that grows with the batch
from the rest. A batch of one is avoided, because batch norm cannot normalize it.
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
    """The costs of a network, and of a trial that trains it, if the last three arguments are given.

    Args:
        parameters: The number of parameters, frozen ones included.
        trainable: The number of parameters that are not frozen.
        flops: Of a forward pass of one sample, as torch counts them: two for a multiply-add, and only in matrix
            products, convolutions and attention.
        weight_bytes: Memory of parameters and buffers.
        trainable_bytes: Memory of the trainable parameters.
        kept_bytes: Memory that a forward pass keeps for the backward pass, independently of the batch size.
        sample_bytes: Memory that it keeps for each sample of the batch.
        batch_size: The number of samples in a training step.
        optimizer_copies: How many numbers the optimizer keeps for each trainable parameter.
        data_bytes: Memory of the data, which is on the device once.
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
        """An estimate for a trial in training: weights, gradients, optimizer state, activations and data."""
        gradients_and_state = (1 + self.optimizer_copies) * self.trainable_bytes
        activations = self.kept_bytes + self.batch_size * self.sample_bytes
        return self.weight_bytes + gradients_and_state + activations + self.data_bytes


def costs(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int) -> Costs:
    """Computes the costs of the config's network.

    A network that cannot run on the meta device, because it reads values of tensors, is built on the CPU instead.

    Raises:
        Exception: Whatever the network raises when it is built or called.
    """
    try:
        return _costs(network, config, inputs, outputs, "meta")
    except Exception as error:  # a user's module may raise anything; only errors about meta are handled here
        if "meta" not in str(error).lower():
            raise
    return _costs(network, config, inputs, outputs, "cpu")


def _costs(network: Network | StackedNetwork, config: Config, inputs: Inputs, outputs: int, device: str) -> Costs:
    with torch.device(device), warnings.catch_warnings():
        # A family may load weights into its module; on meta this has no effect, and torch warns of it.
        warnings.filterwarnings("ignore", message=".*meta parameter")
        model = build_single(network, config, inputs, outputs).eval()
        # The model itself is not moved, because a family may share weights among all networks that it builds.
        tensors = {name: _moved(held, device) for name, held in chain(model.named_parameters(), model.named_buffers())}
        with FlopCounterMode(display=False) as counter:
            two = _kept_bytes(model, tensors, _samples(inputs, 2), outputs)
        three = _kept_bytes(model, tensors, _samples(inputs, 3), outputs)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    spare = sum(getattr(layer, "spare_parameters", 0) for layer in model.modules())  # padding, never used
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
    """Dummy samples (batch, *shape). Tokens are 1, since 0 is padding, and some networks fail for an empty text."""
    if inputs.vocabulary is not None:
        return torch.ones(batch, *inputs.shape, dtype=torch.int32)
    return torch.zeros(batch, *inputs.shape)


def _kept_bytes(model: nn.Module, tensors: Mapping[str, Tensor], samples: Tensor, outputs: int) -> int:
    """Memory that a forward pass keeps for the backward pass, without the weights. Shared storage counts once."""
    weights = {_identity(tensor.untyped_storage()) for tensor in tensors.values()}
    kept: dict[int, UntypedStorage] = {}  # holds references, so that no identity is reused

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if _identity(storage) not in weights:
            kept[_identity(storage)] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        check_forward(model, samples, outputs, tensors)
    return sum(storage.nbytes() for storage in kept.values())


def _identity(storage: UntypedStorage) -> int:
    return int(storage._cdata)  # not data_ptr(), which is 0 for every storage on meta


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
