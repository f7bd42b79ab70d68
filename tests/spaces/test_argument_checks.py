"""Values that a person gives: what is taken, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archsearch import SpecError
from archsearch.spaces.argument_checks import duration_s, finite_number, whole_number
from archsearch.spaces.errors import ArgumentError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_a_whole_number_becomes_a_plain_one(value: Any) -> None:
    found = whole_number(value, "trials", least=1)
    assert (found, type(found)) == (3, int)


@pytest.mark.parametrize("value", [0, 2.5, 2.0, True, np.bool_(True), np.float64(2), "3", None, [3], float("nan")])
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^trials must be a whole number of at least 1, got "):
        whole_number(value, "trials", least=1)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2)])
def test_a_number_becomes_a_plain_float(value: Any) -> None:
    found = finite_number(value, "target")
    assert (found, type(found)) == (2.0, float)


@pytest.mark.parametrize("value", [True, "2", None, float("nan"), float("inf"), 1j])
def test_no_number(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^target must be a finite number, got "):
        finite_number(value, "target")


def test_a_number_may_have_to_be_positive() -> None:
    with pytest.raises(ArgumentError, match=r"^gpu_hours must be a finite number above 0, got 0"):
        finite_number(0, "gpu_hours", positive=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("20m", 1200),
        ("1h30m", 5400),
        ("1h 30m ", 5400),
        ("2d", 172800),
        ("0.5h", 1800),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_a_duration(value: Any, seconds: float) -> None:
    assert duration_s(value, "timeout") == seconds


@pytest.mark.parametrize("value", ["", "soon", "-5m", "0s", "20 minutes", "m", "1e3", "1s30", "٣s", True, -1, 0, None])
def test_no_duration(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^timeout must be "):
        duration_s(value, "timeout")


@pytest.mark.parametrize("value", ["20", " 20 ", "1.5"])
def test_a_text_without_a_unit_could_mean_anything(value: str) -> None:
    with pytest.raises(ArgumentError, match=r"timeout has no unit, got '.*'; write [\d.]+s for seconds or [\d.]+m"):
        duration_s(value, "timeout")


def test_an_argument_is_named_as_where_it_was_given() -> None:
    error = ArgumentError("gpu_hours", "must be positive")
    assert isinstance(error, SpecError)
    assert str(error) == "gpu_hours must be positive"
    assert error.as_option == "--gpu-hours must be positive"
