"""Pooling of maps (…, height, width): each window becomes one number."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

# Windows of 2x2 that do not overlap, cut off at an odd edge: the size is halved and rounded up, as with a stride of 2.
HALVING_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "average": partial(avg_pool2d, kernel_size=2, ceil_mode=True),
    "max": partial(max_pool2d, kernel_size=2, ceil_mode=True),
}

# Windows of 3x3 around each pixel, without the part outside of the map: the size is kept.
SAME_SIZE_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "average": partial(avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False),
    "max": partial(max_pool2d, kernel_size=3, stride=1, padding=1),
}
