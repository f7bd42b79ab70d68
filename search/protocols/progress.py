"""Progress: shows how a session goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted


class Progress(Protocol):
    """Shows how a session goes. The engine knows nothing of a terminal: it hands over committed events."""

    def warn(self, text: str) -> None:
        """A warning about the study, before its first trial."""
        ...

    def show(self, history: History, events: Sequence[Event]) -> None:
        """A batch of events that was just committed, and the history after it."""
        ...


class Silent(AbstractContextManager["Silent"]):
    """Shows nothing."""

    def warn(self, text: str) -> None:
        """Not shown."""

    def show(self, history: History, events: Sequence[Event]) -> None:
        """Not shown."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


# Makes the progress of a session: from the store's path, the history so far, and the session that begins.
ShowProgress = Callable[[Path, History, SessionStarted], AbstractContextManager[Progress]]
