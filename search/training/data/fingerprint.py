"""A digest of what training sees, by which a study notices that it goes on with other data.

Everything that changes what a network is given is part of it: the values, the names, the task, the split. Where the
files lie is not, nor how a machine lays out its arrays: bytes are hashed in rows and little-endian.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from search.training.data.raw import Table, Texts

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


def _pieces(part: object) -> tuple[bytes | memoryview, ...]:
    """As bytes that say where they end: JSON on a line of its own; or an array's kind and shape, and its values."""
    if not isinstance(part, np.ndarray):
        return (_line(part),)
    values = part
    if part.dtype.kind == "f" and (missing := np.isnan(part)).any():
        values = np.where(missing, part.dtype.type(np.nan), part)  # NaN has many bit patterns
    values = np.ascontiguousarray(values, dtype=part.dtype.newbyteorder("<"))
    return _line([values.dtype.str, values.shape]), values.reshape(-1).view(np.uint8).data


def _line(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode() + b"\n"
