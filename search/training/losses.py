"""The loss of each sample of a stack: cross entropy (in nats) or squared error (of the standardised target).

- label smoothing: the target is the class with 1 - ε, and every class with ε / classes (Szegedy et al., 2016,
  "Rethinking the inception architecture", section 7); as trained on, not in validation
- class weights, "balanced": each class counts the same in sum (King and Zeng, 2001, "Logistic regression in rare events
  data", section 4), by scikit-learn's rule n / (classes * count); as trained on, not in validation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from archsearch.search.training.tensors import Tensors

CLASS_WEIGHTS = ("balanced", "none")


class Losses:
    """The losses of a stack: `plain` of the validation part, `trained` of a training batch, both (K, batch)."""

    def __init__(self, configs: Sequence[Mapping[str, Any]], data: Tensors) -> None:
        self._classification = data.classification
        smoothing = data.train_targets.new_tensor([c.get("label_smoothing", 0.0) for c in configs], dtype=torch.float32)
        self._smoothing = smoothing.view(-1, 1) if smoothing.any() else None  # (K, 1)
        self._weights: Tensor | None = None  # (K, classes)
        if data.classification and any(config.get("class_weights", "none") == "balanced" for config in configs):
            counts = torch.bincount(data.train_targets, minlength=data.outputs).clamp(min=1)
            balanced = len(data.train_targets) / (data.outputs * counts.float())
            even = torch.ones_like(balanced)
            self._weights = torch.stack([balanced if c.get("class_weights") == "balanced" else even for c in configs])

    def plain(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """outputs: (K, batch, outputs); targets: (K, batch)."""
        if not self._classification:
            return (outputs.squeeze(-1) - targets).square()
        return cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)

    def trained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The same with what is meant for training alone."""
        if self._smoothing is None:
            losses = self.plain(outputs, targets)
        else:
            logs = log_softmax(outputs, dim=-1)
            right = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            losses = -(1 - self._smoothing) * right - self._smoothing * logs.mean(-1)
        return losses if self._weights is None else losses * self._weights.gather(1, targets)
