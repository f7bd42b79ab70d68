"""Progress: shows how a session goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted


class Progress(Protocol):
    """Shows the progress of a session. The engine does not write to a terminal; it passes on committed events."""

    def note(self, text: str) -> None:
        """Show a line about the study, before its first trial."""
        ...

    def warn(self, text: str) -> None:
        """Show a warning about the study, before its first trial."""
        ...

    def show(self, history: History, events: Sequence[Event]) -> None:
        """Show a batch of events that was just committed; `history` is the history after it."""
        ...


class Silent(AbstractContextManager["Silent"]):
    """Shows nothing."""

    def note(self, text: str) -> None:
        """Not shown."""

    def warn(self, text: str) -> None:
        """Not shown."""

    def show(self, history: History, events: Sequence[Event]) -> None:
        """Not shown."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


# Creates the progress of a session from the path of the store, the history so far, and the session that starts.
ShowProgress = Callable[[Path, History, SessionStarted], AbstractContextManager[Progress]]
