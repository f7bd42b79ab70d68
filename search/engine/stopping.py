"""How the engine leaves its loop: a stopping criterion is met, a component has failed, or all trials fail alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from archsearch.search.user_code import describe, with_place
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
        said = with_place(str(error), error) if isinstance(error, ArchsearchError) else describe(error)
        raise component_failed(what, who, f"failed: {said}") from error


def component_failed(what: str, who: object, problem: str) -> StopSession:
    """Create the exception that ends the session because a plug-in failed.

    Args:
        what: The role of the plug-in, such as "strategy".
        who: The plug-in.
        problem: What it did, as a sentence without its subject.
    """
    text = f"the {what} {stable_repr(who)} {problem}"
    return StopSession(text, ExecutionError(text))


_PLACE = re.compile(r" \([^()]+, line \d+\)$")  # at the end of a reason; see `search.user_code`
_PATH = re.compile(
    r"""(['"])[^'"]*[/\\][^'"]*\1"""  # in quotes: it may contain spaces
    r"""|[^\s'"()<>:,;]*[/\\][^\s'"()<>:,;]+"""
)
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NUMBERS = re.compile(r"#(?:\s*[,x]\s*#)*,?")  # shapes, also of other ranks: (#, #), #x#, (#,)
_COMPARED = 200  # characters of the text; a long message may be cut off at a place that depends on its numbers
_DIVERGED = re.compile(r"^Diverged: |\bis (?:nan|-?inf)\b")


def failure_kind(reason: str) -> tuple[str, str]:
    """What the reasons of two failed trials share if they have the same cause.

    That is the exception, the place in the user's code, and the text without numbers, addresses and paths: the message
    of one mistake contains the shapes and files of each trial. A loss that is not finite depends on the configuration
    rather than on a mistake, so only equal reasons are alike there.

    Args:
        reason: The reason of a failed trial: "ValueError: no such key (train.py, line 12)".

    Returns:
        The place, which may be empty, and the beginning of the text without what differs.
    """
    if _DIVERGED.search(reason):
        return "", reason
    found = _PLACE.search(reason)
    place, text = (found[0], reason[: found.start()]) if found else ("", reason)
    text = _NUMBERS.sub("#", _NUMBER.sub("#", _PATH.sub("…", text)))
    return place, text[:_COMPARED]
