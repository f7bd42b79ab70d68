"""Let the process keep freed memory and reuse it in the next training step.

A training step frees its activations, and the next step allocates the same sizes again. With its default settings,
glibc returns large blocks to the system each time, and the kernel has to zero their pages again: a step took 1.2 times
as long for a network with two convolutions of 64 channels on 28x28 images, and 1.6 times for a stack of four with 16
channels.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_MOST = 1 << 30  # bytes: larger blocks, and free memory beyond this at the top of the heap, are still returned
_MOST_BEFORE_2_35 = 32 << 20  # the largest threshold that glibc accepts before version 2.35


def keep_freed_memory() -> None:
    """Make glibc keep freed memory, for the rest of this process. Does nothing with another C library."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # mallopt returns 1 if it accepts the value. Without the larger threshold, large blocks are not on the heap, and
        # keeping its free memory would only waste it.
        if any(libc.mallopt(_MMAP_THRESHOLD, most) for most in (_MOST, _MOST_BEFORE_2_35)):
            libc.mallopt(_TRIM_THRESHOLD, _MOST)
