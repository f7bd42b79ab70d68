"""Texts as integer codes: the tokenisers, and the vocabulary of the training part."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.samples import Texts, Tokens
from archsearch.search.training.data.split import Rows

PADDING, UNKNOWN = 0, 1  # the codes of no token
LENGTH_PERCENTILE = 95  # of the training texts' lengths: the default length

_WORD = re.compile(r"\w+|[^\w\s]")

Codes = npt.NDArray[np.int32]


def split_text(text: str, tokens: Tokens) -> list[str]:
    """The tokens of a text, lower-cased and in Unicode normal form NFKC.

    "words": runs of letters, digits and underscores, and every other mark on its own; white space separates.
    "characters": every character, where white space of any length is one; for languages without spaces between words.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    found: list[str] = _WORD.findall(plain) if tokens == "words" else list(" ".join(plain.split()))
    return found


def fit_tokens(texts: Texts, train: Rows) -> tuple[Callable[[Rows], Codes], tuple[str, ...]]:
    """(a function from row numbers (n,) to codes (n, length), the token of each code); fitted on the training rows.

    The most frequent tokens are kept, in alphabetical order if equally frequent, and get the codes from 2 on.
    """
    numbers: dict[str, int] = {}  # of every token, in order of appearance
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
    length = texts.length or int(np.percentile(lengths, LENGTH_PERCENTILE, method="higher"))

    def codes(chosen: Rows) -> Codes:
        filled = np.full((len(chosen), length), PADDING, dtype=np.int32)
        for line, row in zip(filled, chosen, strict=True):
            cut = rows[row][:length]
            line[: len(cut)] = code_of[cut]
        return filled

    return codes, ("", "", *kept)
