"""Inputs: what one sample of the data looks like to a network. Data and network families know each other only by it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inputs:
    """The shape and the meaning of one sample, which a family needs to build a network for the data.

    Args:
        shape: The shape of a sample without the batch axis: (columns,) for a table, (height, width) for a greyscale
            image, (channels, height, width) for a color image, (tokens,) for a text.
        categories: For a table with categorical columns as codes, the number of codes of each of these columns, which
            are the last ones. Codes are integers from 0, and 0 is a value that the training data does not have. The
            columns before them are numbers.
        vocabulary: For text, the number of codes: tokens are integers below it, and 0 is padding. None for other data.

    Example:
        >>> from archsearch import Inputs
        >>> Inputs((28, 28))
        Inputs(shape=(28, 28), categories=(), vocabulary=None)
    """

    shape: tuple[int, ...]
    categories: tuple[int, ...] = ()
    vocabulary: int | None = None
