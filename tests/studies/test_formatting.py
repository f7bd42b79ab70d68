"""How numbers are written for people."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.search.declaration import duration_s
from archsearch.studies.formatting import (
    count,
    duration,
    file_size,
    magnitude,
    number,
    one_line,
    percent,
    three_digits,
    utc_time,
)

FINITE = st.floats(-1e300, 1e300, allow_subnormal=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((3, "3"), (3.0, "3"), (-0.0, "0"), (0.123456789, "0.12346"), (1e-7, "1e-07"), (1234567.0, "1234567")),
        *((1e15, "1e+15"), (math.inf, "inf"), (math.nan, "nan"), (None, "None"), (True, "True"), ("relu", "relu")),
        *((np.float64(0.5), "0.5"), (-84049.7, "-84050"), (99999.7, "100000"), (131654.2, "131654")),
        *((1234567.8, "1234568"), (12345678.9, "1.2346e+07"), (9999.96, "10000"), (0.0001, "0.0001")),
    ],
)
def test_a_number(value: object, text: str) -> None:
    assert number(value) == text


@given(FINITE)
def test_a_number_reads_back_nearly_as_it_was(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=5.1e-5, abs=0)
    assert len(number(value)) <= 16


@pytest.mark.parametrize(
    ("given", "text"),
    [
        *(((0, "trial"), "0 trials"), ((1, "trial"), "1 trial"), ((1200, "trial"), "1,200 trials")),
        *(((1, "class", "classes"), "1 class"), ((2, "class", "classes"), "2 classes"), ((1.0, "GPU"), "1 GPU")),
        *(((0.5, "GPU"), "0.5 GPUs"), ((np.int64(1), "row"), "1 row"), ((np.int64(2000), "row"), "2,000 rows")),
    ],
)
def test_a_count(given: Any, text: str) -> None:
    assert count(*given) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (0.001, "<0.01s"), (0.1234, "0.12s"), (9.94, "9.9s"), (9.96, "10s"), (12, "12s"), (59.4, "59s")),
        *((59.6, "1m00s"), (185, "3m05s"), (3599.6, "1h00m"), (7620, "2h07m"), (86399, "23h59m"), (273600, "3d04h")),
    ],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.integers(1, 10**8))
def test_a_duration_is_one_that_a_time_limit_takes(seconds: int) -> None:
    read = duration_s(duration(seconds).replace(",", ""), "timeout")
    unit = 1 if seconds < 3600 else 60 if seconds < 86400 else 3600
    assert read is not None
    assert 0 <= seconds - read < unit


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        *((0, "0 B"), (999.6, "1000 B"), (512, "512 B"), (1024, "1 KiB"), (1566, "1.53 KiB")),
        *((2**40 - 1, "1024 GiB"), (2**51, "2048 TiB")),
    ],
)
def test_a_file_size(n_bytes: float, text: str) -> None:
    assert file_size(n_bytes) == text


@given(st.integers(0, 2**60))
def test_a_file_size_is_right_to_three_digits(n_bytes: int) -> None:
    value, unit = file_size(n_bytes).split()
    assert float(value) * 1024 ** ("B", "KiB", "MiB", "GiB", "TiB").index(unit) == pytest.approx(n_bytes, rel=0.005)


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (4_567_000_000, "4.57G"), (10**19, "10000P")]
)
def test_a_magnitude(n: int, text: str) -> None:
    assert magnitude(n) == text


@given(st.floats(0, 1))
def test_only_none_is_zero_percent_and_only_all_is_a_hundred(share: float) -> None:
    text = percent(share)
    assert (text == "0%") == (share == 0)
    assert (text == "100%") == (share == 1)
    assert re.fullmatch(r"0%|100%|<0\.1%|>99\.9%|\d\d?\.\d%", text)


def test_three_digits() -> None:
    assert [three_digits(value) for value in (1.5299, 15.299, 152.99, 1529.9)] == ["1.53", "15.3", "153", "1530"]


def test_a_config_in_one_line() -> None:
    assert one_line({"layers": 2, "lr": 0.00274899, "act": "relu"}) == "layers=2 lr=0.00275 act=relu"


def test_a_time() -> None:
    assert utc_time(0) == "1970-01-01 00:00:00 UTC"
