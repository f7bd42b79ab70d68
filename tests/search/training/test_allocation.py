"""The settings of the C library's allocator, with a libc that notes how it is called."""

from __future__ import annotations

import platform
from types import SimpleNamespace

import pytest

from archsearch.search.training import allocation

TRIM, MMAP = -1, -3  # of malloc.h
MIB = 2**20


@pytest.mark.parametrize(
    ("largest", "calls"),
    [
        (1024 * MIB, [(MMAP, 1024 * MIB), (TRIM, 1024 * MIB)]),
        (32 * MIB, [(MMAP, 1024 * MIB), (MMAP, 32 * MIB), (TRIM, 1024 * MIB)]),  # glibc before 2.35
        (0, [(MMAP, 1024 * MIB), (MMAP, 32 * MIB)]),
    ],
)
def test_the_largest_threshold_that_is_accepted(monkeypatch, largest, calls):
    made = []

    def mallopt(parameter, value):
        made.append((parameter, value))
        return int(parameter == TRIM or value <= largest)

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.31"))
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    allocation.keep_freed_memory()
    assert made == calls


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: pytest.fail("loaded"))
    allocation.keep_freed_memory()
