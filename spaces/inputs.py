"""Inputs: what one sample of the data looks like to a network. It joins data and families; neither knows the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inputs:
    """shape: of one sample, without the batch axis: (columns,) of a table, (height, width) of a grey image,
    (channels, height, width) of a coloured one, (tokens,) of a text.

    categories: how many codes each of a table's last columns has; those columns hold whole numbers from 0, which stands
    for what training has not seen, and the columns before them are numbers. () where there are none.
    vocabulary: for text, the tokens are whole numbers below it, and 0 is padding; None for everything else.
    """

    shape: tuple[int, ...]
    categories: tuple[int, ...] = ()
    vocabulary: int | None = None
