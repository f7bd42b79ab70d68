"""Losses per sample: cross entropy (in nats), squared error (of the standardized target), or a custom function.

- several labels per sample: the binary cross entropy with the sigmoid of each output, averaged over the labels
- several numbers per sample: the squared error, averaged over the targets
- label smoothing: the target distribution gives the class 1 - ε, plus ε / classes to every class (Szegedy et al., 2016,
  "Rethinking the inception architecture", section 7)
- class weights "balanced": samples are weighted by n / (classes * count), so that all classes have the same total
  weight (King and Zeng, 2001, "Logistic regression in rare events data", section 4), as in scikit-learn
- a custom function: `loss(predictions, targets)`

The last three apply to training only. `val_loss` is always the plain cross entropy or squared error, so that it can be
compared across trials with different losses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax

from archsearch.search.training.functions import name_of
from archsearch.search.training.tensors import Tensors
from archsearch.spaces import SpecError

CLASS_WEIGHTS = ("balanced", "none")
LOSSES = ("auto",)  # cross entropy for classification and labels, squared error for regression

Loss = Callable[[Tensor, Tensor], Tensor]


class Losses:
    """The losses of a stack, each (K, batch): `plain` for validation, `trained` for training.

    Args:
        configs: The parameters of each row.
        data: The training and validation data.
        own: A custom loss, `own(predictions, targets)`, called separately for each row. For classification, predictions
            are logits (batch, classes) and targets class indices (batch,); for several labels, logits (batch, labels)
            and zeros and ones (batch, labels), float32; for regression, both are standardized values, (batch,) or
            (batch, k). It returns the loss of each sample, (batch,), or their mean.
    """

    def __init__(self, configs: Sequence[Mapping[str, Any]], data: Tensors, own: Loss | None = None) -> None:
        self._task, self._one_number = data.task, data.one_number
        self._own = copy.deepcopy(own).to(data.device) if isinstance(own, nn.Module) else own
        smoothing = data.train_targets.new_tensor([c.get("label_smoothing", 0.0) for c in configs], dtype=torch.float32)
        self._smoothing = smoothing.view(-1, 1) if smoothing.any() else None  # (K, 1)
        self._weights: Tensor | None = None  # (K, classes)
        if data.classification and any(config.get("class_weights", "none") == "balanced" for config in configs):
            counts = torch.bincount(data.train_targets, minlength=data.outputs).clamp(min=1)
            balanced = len(data.train_targets) / (data.outputs * counts.float())
            even = torch.ones_like(balanced)
            self._weights = torch.stack([balanced if c.get("class_weights") == "balanced" else even for c in configs])
        # Techniques that weight samples need the loss of each sample.
        self._each = next((name for name in ("class_weights", "mixup") if _asks(configs, name)), None)

    def plain(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy or squared error of each sample, (K, batch).

        Args:
            outputs: (K, batch, outputs).
            targets: (K, batch), or (K, batch, k) for several targets per sample.
        """
        if self._one_number:
            return (outputs.squeeze(-1) - targets).square()
        if self._task == "regression":
            return (outputs - targets).square().mean(-1)
        if self._task == "multilabel":
            return binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(-1)
        return cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)

    def trained(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss to minimize, with label smoothing, class weights or the custom function; shapes as in `plain`.

        Raises:
            SpecError: The custom function returns an invalid value.
        """
        if self._own is not None:
            predictions = outputs.squeeze(-1) if self._one_number else outputs
            rows = zip(predictions, targets, strict=True)
            losses = torch.stack([self._owns(self._own, *row) for row in rows])
        elif self._smoothing is None:
            losses = self.plain(outputs, targets)
        else:
            logs = log_softmax(outputs, dim=-1)
            right = logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            losses = -(1 - self._smoothing) * right - self._smoothing * logs.mean(-1)
        return losses if self._weights is None else losses * self._weights.gather(1, targets)

    def _owns(self, own: Loss, predictions: Tensor, targets: Tensor) -> Tensor:
        """Call the custom loss on one row: (batch,). Raises SpecError if it returns an invalid value."""
        loss = own(predictions, targets)
        name, each = name_of(own), targets.shape[:1]
        if not isinstance(loss, Tensor) or loss.shape not in ((), each):
            got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise SpecError(
                f"Recipe loss {name} must return the loss of each sample, a tensor of shape {tuple(each)}, or "
                f"their mean, of shape (), got {got}; reduce the other axes"
            )
        if not loss.requires_grad and predictions.requires_grad:
            raise SpecError(
                f"Recipe loss {name} returns a tensor without a gradient; compute it from the predictions with torch, "
                "without .detach(), .item() or NumPy"
            )
        if loss.dim() == 0 and self._each is not None:
            raise SpecError(
                f"Recipe loss {name} returns one number for the batch, but {self._each} needs the loss of each sample; "
                f"return shape {tuple(each)}, as torch does with reduction='none', or remove {self._each}"
            )
        return loss.expand(each)


def _asks(configs: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(config.get(name) not in (None, 0, "none") for config in configs)
