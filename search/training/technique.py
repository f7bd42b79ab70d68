"""Technique: a part of training that acts at fixed moments of it. The loop's own parts and a user's have this one base.

    training_begins
        epoch_begins
            step_begins    the gradient is there, the optimizer has not used it yet
            step_ends      the optimizer has moved the weights
        evaluation_begins
        evaluation_ends    in reverse order of the techniques
        epoch_ends         the epoch has been trained and evaluated

Between two epochs, `state` and `restore` are for checkpoints.
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
    """The training that a technique takes part in: K networks of one graph side by side, as the rows of a stack.

    Attributes:
        configs: The parameters of each row, with the recipe's defaults filled in.
        model: The K networks as one module, from (K, batch, *inputs) to (K, batch, outputs).
        weights: All trained weights, (K, P): row k is network k. The model's parameters are views of it, so a change
            in place changes the networks. The end of a row may be padded with zeros.
        epochs: How many epochs the trial has.
        steps: Steps of the optimizer in one epoch.
        samples: Samples in the training part.
        shape: Of one input.
        seeds: One of each row.
        generators: One of each row, on the device that trains, for whatever a technique draws. Their states are part
            of every checkpoint.
        epoch: The epoch, counted from 0.
        step: The step of the epoch, counted from 0.
        rates: The learning rates of the epoch, by step.
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
        """Where the networks are."""
        return self.weights.device

    def end(self, row: int, metrics: Metrics | None = None) -> None:
        """End this row's trial, as finished, with the present epoch.

        Args:
            row: The row, from 0 to K - 1.
            metrics: What the last report says in place of the epoch's own numbers, such as those of the best epoch.
        """
        self._lasts[row] = metrics or {}

    def ending(self) -> dict[int, Metrics]:
        """The rows that end with this epoch, each with what its last report says instead; empties the list."""
        lasts, self._lasts = self._lasts, {}
        return lasts


class Technique:
    """A technique of your own: override the moments at which it acts, and pass it as `Recipe(techniques=[...])`.

    For example, gradients with noise (Neelakantan et al., 2015, "Adding gradient noise improves learning for very deep
    networks"):

        class GradientNoise(Technique):
            stackable = True

            def step_begins(self, training, gradient):
                for row, generator in zip(gradient, training.generators):
                    row += 0.01 * torch.randn(row.shape, generator=generator, device=row.device)

    Every trial works on a deep copy of the object, so attributes set in `training_begins` are the trial's own. All
    moments are called without gradients being recorded. Techniques of your own act in the order of the list: after
    clipping, local updates and the norm ball, and before averaging of weights and early stopping.

    Attributes:
        stackable: Whether each row of a stack comes out as it would alone, because the technique treats row by row.
            False, the default, trains every trial by itself; True lets small networks share a program.
        space: Parameters of the technique's own, which join those of the recipe: `Space(noise=Float(0, 0.1))`. Each
            row's values are in `training.configs`.
    """

    stackable: ClassVar[bool] = False

    @property
    def space(self) -> Space:
        """Parameters of the technique's own; none by default."""
        return Space()

    def training_begins(self, training: Training) -> None:
        """The networks have their first weights. Also called before `restore`."""

    def epoch_begins(self, training: Training) -> None:
        """Epoch `training.epoch` is about to be trained."""

    def step_begins(self, training: Training, gradient: Tensor) -> None:
        """The gradient of step `training.step` is known, and the weights have not moved yet.

        Args:
            training: The training, with the weights at which the gradient was taken.
            gradient: (K, P), as `training.weights`; the optimizer uses what this leaves in it.
        """

    def step_ends(self, training: Training) -> None:
        """The optimizer has made step `training.step`."""

    def evaluation_begins(self, training: Training) -> None:
        """The epoch's steps are made, and the networks are about to be evaluated with the weights as they are now."""

    def evaluation_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """The networks have been evaluated; undo here what `evaluation_begins` has done to the weights.

        Args:
            training: The training, with the weights that were evaluated.
            metrics: What each of the K rows reports of its validation, such as "val_loss".
        """

    def epoch_ends(self, training: Training, metrics: Sequence[dict[str, float]]) -> None:
        """The epoch has been trained and evaluated.

        Args:
            training: The training; `training.end(row)` makes this epoch the row's last.
            metrics: What each of the K rows reports.
        """

    def state(self) -> Any:
        """What `restore` needs between two epochs: plain values and tensors of the technique's own; None by default."""
        return None

    def restore(self, state: Any) -> None:
        """Go on from what `state` returned, perhaps in another process.

        Args:
            state: The state, with its tensors in the host's memory.
        """

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(shown)})"
