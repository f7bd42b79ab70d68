"""The prepared data as tensors, from which the training loop takes its batches."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archsearch.search.training.data import Prepared
from archsearch.search.training.data.prepared import Task
from archsearch.spaces.inputs import Inputs

RESIDENT = 0.5  # the maximum fraction of a GPU's free memory for inputs; the rest is for networks and activations


@dataclass(frozen=True, slots=True)
class Tensors:
    """Training and validation data: inputs (n, *shape) and targets (n,) or (n, k) each.

    The targets are on the device used for training. The inputs are too if they fit, and otherwise in host memory. On
    the CPU, the tensors share the memory of the arrays. They must not be written to, because the arrays may be mapped
    from a file, or into several processes.
    """

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor
    task: Task
    outputs: int
    target_std: float | Tensor  # the standard deviation of the target, in its units; 1 unless it is a regression
    inputs: Inputs
    target_mean: float | Tensor = 0.0  # the mean, likewise; both are (k,) on the CPU for several targets per sample

    @classmethod
    def from_prepared(cls, device: str, prepared: Prepared) -> Tensors:
        """The data as tensors for training on a device."""
        train, validation = prepared.train, prepared.validation
        home = device if _has_room(device, train.inputs.nbytes + validation.inputs.nbytes) else "cpu"
        return cls(
            _tensor(train.inputs, home),
            _tensor(train.targets, device),
            _tensor(validation.inputs, home),
            _tensor(validation.targets, device),
            task=prepared.task,
            outputs=prepared.outputs,
            target_std=_number(prepared.target_std),
            target_mean=_number(prepared.target_mean),
            inputs=prepared.inputs,
        )

    @classmethod
    def from_samples(cls, samples: Tensor, prepared: Prepared, inputs: Inputs) -> Tensors:
        """A few training samples for a rehearsal, used both for training and for validation.

        Args:
            samples: The inputs of the first n training samples, (n, *inputs.shape).
            prepared: The data that they are taken from.
            inputs: The description of the inputs.
        """
        targets = torch.tensor(prepared.train.targets[: len(samples)])
        return cls(
            *(samples, targets, samples, targets),
            task=prepared.task,
            outputs=prepared.outputs,
            target_std=_number(prepared.target_std),
            target_mean=_number(prepared.target_mean),
            inputs=inputs,
        )

    @property
    def classification(self) -> bool:
        """Whether there is one class per sample."""
        return self.task == "classification"

    @property
    def one_number(self) -> bool:
        """Whether it is a regression with one target per sample, whose outputs (n, 1) stand for targets (n,)."""
        return self.task == "regression" and self.train_targets.dim() == 1

    @property
    def device(self) -> torch.device:
        """The device used for training."""
        return self.train_targets.device

    def batches(self, orders: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over the training data in batches.

        Inputs in host memory are copied to a GPU from pinned memory, asynchronously, so that it computes while the next
        batch is gathered. A memory-mapped file is read like other memory: neither prefetching in a thread nor reading
        in file order was faster (docs/decisions/0003).

        Args:
            orders: The indices of each row's samples, in the order of the epoch, (K, n), on the CPU.
            size: The number of samples per batch.

        Yields:
            The inputs (K, batch, *shape) and targets (K, batch) or (K, batch, k) of each batch, on the device.
        """
        there = orders.to(self.device)
        here = there if self.train_inputs.device == self.device else orders
        for index, places in zip(torch.split(there, size, 1), torch.split(here, size, 1), strict=True):
            targets = self.train_targets.index_select(0, index.flatten())
            inputs = _rows(self.train_inputs, places.flatten(), self.device)
            yield inputs.view(*index.shape, *inputs.shape[1:]), targets.view(*index.shape, *targets.shape[1:])

    def validation_chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over the validation data on the device: inputs (size, *shape) and as many targets at a time."""
        chunks = (torch.split(part, size) for part in (self.validation_inputs, self.validation_targets))
        for inputs, targets in zip(*chunks, strict=True):
            yield inputs.to(self.device), targets


def on_host(kept: Any) -> Any:
    """A deep copy, with all tensors in host memory."""
    if isinstance(kept, Tensor):
        return kept.detach().to("cpu", copy=True)
    if type(kept) is dict:
        return {name: on_host(value) for name, value in kept.items()}
    if type(kept) in (list, tuple):
        return type(kept)(map(on_host, kept))
    return copy.deepcopy(kept)


def _rows(inputs: Tensor, places: Tensor, device: torch.device) -> Tensor:
    """The inputs at the given indices, on the device."""
    if inputs.device == device:
        return inputs.index_select(0, places)
    gathered = torch.empty((len(places), *inputs.shape[1:]), dtype=inputs.dtype, pin_memory=device.type == "cuda")
    return torch.index_select(inputs, 0, places, out=gathered).to(device, non_blocking=True)


def _number(value: float | np.ndarray) -> float | Tensor:
    return torch.tensor(value) if isinstance(value, np.ndarray) else value  # a copy: on Ray the array is read-only


def _has_room(device: str, needed: int) -> bool:
    if torch.device(device).type != "cuda":
        return True
    index = torch.device(device).index
    place = torch.cuda.current_device() if index is None else index
    free, _ = torch.cuda.mem_get_info(place)
    kept = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)  # cached by torch for reuse
    return needed <= RESIDENT * (free + kept)


def _tensor(array: np.ndarray, device: str) -> Tensor:
    with warnings.catch_warnings():
        # Ray maps arrays read-only. torch has no read-only tensors, and warns that writing is undefined behavior.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
