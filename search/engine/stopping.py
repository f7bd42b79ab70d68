"""How the engine leaves its loop: because a limit of the study is reached, or because something broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from archsearch.search.validation import stable_repr
from archsearch.spaces import ArchsearchError, ExecutionError


@dataclass(eq=False)  # not frozen: a `with` block that it leaves by sets its traceback
class Stopped(Exception):  # noqa: N818 - control flow, not an error
    """The session ends here.

    Attributes:
        reason: Why, in words; it is recorded.
        error: Raised once everything is recorded; None for a session that ends as it should.
    """

    reason: str
    error: Exception | None = None


@contextmanager
def blaming(what: str, who: object) -> Iterator[None]:
    """Turns an exception of a plug-in into a `Stopped` that names it, so that the session ends in good order.

    Args:
        what: Its role, such as "strategy".
        who: The plug-in.
    """
    try:
        yield
    except Exception as error:
        text = f"the {what} {stable_repr(who)} failed: {error if isinstance(error, ArchsearchError) else repr(error)}"
        raise Stopped(text, ExecutionError(text)) from error
