"""A digest of what training sees, by which a study notices that it goes on with other data.

Everything that changes what a network is given is part of it: the values, the names, the task, the split. Where the
files lie is not, nor how a machine lays out its arrays: bytes are hashed in rows and little-endian.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from archsearch.search.training.data.blocks import blocks
from archsearch.search.training.data.raw import Table, Texts

DIGITS = 16  # hexadecimal


def fingerprint(inputs: Table | Texts | npt.NDArray[Any], targets: npt.NDArray[Any], **settings: object) -> str:
    """16 hexadecimal digits. settings: whatever else decides what is trained on, as JSON."""
    parts: list[object] = [settings, targets]
    match inputs:
        case Table():
            parts += [inputs.names, inputs.numbers]
            for words in inputs.words:
                parts += [words.name, words.categories, words.codes]
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
    """As bytes that say where they end: JSON on a line of its own; or an array's kind and shape, and its values."""
    if not isinstance(part, np.ndarray):
        yield _line(part)
        return
    dtype = part.dtype.newbyteorder("<")
    yield _line([dtype.str, part.shape])
    for some in blocks(part):
        values = part[some]
        if dtype.kind == "f" and (missing := np.isnan(values)).any():
            values = np.where(missing, dtype.type(np.nan), values)  # NaN has many bit patterns
        yield np.ascontiguousarray(values, dtype=dtype).reshape(-1).view(np.uint8).data


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode() + b"\n"
