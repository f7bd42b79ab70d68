"""Freed memory is kept by the process, for the next step to take.

A step of training frees its activations, and the next asks for the same. By its defaults glibc gives large blocks back
to the system each time, which then has to clear every page of them anew: a step of a network with two convolutions of
64 channels on 28x28 images took 1.2 times as long, and of a stack of four with 16 channels 1.6 times.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_MOST = 1 << 30  # bytes: larger blocks, and more free memory than this at the heap's end, still go back


def keep_freed_memory() -> None:
    """For this process, from now on. Does nothing where the C library is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _MOST)
        libc.mallopt(_TRIM_THRESHOLD, _MOST)
