"""Technique: the base class of the callbacks of the training loop, built-in or custom.

Its methods are called in this order:

    training_begins
        epoch_begins
            step_begins    the gradient has been computed, the optimizer has not used it yet
            step_ends      the optimizer has updated the weights
        evaluation_begins
        evaluation_ends    in reverse order of the techniques
        epoch_ends         the epoch has been trained and evaluated

`state` and `restore` are called between two epochs, for checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from archsearch.search.protocols import Metrics
from archsearch.search.training.optimizers.flat import Rates
from archsearch.spaces import Space


@dataclass(slots=True, eq=False)
class Training:
    """The state of a training, which the training loop passes to every method of a `Technique`.

    It trains a stack of K >= 1 networks with the same architecture, one per trial, as the K rows of one module. K is 1
    unless the network, the optimizer and all techniques can be stacked.

    Attributes:
        configs: The config of each row, K mappings, completed with the recipe's defaults.
        model: The K networks as one module, from (K, batch, *shape) to (K, batch, outputs).
        weights: All trainable weights, (K, P): row k is network k. The parameters of `model` are views of this
            tensor, so an in-place change changes the networks; assigning a new tensor does not. The end of each row may
            be padded with zeros.
        epochs: The number of epochs to train.
        steps: The number of optimizer steps per epoch.
        samples: The number of training samples.
        shape: The shape of one input, without the batch axis.
        seeds: The seed of each row.
        generators: One random generator per row, on the device of the weights, for anything random in a technique.
            Drawing from them keeps the result of a row independent of the other rows. They are saved in checkpoints.
        epoch: The current epoch, counted from 0.
        step: The current step of the epoch, counted from 0.
        rates: The learning rates of the current epoch: `rates.at(step)` is (K, 1), or (K, P) if parts of the network
            have learning rates of their own. Set from `epoch_begins` on.
    """

    configs: Sequence[Mapping[str, Any]]
    model: nn.Module
    weights: Tensor
    epochs: int
    steps: int
    samples: int
    shape: tuple[int, ...]
    seeds: Sequence[int]
    generators: Sequence[torch.Generator] = field(init=False)
    epoch: int = 0
    step: int = 0
    rates: Rates = field(init=False)
    _lasts: dict[int, Metrics] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.generators = [torch.Generator(self.device).manual_seed(seed) for seed in self.seeds]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.weights.device

    def end(self, row: int, metrics: Metrics | None = None) -> None:
        """End the trial of a row after the current epoch, as finished. Call it in `epoch_ends` or before.

        Args:
            row: The row, from 0 to K - 1.
            metrics: Values that replace those of the current epoch in the last report, such as those of the best epoch.
        """
        self._lasts[row] = metrics or {}

    def ending(self) -> dict[int, Metrics]:
        """Return and clear the rows that end with this epoch, with the values that replace those of their report."""
        lasts, self._lasts = self._lasts, {}
        return lasts


class Technique:
    """Base class for training techniques: override the methods you need, and pass `Recipe(techniques=[...])`.

    For example, gradient noise (Neelakantan et al., 2015, "Adding gradient noise improves learning for very deep
    networks"):

        class GradientNoise(Technique):
            stackable = True

            def step_begins(self, training, gradient):
                for row, generator in zip(gradient, training.generators):
                    row += 0.01 * torch.randn(row.shape, generator=generator, device=row.device)

    Every training works on a deep copy of the object, so attributes set in `training_begins` are not shared between
    trials. The methods from `training_begins` to `epoch_ends` are called under `torch.no_grad()`. Custom techniques are
    called in the order of the list: after gradient clipping, local updates and the projection onto the norm ball, and
    before weight averaging and early stopping.

    Attributes:
        stackable: Whether the technique treats each row of a stack independently, so that each gets the same result as
            alone. False by default, which is always correct: every trial is then trained by itself. True allows small
            networks to be trained together, which is faster.
        space: Parameters of the technique, which are added to those of the recipe, such as `Space(noise=Float(0,
            0.1))`. Their values for each row are in `training.configs`. Empty by default.
    """

    stackable: ClassVar[bool] = False

    @property
    def space(self) -> Space:
        """The parameters of the technique; none by default."""
        return Space()

    def training_begins(self, training: Training) -> None:
        """Called once before the first epoch, with the initial weights. On resuming, `restore` follows.

        Args:
            training: The training. `rates` is not set yet.
        """

    def epoch_begins(self, training: Training) -> None:
        """Called before the epoch `training.epoch` is trained.

        Args:
            training: The training, with the learning rates of this epoch.
        """

    def step_begins(self, training: Training, gradient: Tensor) -> None:
        """Called when the gradient of step `training.step` has been computed, before the optimizer uses it.

        Args:
            training: The training, with the weights at which the gradient was computed.
            gradient: The gradient of the loss, (K, P) like `training.weights`. Change it in place.
        """

    def step_ends(self, training: Training) -> None:
        """Called after the optimizer has made step `training.step`.

        Args:
            training: The training, with the updated weights.
        """

    def evaluation_begins(self, training: Training) -> None:
        """Called after the last step of an epoch, before the networks are evaluated on the validation data.

        Args:
            training: The training. The networks are evaluated with the weights as this method leaves them.
        """

    def evaluation_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """Called after the evaluation. Undo here any change of the weights made in `evaluation_begins`.

        Args:
            training: The training, with the weights that were evaluated.
            metrics: The validation metrics of each of the K rows, such as "val_loss".
        """

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """Called after the epoch has been trained and evaluated.

        Args:
            training: The training. `training.end(row)` ends the trial of a row with this epoch.
            metrics: The metrics that each of the K rows will report, except "train_loss".
        """

    def state(self) -> Any:
        """The state between two epochs, for checkpoints: plain values and tensors. None by default."""
        return None

    def restore(self, state: Any) -> None:
        """Continue from a state, possibly in another process. Called after `training_begins`.

        Args:
            state: What `state` returned, with its tensors on the CPU.
        """

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(shown)})"
