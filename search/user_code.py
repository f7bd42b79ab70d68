"""Describes exceptions for messages, with the place in the user's own code: "ValueError: … (train.py, line 12)"."""

from __future__ import annotations

import sysconfig
import traceback
from functools import cache
from pathlib import Path
from types import FrameType

REASON_LIMIT = 500  # characters of a message

_INSTALLED = {"site-packages", "dist-packages"}  # folders of libraries


def describe(error: BaseException) -> str:
    """An exception in one line: `ValueError: the message (train.py, line 12)`."""
    text, name = message_of(error), type(error).__name__
    if not (isinstance(error, MemoryError) and text):  # "out of memory on cuda; …" needs no class name
        text = f"{name}: {text}" if text else name
    return with_place(text, error)


def message_of(error: BaseException) -> str:
    """The message of an exception in one line of at most `REASON_LIMIT` characters."""
    try:
        return " ".join(str(error)[: 2 * REASON_LIMIT].split())[:REASON_LIMIT]
    except Exception as failure:  # noqa: BLE001 - the __str__ of a user's own class
        return f"(its __str__ raised {type(failure).__name__})"


def with_place(text: str, error: BaseException) -> str:
    """The text with the place of the error, if it has one: "ValueError: no such key (train.py, line 12)"."""
    place = place_in_user_code(error)
    return f"{text} ({place})" if place else text


def place_in_user_code(error: BaseException) -> str:
    """The last line of the user's code that the traceback of an exception names, as "train.py, line 12".

    An exception that a library raises is thus located at the user's call of the library.

    Args:
        error: An exception that was raised.

    Returns:
        The place; an empty string if the traceback has no line outside of archsearch, the standard library and
        installed packages.
    """
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_user_code(frame):
            path = Path(frame.f_code.co_filename)
            # IPython compiles a cell under a temporary file name, which means nothing to its author.
            name = "notebook cell" if any(part.startswith("ipykernel_") for part in path.parts) else path.name
            place = f"{name}, line {line}"
    return place


def _is_user_code(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__") or ""
    return module.partition(".")[0] != "archsearch" and not _is_library(frame.f_code.co_filename)


@cache
def _is_library(filename: str) -> bool:
    """Whether the file belongs to Python or to an installed package."""
    path = Path(filename)
    standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    return (
        filename.startswith("<frozen ")
        or not _INSTALLED.isdisjoint(path.parts)
        or any(path.is_relative_to(folder) for folder in standard)
    )
