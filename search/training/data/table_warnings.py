"""Columns of a table that are probably no inputs, and values that were probably meant otherwise, by name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.columns import CategoricalColumn, Table
from archsearch.search.training.data.dates import iso_seconds

FEWEST_ROWS = 20  # in fewer rows, much is different by chance
LONG_TEXT = 40  # characters on average
MANY_WORDS = 5  # words on average
_ID_NAME = re.compile(r"(?:.*[_. ])?(?:id|uuid|guid|key|index|nr|no)|.*[a-z]I[dD]", re.ASCII)


def table_warnings(table: Table) -> tuple[str, ...]:
    """One sentence for each kind of finding, with the names of the columns."""
    if len(table) < FEWEST_ROWS:
        return ()
    numbers = dict(zip(table.names, table.numbers.T, strict=True))
    return (
        *_listed("counts the rows", "count the rows", [n for n, v in numbers.items() if _counts(v)]),
        *_listed(
            "looks like an identifier",
            "look like identifiers",
            [
                *(name for name, values in numbers.items() if _identifies(name, values) and not _counts(values)),
                *(column.name for column in table.categorical if _is_unique(column) and not is_free_text(column)),
            ],
        ),
        *_listed(
            "looks like free text (for a network that reads text, see text())",
            "look like free text (for a network that reads text, see text())",
            [column.name for column in table.categorical if is_free_text(column)],
        ),
        *(
            f"column '{column.name}': {once:,} of its {len(column.categories):,} categories occur once, so they teach "
            f"nothing about other rows; if it is no input, leave it out: drop=['{column.name}']"
            for column in table.categorical
            if (once := _once(column)) and not _is_unique(column) and not is_free_text(column)
        ),
        *(text for name, values in numbers.items() for text in _number_warnings(name, values)),
        *(
            text
            for column in table.categorical
            for text in alike_warnings(column.categories, f"categories of column '{column.name}'")
        ),
    )


def alike_warnings(texts: Sequence[str], what: str) -> Iterator[str]:
    """A warning about texts that differ only by case, blanks or a final dot.

    Args:
        texts: The texts.
        what: What they are, for the message.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        groups[" ".join(text.casefold().rstrip(". ").split())].append(text)
    alike = [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if alike:
        more = f" (and {len(alike) - 3:,} more)" if len(alike) > 3 else ""
        yield f"{what} that differ only by case, blanks or a final dot: {', '.join(alike[:3])}{more}; write them alike"


def _listed(is_one: str, are_several: str, names: list[str]) -> Iterator[str]:
    if len(names) == 1:
        yield f"column '{names[0]}' {is_one}; if it is no input, leave it out: drop={names!r}"
    elif names:
        listed = ", ".join(map(repr, names))
        yield f"columns {listed} {are_several}; if they are no inputs, leave them out: drop={names!r}"


def _counts(values: npt.NDArray[np.float64]) -> bool:
    """Whether it is 0, 1, 2, … from any number on."""
    return bool(float(values[0]).is_integer() and (np.diff(values) == 1).all())


def _identifies(name: str, values: npt.NDArray[np.float64]) -> bool:
    """Whether each row has another whole number, and the name or the lack of gaps says that it is a label."""
    if np.isnan(values).any() or (values[:1000] != np.floor(values[:1000])).any() or (values != np.floor(values)).any():
        return False
    if len(np.unique(values)) < len(values):
        return False
    return bool(_ID_NAME.fullmatch(name) or np.ptp(values) == len(values) - 1)


def _is_unique(column: CategoricalColumn) -> bool:
    present = column.codes if "" not in column.categories else column.codes[column.codes != column.categories.index("")]
    distinct = len(column.categories) - ("" in column.categories)
    return len(present) >= FEWEST_ROWS and distinct == len(present)


def is_free_text(column: CategoricalColumn) -> bool:
    """Whether its texts are long, or consist of many words."""
    texts = [text for text in column.categories if text]
    if len(texts) < FEWEST_ROWS:
        return False
    return _mean(map(len, texts)) > LONG_TEXT or _mean(len(text.split()) for text in texts) > MANY_WORDS


def _once(column: CategoricalColumn) -> int:
    """How many categories occur once, if these are most of them."""
    once = int((np.bincount(column.codes, minlength=len(column.categories)) == 1).sum())
    return once if len(column.categories) >= FEWEST_ROWS and once > len(column.categories) / 2 else 0


def _number_warnings(name: str, values: npt.NDArray[np.float64]) -> Iterator[str]:
    if (mark := _sentinel(values)) is not None:
        times = int((values == mark).sum())
        yield (
            f"column '{name}' has the number {mark:g} in {times:,} rows, far from all others; if it stands for a "
            f"missing value, pass missing=['{mark:g}']"
        )
    present = values[~np.isnan(values)]
    if len(present) and _all(present, lambda some: (some >= 19000101) & (some <= 21001231) & (some == np.floor(some))):
        texts = [f"{value:.0f}" for value in np.unique(present)[:1000]]
        if all(iso_seconds(f"{text[:4]}-{text[4:6]}-{text[6:]}") is not None for text in texts):
            yield (
                f"column '{name}' holds numbers such as {texts[0]} that look like dates; if they are, pass "
                f"dates={{'{name}': '%Y%m%d'}}"
            )


def _sentinel(values: npt.NDArray[np.float64]) -> float | None:
    """A repeated round number such as -200 or 9999 whose distance from all others exceeds their whole range."""
    present = values[~np.isnan(values)]
    if not len(present):
        return None
    for mark, outside in ((present.min(), np.min), (present.max(), np.max)):
        text = f"{abs(mark):.0f}"
        if not float(mark).is_integer() or (len(set(text)) > 1 and set(text[1:]) != {"0"}) or len(text) < 2:
            continue
        others = present[present != mark]
        repeated = len(present) - len(others) >= max(3, len(present) / 1000)
        if repeated and len(np.unique(others[:1000])) >= 5 and abs(mark - outside(others)) > np.ptp(others):
            return float(mark)
    return None


def _all(values: npt.NDArray[np.float64], test: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]) -> bool:
    """Whether all values pass; the first ones are tried before the rest."""
    return bool(test(values[:100]).all() and test(values).all())


def _mean(numbers: Iterable[int]) -> float:
    return float(np.mean(list(numbers)))
