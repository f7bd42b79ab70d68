"""The positions of a parameter's values on an axis: the index of a category, or a number, as log10 for log domains."""

from __future__ import annotations

import math

from archsearch.spaces import Choice, Domain, Value
from archsearch.studies.formatting import number

MAX_TICKS = 14


def position(domain: Domain, value: Value) -> float:
    """The position of a value on the axis of its domain."""
    if isinstance(domain, Choice):
        return float(domain.index(value))
    plain = float(value)  # type: ignore[arg-type]  # values of a config are in their domains
    return math.log10(plain) if domain.log else plain


def ends(domain: Domain) -> tuple[float, float]:
    """The positions of the two ends of the axis."""
    if isinstance(domain, Choice):
        return 0.0, len(domain.values) - 1.0
    return position(domain, domain.low), position(domain, domain.high)


def ticks(domain: Domain) -> list[tuple[float, str]]:
    """The positions and labels, not escaped, of the ticks: categories (not all, if there are many) or round numbers."""
    if isinstance(domain, Choice):
        stride = math.ceil(len(domain.values) / MAX_TICKS)
        return [(float(i), str(value)) for i, value in enumerate(domain.values) if i % stride == 0]
    low, high = ends(domain)
    if domain.log:
        marks = [m * 10.0**e for e in range(math.floor(low), math.ceil(high) + 1) for m in _mantissas(high - low)]
        inside = [mark for mark in marks if domain.low * 0.999 <= mark <= domain.high * 1.001]
        return [(math.log10(mark), number(mark)) for mark in inside]
    step = _round_step((high - low) / 5, whole=isinstance(domain.low, int))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, number(float(f"{i * step:.12g}"))) for i in range(first, last + 1)]


def framed(domain: Domain) -> list[tuple[float, str]]:
    """The ticks including both ends of the domain, without ticks whose labels would overlap with those of the ends."""
    if isinstance(domain, Choice):
        return ticks(domain)
    low, high = ends(domain)
    near = 0.1 * (high - low)
    inner = [tick for tick in ticks(domain) if low + near < tick[0] < high - near]
    return [(low, number(domain.low)), *inner, (high, number(domain.high))]


def _mantissas(decades: float) -> tuple[float, ...]:
    return (1,) if decades > 2.5 else (1, 2, 5) if decades > 0.8 else (1, 1.5, 2, 3, 4, 5, 7)


def _round_step(about: float, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(about))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= about * 0.999)
    return max(step, 1.0) if whole else step
