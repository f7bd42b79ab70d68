"""How the Gaussian processes are asked: on one thread, and without a word."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it has no types


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread, no warnings, and no words from Optuna.

    One thread, because its sums have one order, and because they are so small that threads which wait for each other on
    a busy machine made an ask four to twenty times slower, and never faster. No warnings, because a length scale at its
    bound is a column that does not matter, and a search that has converged no news to the user.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # Made here: it knows the libraries that are loaded by now.
        with ThreadpoolController().limit(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
