"""Ctrl-C and SIGTERM, delivered only while the engine waits for its workers, so that no decision is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


def interruption(store: Path, *ways: str) -> str:
    """What to tell the user after Ctrl-C.

    Args:
        store: The store of the study.
        ways: The commands or calls that continue it.
    """
    if not store.exists():
        return "interrupted; no trial had started"
    return f"interrupted; nothing is lost; continue with: {' or '.join(ways)}"


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the session as cleanly as Ctrl-C."""

    exit_code = 143


class Interrupts:
    """A context that handles both signals, and raises their exceptions only inside `allowed`.

    Enter it after Ray has started, since Ray installs a SIGTERM handler of its own, which prints a traceback. In a
    thread other than the main one, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._pending: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A process that was started to ignore Ctrl-C (nohup, a background job) continues to ignore it.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]  # ours

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """A block in which a signal raises KeyboardInterrupt or Terminated, including one that is pending."""
        self._allowed = True
        try:
            self._raise()
            yield
        finally:
            self._allowed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = number
        if self._allowed:
            self._raise()

    def _raise(self) -> None:
        number, self._pending = self._pending, None
        if number is not None:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
