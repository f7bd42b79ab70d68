"""Data augmentation: the training samples are transformed at random in every epoch.

- rotation: images are rotated by an angle drawn uniformly from [-rotation, rotation], in degrees
- shift: images are translated along each axis by an offset drawn uniformly from [-shift, shift], in pixels
- flip: images are mirrored horizontally with probability 0.5
- cutout: a square with this side length in pixels is set to 0, the mean of the standardized inputs (DeVries and Taylor,
  2017, "Improved regularization of convolutional neural networks with cutout", section 3.2)
- noise: Gaussian noise with this standard deviation is added to the standardized inputs
- mixup: a sample and its label are blended with another sample of the batch, with a weight drawn from
  Beta(mixup, mixup) (Zhang et al., 2018, "mixup: Beyond empirical risk minimization", section 2)
- a custom function, `augmentation(inputs, generator)`: called for each batch of each row, before mixup

Each row draws from its own generators, so its samples do not depend on the other rows of the stack. Rotation, shift and
flip are combined into one affine transformation (torch's grid_sample, bilinear, with zero padding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from archsearch.search.training.functions import name_of
from archsearch.search.training.technique import Technique, Training
from archsearch.spaces import SpecError

MOVES = ("rotation", "shift", "flip")
AUGMENTATIONS = (*MOVES, "cutout", "noise", "mixup")  # keys of a config; 0 or False turns one off


def switched_on(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The augmentations that a config enables. Trials of one stack enable the same ones, with different strengths."""
    return tuple(name for name in AUGMENTATIONS if config.get(name))


@dataclass(frozen=True, slots=True)
class Noise:
    """The random numbers of one epoch: one draw per row and sample, in the order in which the samples are visited.

    Attributes:
        theta: The affine transformation of each image, (K, n, 2, 3), or None.
        centers: The center (y, x) of the cutout square, as fractions of height and width, (K, n, 2), or None.
        share: The mixup weight of the sample itself, (K, n), or None.
    """

    theta: Tensor | None
    centers: Tensor | None
    share: Tensor | None


class Augmentation(Technique):
    """The augmentations of a stack: `shown` transforms the inputs of a batch, and `share` gives its mixup weights.

    Args:
        seeds: One seed per row.
        own: A custom function, `own(inputs, generator)`, which maps the inputs (batch, *shape) of one row to inputs of
            the same shape and dtype. It must draw random numbers only from `generator`, a torch.Generator on the device
            of the inputs.
    """

    def __init__(self, seeds: Sequence[int], own: Callable[[Tensor, torch.Generator], Tensor] | None = None) -> None:
        self._seeds, self._own = seeds, own

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether any augmentation is enabled; it is the same for all rows of a stack."""
        return bool(switched_on(configs[0])) or configs[0].get("augmentation", "none") != "none"

    def training_begins(self, training: Training) -> None:
        self._on = switched_on(training.configs[0])
        self._configs, self._shape, self._device = training.configs, training.shape, training.device
        self._rngs = [np.random.default_rng(seed) for seed in self._seeds]
        self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in self._seeds]  # for `noise`
        self._owns = training.generators

    def epoch_begins(self, training: Training) -> None:
        """Draw the random numbers for one pass over the training data."""
        samples, on = training.samples, self._on
        self._noise = Noise(
            self._tensor([self._theta(*row, samples) for row in self._rows]) if {*on} & {*MOVES} else None,
            self._tensor([rng.random((samples, 2)) for _, rng in self._rows]) if "cutout" in on else None,
            self._tensor([rng.beta(c["mixup"], c["mixup"], samples) for c, rng in self._rows])
            if "mixup" in on
            else None,
        )

    def state(self) -> list[Any]:
        return [
            (rng.bit_generator.state, generator.get_state())
            for rng, generator in zip(self._rngs, self._generators, strict=True)
        ]

    def restore(self, state: Sequence[Any]) -> None:
        for rng, generator, (numpys, torchs) in zip(self._rngs, self._generators, state, strict=True):
            rng.bit_generator.state = numpys
            generator.set_state(torchs)

    def shown(self, batch: Tensor, start: int) -> Tensor:
        """The transformed inputs of a batch, before mixup.

        Args:
            batch: Inputs, (K, b, *shape).
            start: The position of the batch's first sample in the epoch.

        Returns:
            Inputs of the same shape.

        Raises:
            SpecError: The custom function returns another shape or dtype.
        """
        stop = start + batch.shape[1]
        if self._noise.theta is not None:
            batch = _moved(batch, self._noise.theta[:, start:stop])
        if self._noise.centers is not None:
            uncut = self._uncut(self._noise.centers[:, start:stop])
            batch = batch * uncut.view(*batch.shape[:2], *self._image_mask_shape)
        if "noise" in self._on:
            noise = torch.empty_like(batch)
            for row, generator, config in zip(noise, self._generators, self._configs, strict=True):
                row.normal_(0, config["noise"], generator=generator)
            batch = batch + noise
        if self._own is not None:
            rows = zip(batch, self._owns, strict=True)
            batch = torch.stack([_owns(self._own, inputs, generator) for inputs, generator in rows])
        return batch

    def share(self, start: int, batch: int) -> Tensor | None:
        """The mixup weights of `batch` samples from position `start` on, (K, batch); None without mixup."""
        return None if self._noise.share is None else self._noise.share[:, start : start + batch]

    @property
    def _rows(self) -> list[tuple[Mapping[str, Any], np.random.Generator]]:
        return list(zip(self._configs, self._rngs, strict=True))

    @property
    def _image_mask_shape(self) -> tuple[int, ...]:
        return (*(1,) * (len(self._shape) - 2), *self._shape[-2:])

    def _theta(self, config: Mapping[str, Any], rng: np.random.Generator, samples: int) -> np.ndarray:
        """Affine matrices (samples, 2, 3) from output to input coordinates, in the units of grid_sample."""
        height, width = self._shape[-2:]
        angle, across, down, mirrored = rng.random((4, samples))
        turn = np.deg2rad(config.get("rotation", 0) * (2 * angle - 1))
        side = np.where(mirrored < 0.5, -1.0, 1.0) if config.get("flip") else np.ones(samples)
        shift = config.get("shift", 0)
        # The rotation is in pixels. The units of grid_sample are relative to the sides, which differ unless the image
        # is square.
        rows = [
            [side * np.cos(turn), -np.sin(turn) * height / width, 2 * shift * (2 * across - 1) / width],
            [side * np.sin(turn) * width / height, np.cos(turn), 2 * shift * (2 * down - 1) / height],
        ]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)

    def _uncut(self, centers: Tensor) -> Tensor:
        """A mask (K, b, height, width): 0 inside the square of each image, 1 elsewhere. It may cross the border."""
        height, width = self._shape[-2:]
        size = centers.new_tensor([config["cutout"] for config in self._configs]).view(-1, 1, 1)
        cut = []
        for axis, length in enumerate((height, width)):
            begin = (centers[..., axis : axis + 1] * length).floor() - (size / 2).floor()  # (K, b, 1)
            place = torch.arange(length, device=centers.device)
            cut.append((place >= begin) & (place < begin + size))  # (K, b, length)
        return (~(cut[0].unsqueeze(-1) & cut[1].unsqueeze(-2))).float()

    def _tensor(self, rows: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(rows).astype(np.float32)).to(self._device)


def mix(values: Tensor, share: Tensor) -> Tensor:
    """Blend each sample of (K, b, …) with the one before it in the batch, a random one since batches are shuffled."""
    share = share.view(*share.shape, *(1,) * (values.dim() - 2))
    return share * values + (1 - share) * values.roll(1, dims=1)


def _owns(own: Callable[[Tensor, torch.Generator], Tensor], inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Call the custom function on inputs (b, *shape). Raises SpecError if it returns another shape or dtype."""
    shown = own(inputs, generator)
    if not isinstance(shown, Tensor) or shown.shape != inputs.shape or shown.dtype != inputs.dtype:
        got = f"{shown.dtype} {tuple(shown.shape)}" if isinstance(shown, Tensor) else repr(shown)
        raise SpecError(
            f"Recipe augmentation {name_of(own)} must return a tensor of the dtype and shape of its inputs, "
            f"{inputs.dtype} {tuple(inputs.shape)}, got {got}; keep the batch axis, and convert with .to(inputs.dtype)"
        )
    return shown


def _moved(batch: Tensor, theta: Tensor) -> Tensor:
    """Apply the affine transformations (K, b, 2, 3) to the images (K, b, *shape)."""
    height, width = batch.shape[-2:]
    images = batch.reshape(-1, math.prod(batch.shape[2:-2]), height, width)  # (K * b, channels, height, width)
    grid = functional.affine_grid(theta.flatten(0, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False).view_as(batch)
