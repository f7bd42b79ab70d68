"""The initialization of weights.

- he: normal, variance 2 / fan-in (He et al., 2015, "Delving deep into rectifiers", eq. 10)
- xavier: normal, variance 2 / (fan-in + fan-out) (Glorot and Bengio, 2010, "Understanding the difficulty of training
  deep feedforward networks", section 4.2.1)
- orthogonal: a random (semi-)orthogonal matrix (Saxe et al., 2014, "Exact solutions to the nonlinear dynamics of
  learning in deep linear neural networks"), times √2 before activations that are near the identity for positive inputs
- small_normal: normal, standard deviation 0.01, as was common before these
- zeros: the units of a layer can then never become different; useful only to demonstrate that
- auto: he before activations that are close to the identity for positive inputs, else xavier
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archsearch.spaces.networks.layers.activations import SATURATING

INITIALIZATIONS = ("auto", "he", "orthogonal", "small_normal", "xavier", "zeros")


def initialize(
    scheme: str,
    shape: tuple[int, ...],
    fan_in: int,
    fan_out: int,
    activation: str | None,
    generators: Sequence[torch.Generator],
) -> nn.Parameter:
    """Weights (K, *shape), of which row k is drawn from `generators[k]` alone.

    Args:
        scheme: A name in INITIALIZATIONS.
        shape: Of the weights of one row. An orthogonal matrix has the first axis as its rows, and all others,
            flattened, as its columns.
        fan_in: Inputs of each output of the layer.
        fan_out: Outputs that each input of the layer contributes to.
        activation: The name of the activation that follows the layer, or None.
        generators: One for each row.
    """
    if on_meta():
        return nn.Parameter(torch.empty(len(generators), *shape))
    rectified = activation is not None and activation not in SATURATING
    if scheme == "auto":
        scheme = "he" if rectified else "xavier"
    rows = [_row(scheme, shape, fan_in, fan_out, rectified, generator) for generator in generators]
    return nn.Parameter(torch.stack(rows))


def normal(shape: tuple[int, ...], std: float, generators: Sequence[torch.Generator]) -> nn.Parameter:
    """Weights (K, *shape) from a normal distribution with mean 0; row k is drawn from `generators[k]` alone."""
    if on_meta():
        return nn.Parameter(torch.empty(len(generators), *shape))
    return nn.Parameter(torch.stack([torch.randn(shape, generator=generator) * std for generator in generators]))


def on_meta() -> bool:
    """Whether the default device is meta, on which tensors have no values, so that nothing can be drawn."""
    return torch.get_default_device().type == "meta"


def _row(
    scheme: str, shape: tuple[int, ...], fan_in: int, fan_out: int, rectified: bool, generator: torch.Generator
) -> Tensor:
    match scheme:
        case "he":
            return torch.randn(shape, generator=generator) * math.sqrt(2 / fan_in)
        case "xavier":
            return torch.randn(shape, generator=generator) * math.sqrt(2 / (fan_in + fan_out))
        case "small_normal":
            return torch.randn(shape, generator=generator) * 0.01
        case "orthogonal":
            gain = math.sqrt(2) if rectified else 1.0
            return nn.init.orthogonal_(torch.empty(shape), gain, generator=generator)
        case "zeros":
            return torch.zeros(shape)
        case _:
            raise ValueError(f"unknown initialization {scheme!r}")
