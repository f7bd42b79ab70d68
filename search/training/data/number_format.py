"""How numbers are written: decimal mark, thousands separator, units; and how a notation is told from its cells."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from archsearch.spaces.errors import DataError

# From this share of numbers on, a column is numeric and its other cells are mistakes; below, it is categorical.
NUMERIC_SHARE = 0.8

# (decimal, thousands), the first of those that parse most: 1,234 is rather a thousand than 1.234.
_SEPARATORS = ((".", None), (".", ","), (".", " "), (".", "'"), (",", None), (",", "."), (",", " "), (",", "'"))
_SPELLINGS = {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}

_CURRENCY = r"US\$|[A-Z]{1,2}\$|[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|CNY|RMB|INR"
_ORDINAL = {"st", "nd", "rd", "th"}
_UNIT = r"[%‰°µ]?[^\W\d_]*[²³]?(?:/[^\W\d_]+)?"  # %, kg, °C, m², km/h
_WITH_UNIT = re.compile(rf"[-+]?(?P<before>{_CURRENCY})?\s*[-+]?\d[\d.,'\u2019\s]*(?P<after>{_UNIT}|{_CURRENCY})")
FEWEST_OF_A_UNIT = 3  # with fewer distinct numbers, 2wd and 4wd are names


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """The notation of numbers; see `csv` for each field.

    Raises:
        DataError: A mark is not one character, or both are the same.
    """

    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, mark in (("decimal", self.decimal), ("thousands", self.thousands)):
            if mark is not None and (len(mark) != 1 or mark.isalnum() or mark in "+-"):
                raise DataError(f"{name} must be one mark such as ',' or '.', got {mark!r}")
        if self.decimal == self.thousands:
            raise DataError(f"decimal and thousands are both {self.decimal!r}; give two different marks")
        if not all(isinstance(unit, str) and unit.strip() for unit in self.units):
            raise DataError(f"units must be texts such as '$', '%' or 'kg', got {list(self.units)!r}")

    def __str__(self) -> str:
        """As arguments of `csv`."""
        given = {"decimal": self.decimal, "thousands": self.thousands, "units": list(self.units)}
        usual: dict[str, object] = {"decimal": ".", "thousands": None, "units": []}
        return ", ".join(f"{name}={value!r}" for name, value in given.items() if value != usual[name])

    @property
    def plain(self) -> bool:
        """Whether numbers consist of digits, sign, exponent and decimal mark alone."""
        return self.thousands is None and not self.units

    def joined(self, other: NumberFormat) -> NumberFormat | None:
        """The notation of columns in either; None if there is none, as for decimal points and commas."""
        decimals = {self.decimal, other.decimal} - ({"."} if self.decimal == "." else set())
        thousands = {self.thousands, other.thousands} - {None}
        if len(decimals) > 1 or len(thousands) > 1 or decimals & thousands:
            return None
        mark = next(iter(thousands), None)
        return NumberFormat(next(iter(decimals), "."), mark, tuple(dict.fromkeys((*self.units, *other.units))))

    def parse(self, cell: str) -> float | None:
        """The finite number in a cell, or None."""
        cell = cell.replace("\u2212", "-")  # the typographic minus
        if self != PLAIN:
            found = _pattern(self).fullmatch(cell)
            if found is None:
                return None
            digits = re.sub(r"\D", "", found["whole"]) or "0"
            cell = f"{found['outer']}{found['sign']}{digits}.{found['fraction'] or '0'}{found['exponent']}"
        return _finite(cell)


PLAIN = NumberFormat()


def recognize(counts: Mapping[str, int]) -> NumberFormat | None:
    """The notation of the numbers in a column that are not plain; None if they are no numbers.

    Args:
        counts: How often each of its cells occurs, without missing ones.
    """
    maybe = sum(times for cell, times in counts.items() if any(map(str.isdigit, cell[:6])))  # 6: -US$ 1
    if maybe < NUMERIC_SHARE * sum(counts.values()):
        return None
    odd = {cell: times for cell, times in counts.items() if PLAIN.parse(cell) is None}
    units = _units(odd)
    best, most = None, 0
    for decimal, thousands in _SEPARATORS:
        found = NumberFormat(decimal, thousands, units)
        parsed = {cell: number for cell in counts if (number := found.parse(cell)) is not None}
        times = sum(counts[cell] for cell in parsed)
        if times > most and not (units and len(set(parsed.values())) < FEWEST_OF_A_UNIT):
            best, most = found, times
    enough = most >= NUMERIC_SHARE * sum(counts.values())
    explained = sum(times for cell, times in odd.items() if best and best.parse(cell) is not None)
    return best if enough and explained >= NUMERIC_SHARE * sum(odd.values()) and best != PLAIN else None


def _units(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The one currency or unit of most cells that have any."""
    found: dict[str, set[str]] = {}
    for cell in counts:
        if (match := _WITH_UNIT.fullmatch(cell)) and (unit := match["before"] or match["after"]):
            found.setdefault(unit, set()).add(cell)
    if not found:
        return ()
    unit, cells = max(found.items(), key=lambda each: len(each[1]))
    most = sum(counts[cell] for cell in cells) >= NUMERIC_SHARE * sum(counts.values())
    # A single 4o among numbers is a mistake.
    return (unit,) if most and len(cells) >= FEWEST_OF_A_UNIT and unit not in _ORDINAL else ()


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None  # only Python reads 1_0 as 10


def _mark(mark: str) -> str:
    return _SPELLINGS.get(mark, re.escape(mark))


@functools.lru_cache
def _pattern(format: NumberFormat) -> re.Pattern[str]:
    whole = r"\d+"
    if format.thousands is not None:
        mark = _mark(format.thousands)
        whole = rf"[1-9]\d{{0,2}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+"  # groups of two too, as in India
    unit = "|".join(re.escape(unit) for unit in sorted(format.units, key=len, reverse=True)) or r"(?!)"
    return re.compile(
        rf"(?P<outer>[-+]?)\s*(?:{unit})?\s*(?P<sign>[-+]?)(?P<whole>{whole}|(?={_mark(format.decimal)}\d))"
        rf"(?:{_mark(format.decimal)}(?P<fraction>\d*))?(?P<exponent>(?:[eE][-+]?\d+)?)\s*(?:{unit})?",
        re.ASCII,
    )
