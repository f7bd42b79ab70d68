"""A digest of the data, with which a resumed study detects that its data has changed.

It covers everything that changes a network's inputs and targets: values, names, task, split. It does not depend on
the location of files or on the memory layout of arrays: bytes are hashed row by row and little-endian.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import blocks
from archsearch.search.training.data.columns import Table
from archsearch.search.training.data.samples import Texts

DIGITS = 16  # hexadecimal


def fingerprint(inputs: Table | Texts | npt.NDArray[Any], targets: npt.NDArray[Any], **settings: object) -> str:
    """The digest of a data set, 16 hexadecimal digits.

    Args:
        inputs: The inputs of all rows.
        targets: (n,) the targets.
        **settings: Everything else that affects the prepared data, hashed as JSON.
    """
    parts: list[object] = [settings, targets]
    match inputs:
        case Table():
            parts += [inputs.names, inputs.numbers]
            for column in inputs.categorical:
                parts += [column.name, column.categories, column.codes]
            for date in inputs.dates:
                parts += [date.name, date.seconds]
        case Texts():
            parts += [inputs.tokens, inputs.vocabulary, inputs.length, inputs.texts]
        case images:
            parts.append(images)
    digest = blake2b(digest_size=DIGITS // 2)
    for part in parts:
        for piece in _pieces(part):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(part: object) -> Iterator[bytes | memoryview]:
    """Bytes that delimit themselves: a line of JSON, or an array's dtype and shape and then its values."""
    if not isinstance(part, np.ndarray):
        yield _line(part)
        return
    dtype = part.dtype.newbyteorder("<")
    yield _line([dtype.str, part.shape])
    for some in blocks(part):
        values = part[some]
        if dtype.kind == "f" and (missing := np.isnan(values)).any():
            values = np.where(missing, dtype.type(np.nan), values)  # of the many bit patterns of NaN, one
        yield np.ascontiguousarray(values, dtype=dtype).reshape(-1).view(np.uint8).data


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode() + b"\n"
