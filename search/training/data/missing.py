"""What stands for a missing value in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.number_format import PLAIN
from archsearch.spaces.errors import DataError

# In lower case, as Excel, R, pandas, SQL and C write it. None of them is a plausible category.
USUAL_MARKS = frozenset(
    {"", "na", "n/a", "nan", "-nan", "null", "?", "#n/a", "#na", "#n/a n/a", "<na>"}
    | {f"{sign}1.#{kind}" for sign in ("", "-") for kind in ("ind", "qnan")}
)
# They often stand for a missing number, but may also be a category, so they are only asked about.
SUSPECTED_MARKS = frozenset(
    {"none", "nil", "-", "--", "---", ".", "..", "missing", "unknown", "unk", "n.a.", "na.", "nd", "n.d."}
    | {"#value!", "#ref!", "#div/0!", "#name?", "#num!", "#null!"}
)


@dataclass(frozen=True, slots=True)
class MissingMarks:
    """The usual marks, and some of the user's own.

    Args:
        own: Texts, in any case; if one is a number, such as "-200", all numbers of this value are missing.

    Raises:
        DataError: A mark is no text.
    """

    own: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for mark in self.own:
            if not isinstance(mark, str):
                raise DataError(f"missing must be texts such as ('None', '-200'), got {mark!r}")

    @property
    def texts(self) -> frozenset[str]:
        """All marks in lower case."""
        return USUAL_MARKS | {mark.strip().lower() for mark in self.own}

    @property
    def numbers(self) -> list[float]:
        """The marks that are numbers."""
        return [number for mark in self.own if (number := PLAIN.parse(mark.strip())) is not None]

    def without(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The numbers with NaN for those that stand for a missing value."""
        return np.where(np.isin(values, self.numbers), np.nan, values) if self.numbers else values


def missing_marks(given: str | float | Sequence[str | float]) -> MissingMarks:
    """Marks as a user gives them: one or several, texts or numbers."""
    several = [given] if isinstance(given, str | int | float) else list(given)
    return MissingMarks(tuple(str(mark) if isinstance(mark, int | float) else mark for mark in several))
