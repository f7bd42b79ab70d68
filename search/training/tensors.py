"""The prepared data as tensors: what the loop indexes."""

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
from archsearch.spaces.inputs import Inputs

RESIDENT = 0.5  # of a GPU's free memory may be inputs; the rest is for the networks, and what they compute


@dataclass(frozen=True, slots=True)
class Tensors:
    """Train and validation parts, (n, *shape) and (n,) each; on the CPU they share the arrays' memory.

    The targets are on the device that trains. The inputs are too where it has room for them, and on the host otherwise.
    None is ever written to: the arrays may be mapped into many processes, and from a file.
    """

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor
    classification: bool
    outputs: int
    target_std: float  # of the target in its own units, which the rmse is reported in; 1 for classes
    inputs: Inputs
    target_mean: float = 0.0  # likewise; 0 for classes

    @classmethod
    def from_prepared(cls, device: str, prepared: Prepared) -> Tensors:
        train, validation = prepared.train, prepared.validation
        home = device if _has_room(device, train.inputs.nbytes + validation.inputs.nbytes) else "cpu"
        return cls(
            _tensor(train.inputs, home),
            _tensor(train.targets, device),
            _tensor(validation.inputs, home),
            _tensor(validation.targets, device),
            classification=prepared.task == "classification",
            outputs=prepared.outputs,
            target_std=prepared.target_std,
            target_mean=prepared.target_mean,
            inputs=prepared.inputs,
        )

    @classmethod
    def from_samples(cls, samples: Tensor, prepared: Prepared, inputs: Inputs) -> Tensors:
        """A few samples of the training part, to try things on: they validate too.

        Args:
            samples: Inputs (n, *inputs.shape), the first of the training part.
            prepared: Where they are from.
            inputs: What one of them looks like.
        """
        targets = torch.tensor(prepared.train.targets[: len(samples)])
        return cls(
            *(samples, targets, samples, targets),
            classification=prepared.task == "classification",
            outputs=prepared.outputs,
            target_std=prepared.target_std,
            target_mean=prepared.target_mean,
            inputs=inputs,
        )

    @property
    def device(self) -> torch.device:
        """The one that trains."""
        return self.train_targets.device

    def batches(self, orders: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The training part on the device, batch by batch: (K, batch, *shape) and (K, batch).

        orders: (K, n) on the host, the places of each row's samples. From the host, inputs go by pinned memory, which
        the GPU copies from by itself, so that it trains while the next batch is gathered. A mapped file is read like
        other memory: ahead in a thread, or in the order of the file, was no faster (docs/decisions/0003).
        """
        there = orders.to(self.device)
        here = there if self.train_inputs.device == self.device else orders
        for index, places in zip(torch.split(there, size, 1), torch.split(here, size, 1), strict=True):
            targets = self.train_targets.index_select(0, index.flatten())
            inputs = _rows(self.train_inputs, places.flatten(), self.device)
            yield inputs.view(*index.shape, *inputs.shape[1:]), targets.view(index.shape)

    def validation_chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation part on the device, so many samples at a time: (chunk, *shape) and (chunk,)."""
        chunks = (torch.split(part, size) for part in (self.validation_inputs, self.validation_targets))
        for inputs, targets in zip(*chunks, strict=True):
            yield inputs.to(self.device), targets


def on_host(kept: Any) -> Any:
    """A copy that shares nothing, with all tensors in it in the host's memory."""
    if isinstance(kept, Tensor):
        return kept.detach().to("cpu", copy=True)
    if type(kept) is dict:
        return {name: on_host(value) for name, value in kept.items()}
    if type(kept) in (list, tuple):
        return type(kept)(map(on_host, kept))
    return copy.deepcopy(kept)


def _rows(inputs: Tensor, places: Tensor, device: torch.device) -> Tensor:
    """The inputs at those places, on the device."""
    if inputs.device == device:
        return inputs.index_select(0, places)
    gathered = torch.empty((len(places), *inputs.shape[1:]), dtype=inputs.dtype, pin_memory=device.type == "cuda")
    return torch.index_select(inputs, 0, places, out=gathered).to(device, non_blocking=True)


def _has_room(device: str, needed: int) -> bool:
    if torch.device(device).type != "cuda":
        return True
    index = torch.device(device).index
    place = torch.cuda.current_device() if index is None else index
    free, _ = torch.cuda.mem_get_info(place)
    kept = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)  # torch's own, to be used again
    return needed <= RESIDENT * (free + kept)


def _tensor(array: np.ndarray, device: str) -> Tensor:
    with warnings.catch_warnings():
        # Ray maps arrays read-only; torch has no such tensors, and warns that a write would be undefined.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
