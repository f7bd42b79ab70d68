"""What a data source returns from `load`: inputs and targets, in any form that a user has at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy.typing as npt

from archsearch.search.training.data.columns import CategoricalColumn
from archsearch.search.training.data.dates import DateColumn
from archsearch.search.training.data.prepared import Task
from archsearch.spaces.errors import DataError, unknown

Tokens = Literal["words", "characters"]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """One text per sample, as the inputs of `Samples`, and how to split each into tokens.

    Args:
        texts: The texts, none of them empty.
        tokens: "words" (runs of letters, digits and underscores; every other mark is a token of its own) or
            "characters" (for languages that put no spaces between words). Both are lower-cased.
        vocabulary: How many tokens to keep, the most frequent of the training part. All others share one code.
        length: Tokens per text; shorter texts are padded, longer ones truncated. None takes the length at which 95 % of
            the training texts are complete.

    Raises:
        DataError: `tokens` is unknown, or `vocabulary` or `length` is not a positive integer.
    """

    texts: Sequence[str]
    tokens: Tokens = "words"
    vocabulary: int = 10_000
    length: int | None = None

    def __post_init__(self) -> None:
        check_tokens(self.tokens, self.vocabulary, self.length)
        object.__setattr__(self, "texts", tuple(self.texts))


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A data set as `DataSource.load` returns it. It is checked after `load`, not when it is made.

    Args:
        inputs: One of

            - an array (n, features) of finite numbers: a table, whose columns are scaled independently
            - an array (n, ...) of finite numbers with three or more dimensions, such as grey images (n, height, width),
              colour images (n, channels, height, width) or signals: scaled as a whole
            - a mapping from column names to arrays (n,), such as `dict(frame)` of a pandas DataFrame: a table with
              named columns, which a `Split` can use. Numbers are numeric columns, where NaN or None is a missing value.
              Arrays of datetime64 are columns of dates, where NaT is missing. Text and bools are categorical columns,
              where None, NaN, an empty text, "NA", "N/A", "nan", "null" and "?" are missing.
            - `Texts`

        targets: An array (n,) of bools, finite numbers or text. Text names the classes. For several targets per row,
            (n, k): zeros and ones or bools are labels, which do not exclude each other; other numbers are a regression
            with k targets.
        task: "classification", "multilabel" or "regression". None infers it: text, bools, and integers with at most 20
            distinct values are classes.
        official_test: How many of the last samples are the data set's own test part, which the `Split` then keeps. 0
            lets the `Split` choose the test part.
        dropped: Columns that the source left out, and why, for the summary of the data.
    """

    inputs: npt.ArrayLike | Mapping[str, npt.ArrayLike | CategoricalColumn | DateColumn] | Texts
    targets: npt.ArrayLike
    task: Task | None = None
    official_test: int = 0
    dropped: tuple[str, ...] = ()


def check_tokens(tokens: str, vocabulary: int, length: int | None) -> None:
    """Raises DataError for an unknown tokeniser, or a size that is not a positive integer."""
    if tokens not in get_args(Tokens):
        raise DataError(unknown("tokens", str(tokens), get_args(Tokens)))
    for name, number, common in (("vocabulary", vocabulary, "10_000"), ("length", length, "50")):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise DataError(f"{name} must be an integer of at least 1, got {number!r}; {name}={common} is common")
