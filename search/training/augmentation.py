"""Augmentation: each sample is shown a little differently in every epoch.

- rotation: images are turned by up to so many degrees either way
- shift: images are moved by up to so many pixels along each axis
- flip: half of the images are mirrored, left to right
- cutout: a square of so many pixels a side is set to 0, the mean (DeVries and Taylor, 2017, "Improved regularization
  of convolutional neural networks with cutout", section 3.2)
- noise: normal noise of that deviation is added to every number, which is standardised
- mixup: a sample and its label are blended with another of the batch, with a share drawn from Beta(mixup, mixup)
  (Zhang et al., 2018, "mixup: Beyond empirical risk minimization", section 2)
- a function of your own: `augmentation(inputs, generator)`, called with each batch of each row, before mixup

All noise of a row is drawn from the row's own generator, once an epoch, whatever its neighbours do. Rotation, shift and
flip are one affine map, by torch's grid_sample: bilinear, and 0 beyond the border.
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
AUGMENTATIONS = (*MOVES, "cutout", "noise", "mixup")  # the names in a config; each is off at 0 or False


def switched_on(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Which are at work; the trials of one stack share them, and differ in how strong they are."""
    return tuple(name for name in AUGMENTATIONS if config.get(name))


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of one epoch: one draw for each row and sample, in the order in which the samples come."""

    theta: Tensor | None  # (K, n, 2, 3), the affine map of each image
    corners: Tensor | None  # (K, n, 2), where the square that is cut out begins, as shares of the image
    share: Tensor | None  # (K, n), how much of the sample itself a blend holds


class Augmentation(Technique):
    """The augmentations of a stack. `shown` is a batch as it is trained on; `mix` blends it.

    Args:
        seeds: One of each row.
        own: The user's function, `own(inputs, generator)`, from inputs (batch, *shape) of one row to inputs of the same
            shape and type. It draws from the generator alone, a torch.Generator on the inputs' device.
    """

    def __init__(self, seeds: Sequence[int], own: Callable[[Tensor, torch.Generator], Tensor] | None = None) -> None:
        self._seeds, self._own = seeds, own

    @staticmethod
    def is_on(configs: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the rows, which share them, have any."""
        return bool(switched_on(configs[0])) or configs[0].get("augmentation", "none") != "none"

    def training_begins(self, training: Training) -> None:
        self._on = switched_on(training.configs[0])
        self._configs, self._shape, self._device = training.configs, training.shape, training.device
        self._rngs = [np.random.default_rng(seed) for seed in self._seeds]
        self._generators = [torch.Generator(self._device).manual_seed(seed) for seed in self._seeds]  # of `noise` alone
        self._owns = training.generators

    def epoch_begins(self, training: Training) -> None:
        """Draw the noise of one pass over the training part."""
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
        """The batch (K, b, *shape), whose first sample is the epoch's `start`-th, as it is shown, before blending."""
        stop = start + batch.shape[1]
        if self._noise.theta is not None:
            batch = _moved(batch, self._noise.theta[:, start:stop])
        if self._noise.corners is not None:
            uncut = self._uncut(self._noise.corners[:, start:stop])
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
        """How much of the sample itself each blend of that batch holds, (K, batch); None where nothing is blended."""
        return None if self._noise.share is None else self._noise.share[:, start : start + batch]

    @property
    def _rows(self) -> list[tuple[Mapping[str, Any], np.random.Generator]]:
        return list(zip(self._configs, self._rngs, strict=True))

    @property
    def _image_mask_shape(self) -> tuple[int, ...]:
        return (*(1,) * (len(self._shape) - 2), *self._shape[-2:])

    def _theta(self, config: Mapping[str, Any], rng: np.random.Generator, samples: int) -> np.ndarray:
        """(samples, 2, 3): where in the image each pixel of the shown one comes from, in grid_sample's units."""
        height, width = self._shape[-2:]
        angle, across, down, mirrored = rng.random((4, samples))
        turn = np.deg2rad(config.get("rotation", 0) * (2 * angle - 1))
        side = np.where(mirrored < 0.5, -1.0, 1.0) if config.get("flip") else np.ones(samples)
        shift = config.get("shift", 0)
        # Turned in pixels and not in shares of the sides, which are unequal where an image is no square.
        rows = [
            [side * np.cos(turn), -np.sin(turn) * height / width, 2 * shift * (2 * across - 1) / width],
            [side * np.sin(turn) * width / height, np.cos(turn), 2 * shift * (2 * down - 1) / height],
        ]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)

    def _uncut(self, corners: Tensor) -> Tensor:
        """(K, b, height, width): 0 within each image's square, 1 elsewhere; it may reach over the border."""
        height, width = self._shape[-2:]
        size = corners.new_tensor([config["cutout"] for config in self._configs]).view(-1, 1, 1)
        cut = []
        for axis, length in enumerate((height, width)):
            begin = (corners[..., axis : axis + 1] * length).floor() - (size / 2).floor()  # (K, b, 1)
            place = torch.arange(length, device=corners.device)
            cut.append((place >= begin) & (place < begin + size))  # (K, b, length)
        return (~(cut[0].unsqueeze(-1) & cut[1].unsqueeze(-2))).float()

    def _tensor(self, rows: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(rows).astype(np.float32)).to(self._device)


def mix(values: Tensor, share: Tensor) -> Tensor:
    """Each sample of (K, b, …) blended with its neighbour in the batch, which the shuffling has made a random one."""
    share = share.view(*share.shape, *(1,) * (values.dim() - 2))
    return share * values + (1 - share) * values.roll(1, dims=1)


def _owns(own: Callable[[Tensor, torch.Generator], Tensor], inputs: Tensor, generator: torch.Generator) -> Tensor:
    """What the user's function makes of (b, *shape). Raises SpecError for another shape or type."""
    shown = own(inputs, generator)
    if not isinstance(shown, Tensor) or shown.shape != inputs.shape or shown.dtype != inputs.dtype:
        got = f"{shown.dtype} {tuple(shown.shape)}" if isinstance(shown, Tensor) else repr(shown)
        raise SpecError(
            f"Recipe augmentation {name_of(own)} must return inputs of the type and shape that it is given, "
            f"{inputs.dtype} {tuple(inputs.shape)}, got {got}"
        )
    return shown


def _moved(batch: Tensor, theta: Tensor) -> Tensor:
    """(K, b, *shape) through the affine maps (K, b, 2, 3)."""
    height, width = batch.shape[-2:]
    images = batch.reshape(-1, math.prod(batch.shape[2:-2]), height, width)  # (K * b, channels, height, width)
    grid = functional.affine_grid(theta.flatten(0, 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False).view_as(batch)
