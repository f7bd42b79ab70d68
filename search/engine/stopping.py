"""How the engine leaves its loop: a stopping criterion is met, or a component has failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from archsearch.search.validation import stable_repr
from archsearch.spaces import ArchsearchError, ExecutionError


@dataclass(eq=False)  # not frozen: a `with` block that the exception leaves sets its traceback
class StopSession(Exception):  # noqa: N818 - control flow, not an error
    """Ends the session.

    Attributes:
        reason: A description of the reason, which is recorded.
        error: Raised once all events are recorded; None if the session ends normally.
    """

    reason: str
    error: Exception | None = None


@contextmanager
def attribute_errors(what: str, who: object) -> Iterator[None]:
    """Turn an exception of a plug-in into a `StopSession` that names the plug-in, so that the session ends cleanly.

    Args:
        what: The role of the plug-in, such as "strategy".
        who: The plug-in.

    Raises:
        StopSession: The block raised an exception.
    """
    try:
        # NumPy's default error handling, also if the spec or the program of a `Session` has changed it
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            yield
    except Exception as error:
        text = f"the {what} {stable_repr(who)} failed: {error if isinstance(error, ArchsearchError) else repr(error)}"
        raise StopSession(text, ExecutionError(text)) from error
