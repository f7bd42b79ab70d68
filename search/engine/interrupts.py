"""Ctrl-C and SIGTERM, let through only where nothing can be torn: while the engine waits for its workers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, as orderly as Ctrl-C."""

    exit_code = 143


class Interrupts:
    """Takes both signals over while it is entered, and raises them only inside `allowed`.

    To be entered after Ray has started, which takes SIGTERM over, and traces. In a thread other than the main one,
    where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._came: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A process that was started to ignore Ctrl-C (nohup, a shell's background job) goes on to ignore it.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]  # ours

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Here a signal, also one that came before, raises KeyboardInterrupt or Terminated."""
        self._allowed = True
        try:
            self._raise()
            yield
        finally:
            self._allowed = False

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came = number
        if self._allowed:
            self._raise()

    def _raise(self) -> None:
        number, self._came = self._came, None
        if number is not None:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
