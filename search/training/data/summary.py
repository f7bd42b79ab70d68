"""What the data was taken for, in one line, and what is probably not meant so."""

from __future__ import annotations

import numpy as np

from archsearch.search.training.data.prepared import Prepared
from archsearch.search.training.data.table_warnings import alike_warnings
from archsearch.studies.formatting import count, percent

CLASSES_SHOWN = 4


def summary(prepared: Prepared) -> str:
    """`classification: no (88 %), yes (12 %); 7 numbers, 9 categories → 51 inputs; 45,211 rows, 16 columns; …`."""
    parts = [_task(prepared)]
    if prepared.cleaning is not None:
        parts += [text for text in (prepared.cleaning.kinds, str(prepared.cleaning)) if text]
    return "; ".join(parts)


def data_warnings(prepared: Prepared) -> tuple[str, ...]:
    """Columns that are probably no inputs, and categories and classes that are probably the same."""
    found = () if prepared.cleaning is None else prepared.cleaning.warnings
    return (*found, *alike_warnings(prepared.classes, "classes"))


def _task(prepared: Prepared) -> str:
    """The classes with their shares, or the range of the target; outside the test part."""
    targets = np.concatenate([prepared.train.targets, prepared.validation.targets])
    if targets.ndim != 1:
        return prepared.task
    if prepared.task == "regression":
        values = targets * prepared.target_std + prepared.target_mean
        return f"regression: targets from {values.min():.4g} to {values.max():.4g}"
    shares = np.bincount(targets.astype(np.int64), minlength=len(prepared.classes)) / len(targets)
    most = np.argsort(-shares, kind="stable")[:CLASSES_SHOWN]
    listed = ", ".join(f"{prepared.classes[index][:30]} ({percent(shares[index])})" for index in most)
    more = len(prepared.classes) - len(most)
    return f"classification: {listed}" + (f" and {count(more, 'more class', 'more classes')}" if more > 0 else "")
