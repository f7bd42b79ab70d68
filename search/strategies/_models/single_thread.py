"""The environment in which Gaussian processes are fitted: one thread, no warnings and no log messages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it has no types


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit numerical libraries to one thread, and silence warnings and Optuna's log.

    One thread makes the order of summation, and so the result, deterministic. It is also faster: the matrices are so
    small that threads waiting for each other on a busy machine made an ask four to twenty times slower. Warnings are
    silenced because they do not concern the user: a length scale at its bound means that a parameter has no influence,
    and that a search has converged is expected.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        # Created here, because it only knows the libraries that have been loaded so far.
        with ThreadpoolController().limit(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
