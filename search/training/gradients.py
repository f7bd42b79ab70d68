"""Penalties and gradient clipping, applied to the flat gradients (K, P) of a stack before the optimizer's step.

- l2, l1: the penalties l2 / 2 · |w|² and l1 · |w|₁, added to the loss (here: their gradients)
- clip_value: each entry is clamped to [-clip_value, clip_value]
- clip_norm: a row's whole gradient is scaled down to this norm if it exceeds it (Pascanu et al., 2013, "On the
  difficulty of training recurrent neural networks", algorithm 1)

Penalties are applied first, then clipping by value, then clipping by norm. The optimizer's weight decay is separate,
and is not clipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from archsearch.search.training.technique import Technique, Training

_TINY = 1e-6  # avoids a division by 0, as in torch.nn.utils.clip_grad_norm_
_OFF = {"l1": 0.0, "l2": 0.0, "clip_value": None, "clip_norm": None}


class Gradients(Technique):
    """Penalties and clipping. A row that does not use a technique gets its neutral value, which changes nothing."""

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any row uses a penalty or clipping."""
        return any(config.get(name, off) not in (None, off) for config in configs for name, off in _OFF.items())

    def training_begins(self, training: Training) -> None:
        configs, weights = training.configs, training.weights
        self._l1, self._l2 = (_column(configs, name, 0.0, weights) for name in ("l1", "l2"))
        self._most, self._longest = (_column(configs, name, None, weights) for name in ("clip_value", "clip_norm"))

    def step_begins(self, training: Training, gradient: Tensor) -> None:
        if self._l2 is not None:
            gradient.addcmul_(training.weights, self._l2)
        if self._l1 is not None:
            gradient.addcmul_(training.weights.sign(), self._l1)
        if self._most is not None:
            torch.minimum(torch.maximum(gradient, -self._most, out=gradient), self._most, out=gradient)
        if self._longest is not None:
            gradient.mul_((self._longest / (norms(gradient) + _TINY)).clamp(max=1))


def norms(table: Tensor) -> Tensor:
    """The Euclidean norm of each row of (K, P), as (K, 1).

    Computed row by row, because the summation order of one operation over the whole table would depend on K.
    """
    return torch.stack([row.norm() for row in table]).view(-1, 1)


def _column(configs: Sequence[Mapping[str, Any]], name: str, off: float | None, like: Tensor) -> Tensor | None:
    """A setting of all rows as (K, 1), with a neutral value for rows that do not set it; None if no row does.

    The neutral value is `off`, or infinity if `off` is None.
    """
    given = [config.get(name) for config in configs]
    if all(value is None or value == off for value in given):
        return None
    neutral = torch.inf if off is None else off
    return like.new_tensor([neutral if value is None else value for value in given]).view(-1, 1)
