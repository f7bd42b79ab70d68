"""Checks of the plain values that a person passes as arguments or command-line options.

Each returns the value as a plain Python value, so that numpy's numbers do not reach what is written as JSON.
"""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from archsearch.spaces.errors import ArgumentError

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SMALLER = {"d": "h", "h": "m", "m": "s"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])\s*", re.ASCII)


def whole_number(value: object, argument: str, *, least: int) -> int:
    """The value as an int.

    Args:
        value: An int, or an integer of numpy. Bools, floats (also 2.0) and strings are refused.
        argument: Its name, for the message.
        least: The lowest value that is allowed.

    Raises:
        ArgumentError: It is no whole number, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(argument, f"must be a whole number of at least {least}, got {value!r}")
    return int(value)


def generator(rng: object) -> np.random.Generator:
    """The NumPy generator, or a new one with this seed.

    Args:
        rng: A generator or a seed, a whole number of at least 0.

    Raises:
        ArgumentError: It is neither. There is no default, as the result should be reproducible.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, Integral) or rng < 0:
        raise ArgumentError("rng", f"must be a seed such as 0, or numpy.random.default_rng(seed), got {rng!r}")
    return np.random.default_rng(int(rng))


def finite_number(value: object, argument: str, *, positive: bool = False) -> float:
    """The value as a float.

    Args:
        value: An int or a float, also of numpy. Bools and strings are refused.
        argument: Its name, for the message.
        positive: Refuse 0 and everything below it.

    Raises:
        ArgumentError: It is no number, not finite, or not positive where it must be.
    """
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not math.isfinite(number) or (positive and number <= 0):
        raise ArgumentError(argument, f"must be a finite number{' above 0' * positive}, got {value!r}")
    return number


def file_path(value: object, argument: str) -> Path:
    """The value as a path.

    Args:
        value: A text or a path.
        argument: Its name, for the message.

    Raises:
        ArgumentError: It is neither, or an empty text.
    """
    if not isinstance(value, str | Path) or not str(value):
        raise ArgumentError(argument, f"must be the path of a file, got {value!r}")
    return Path(value)


def duration_s(value: object, argument: str) -> float:
    """A duration in seconds.

    Args:
        value: A number of seconds, or a text with units: "90s", "20m", "1h30m", "2d". A number without a unit after
            another one counts in the next smaller unit: "1h30" is "1h30m".
        argument: Its name, for the message.

    Raises:
        ArgumentError: It is neither, a text without a unit, or not above 0.
    """
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ArgumentError(
                argument, f"must be like '90s', '20m' or '1h30m', or seconds as a number, got {value!r}"
            )
        return finite_number(value, argument, positive=True)
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise ArgumentError(argument, f"has no unit, got {value!r}; write {text}s for seconds or {text}m for minutes")
    if after := re.fullmatch(r"(.*\d([dhm]))\s*(\d+)", text, re.ASCII):
        text = f"{after[1]}{after[3]}{_SMALLER[after[2]]}"
    if not re.fullmatch(f"({_DURATION.pattern})+", text, re.ASCII):
        raise ArgumentError(argument, f"must be like 90s, 20m or 1h30m, got {value!r}")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(text))
    return finite_number(seconds, argument, positive=True)
