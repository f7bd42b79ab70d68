"""The format of numbers, durations and sizes in the terminal, messages, reports and notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime


def number(value: object) -> str:
    """Format a value, such as `0.97223`, `1e-07` or `1234567`.

    Args:
        value: Floats get five significant digits, and at least all digits before the point up to 1e7, so that the
            values of one metric can be compared at a glance. Whole floats get all digits. Other values use `str`.
    """
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.5g}"


def count(n: float, noun: str, plural: str | None = None) -> str:
    """Format a number with its noun, such as `1 trial`, `1,200 trials` or `0.5 GPUs`.

    Args:
        n: The number.
        noun: The noun in the singular.
        plural: The plural; by default the noun with an s.
    """
    shown = number(n) if isinstance(n, float) else f"{n:,}"
    return f"{shown} {noun if n == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Format a duration in the units of time limits: `0.42s`, `12s`, `3m05s`, `2h07m`, `3d04h`."""
    if 0 < seconds < 9.95:
        return "<0.01s" if seconds < 0.01 else f"{seconds:.2g}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,}d{hours:02d}h"
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def utc_time(at: float) -> str:
    """Format seconds since the epoch as `2026-11-30 12:00:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def file_size(n_bytes: float) -> str:
    """Format a number of bytes: `512 B`, `1.53 KiB`, `234 GiB`."""
    power = max(0, min(4, (int(n_bytes).bit_length() - 1) // 10))
    return f"{three_digits(n_bytes / 1024**power)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def magnitude(n: int) -> str:
    """Format a large number briefly: `9,999`, `12.3k`, `4.57G`."""
    if n < 10_000:
        return f"{n:,}"
    power = min(5, (len(str(n)) - 1) // 3)
    return f"{three_digits(n / 1000**power)}{' kMGTP'[power]}"


def percent(share: float) -> str:
    """Format a share of 0 to 1 as `42.5%`; `<0.1%` and `>99.9%` avoid rounding to `0%` and `100%`."""
    if share in (0, 1):
        return f"{share:.0%}"
    return "<0.1%" if share < 0.001 else ">99.9%" if share > 0.999 else f"{share:.1%}"


def three_digits(value: float) -> str:
    """Format a number with at least three significant digits: `1.53`, `15.3`, `153`, `1530`."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def one_line(config: Mapping[str, object]) -> str:
    """Format a configuration in one line: `layers=2 units_1=64 learning_rate=0.00275`."""
    return " ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())
