"""The prepared data as tensors on a device: what the loop indexes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search.training.data import Prepared
from spaces.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Tensors:
    """Train and validation parts, (n, *shape) and (n,) each; on the CPU they share the arrays' memory.

    Never written to: the arrays may be mapped into many processes.
    """

    train_inputs: Tensor
    train_targets: Tensor
    validation_inputs: Tensor
    validation_targets: Tensor
    classification: bool
    outputs: int
    target_std: float  # of the target in its own units, which the rmse is reported in; 1 for classes
    inputs: Inputs

    @classmethod
    def on(cls, device: str, prepared: Prepared) -> Tensors:
        return cls(
            _tensor(prepared.train.inputs, device),
            _tensor(prepared.train.targets, device),
            _tensor(prepared.validation.inputs, device),
            _tensor(prepared.validation.targets, device),
            classification=prepared.task == "classification",
            outputs=prepared.outputs,
            target_std=prepared.target_std,
            inputs=prepared.inputs,
        )


def _tensor(array: np.ndarray, device: str) -> Tensor:
    with warnings.catch_warnings():
        # Ray maps arrays read-only; torch has no such tensors, and warns that a write would be undefined.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
