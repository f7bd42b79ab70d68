"""The activations by the names that a config gives them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": functional.elu,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "mish": functional.mish,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "swish": functional.silu,  # the same function; both names are in use
    "tanh": torch.tanh,
}
SATURATING = frozenset({"sigmoid", "tanh"})  # flat at both ends; the others are near the identity for positive inputs
