"""From texts to tokens, and from tokens to numbers: the built-in tokenisers, and the vocabulary that training gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import get_args

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.raw import Texts, Tokens
from archsearch.search.training.data.split import Rows
from archsearch.spaces.errors import DataError, unknown

PADDING, UNKNOWN = 0, 1  # the codes that stand for no token
LONG_ENOUGH = 95  # per cent of the training texts are not cut, where no length is given

_WORD = re.compile(r"\w+|[^\w\s]")

Codes = npt.NDArray[np.int32]


def check_tokens(tokens: str, vocabulary: int, length: int | None) -> None:
    """Raises DataError for a tokeniser that does not exist, or a number that is no count."""
    if tokens not in get_args(Tokens):
        raise DataError(unknown("tokens", str(tokens), get_args(Tokens)))
    for name, number in (("vocabulary", vocabulary), ("length", length)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise DataError(f"{name} must be a whole number of at least 1, got {number!r}; 10_000 words are common")


def split_text(text: str, tokens: Tokens) -> list[str]:
    """A text's tokens, in small letters, and in one spelling of what Unicode spells in several (NFKC).

    "words": runs of letters, digits and underscores, and every other mark on its own; white space only separates.
    "characters": each of them, white space of any length being one; for languages that put none between words.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    found: list[str] = _WORD.findall(plain) if tokens == "words" else list(" ".join(plain.split()))
    return found


def fit_tokens(texts: Texts, train: Rows) -> tuple[Callable[[Rows], Codes], tuple[str, ...]]:
    """(row numbers (n,) → codes (n, length), what each code stands for); fitted on the training rows alone.

    The most frequent tokens are kept, those of one frequency in the order of their text, and have the codes from 2 on.
    """
    numbers: dict[str, int] = {}  # of every token, in the order of appearance
    rows = [
        np.array([numbers.setdefault(token, len(numbers)) for token in split_text(text, texts.tokens)], dtype=np.int32)
        for text in texts.texts
    ]
    counts = np.bincount(np.concatenate([rows[row] for row in train]), minlength=len(numbers))
    seen = [token for token, number in numbers.items() if counts[number]]
    kept = sorted(seen, key=lambda token: (-counts[numbers[token]], token))[: texts.vocabulary]
    code_of = np.full(len(numbers), UNKNOWN, dtype=np.int32)
    code_of[[numbers[token] for token in kept]] = np.arange(len(kept)) + 2
    lengths = [len(rows[row]) for row in train]
    length = texts.length or int(np.percentile(lengths, LONG_ENOUGH, method="higher"))

    def codes(chosen: Rows) -> Codes:
        filled = np.full((len(chosen), length), PADDING, dtype=np.int32)
        for line, row in zip(filled, chosen, strict=True):
            cut = rows[row][:length]
            line[: len(cut)] = code_of[cut]
        return filled

    return codes, ("", "", *kept)
