"""Columns of dates and times: how they are told, and the numbers that a network is given for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

_DAY_S = 86_400
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII
)
# What is proposed for `dates`; each must parse all values of a column.
_FORMATS = tuple(
    day + time
    for day in (
        *(
            f"{order}"
            for mark in "/.-"
            for order in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y", f"%Y{mark}%m{mark}%d")
        ),
        *(f"{order}" for mark in "/.-" for order in (f"%d{mark}%m{mark}%y", f"%m{mark}%d{mark}%y")),
        "%d %b %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%b %d, %Y",
        "%d %B %Y",
        "%B %d, %Y",
    )
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
)


@dataclass(frozen=True, slots=True, eq=False)
class DateColumn:
    """A column of dates or times.

    Attributes:
        name: The name of the column.
        seconds: (n,) seconds since 1970 in UTC; NaN where missing.
    """

    name: str
    seconds: npt.NDArray[np.float64]

    def inputs(self) -> dict[str, npt.NDArray[np.float64]]:
        """The numbers for a network, by name: days since 1970, year, month, weekday (Monday is 0), and the hour."""
        missing = np.isnan(self.seconds)
        times = np.where(missing, 0, self.seconds)
        days = np.floor(times / _DAY_S)
        dates = days.astype(np.int64).astype("datetime64[D]")
        months = dates.astype("datetime64[M]").astype(np.int64)
        parts: dict[str, npt.NDArray[np.float64]] = {
            self.name: times / _DAY_S,
            f"{self.name}.year": (months // 12 + 1970).astype(np.float64),
            f"{self.name}.month": (months % 12 + 1).astype(np.float64),
            f"{self.name}.weekday": (days + 3) % 7,  # 1970 began on a Thursday
            f"{self.name}.hour": np.floor(times % _DAY_S / 3600),
        }
        return {name: np.where(missing, np.nan, values) for name, values in parts.items()}


def iso_seconds(text: str) -> float | None:
    """Seconds since 1970 of 2024-01-31, 2024-01-31 17:05 and the like, in UTC without a time zone; None for others."""
    if not _ISO.fullmatch(text):
        return None
    try:
        return _seconds(datetime.fromisoformat(text))
    except ValueError:
        return None


def parsed_seconds(text: str, format: str) -> float | None:
    """Seconds since 1970 of a time in a format of `datetime.strptime`; None for others."""
    try:
        return _seconds(datetime.strptime(text, format))  # noqa: DTZ007  # the format may have a time zone
    except ValueError:
        return None


def date_formats(texts: Iterable[str]) -> list[str]:
    """The formats that all of these texts may have: two if it is unclear which number is the day."""
    found = list(_FORMATS)
    for text in texts:
        found = [format for format in found if parsed_seconds(text, format) is not None]
        if not found:
            break
    return found


def _seconds(time: datetime) -> float:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
