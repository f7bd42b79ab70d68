"""Threads in which the functions of trials run. One that has served a trial well serves the next.

To start a thread for each trial costs 0.2 ms, as much as all else that a worker does for a trial.
"""

from __future__ import annotations

import contextvars
import ctypes
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from archsearch.search.protocols import TrialStopped


class FunctionThread:
    """A daemon thread that runs one call after another. Take one with `idle_thread`.

    An exception that is raised in a thread from outside arrives late: after the call that it was meant for, if that
    ends just then. So a thread that was ever interrupted is never used again.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._interrupted = False
        # Daemonic, because a function that cannot be ended must not keep the process alive.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def run(self, call: Callable[[], object], name: str) -> None:
        """Begin the call, in a copy of the caller's context variables. It must not raise."""
        context = contextvars.copy_context()
        self._thread.name = name
        self._calls.put(lambda: context.run(call))

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def interrupt(self, error: type[BaseException]) -> None:
        """Raise `error` before the thread's next Python instruction; code in C is not interrupted."""
        self._interrupted = True
        self._calls.put(None)  # it ends after this call
        if self._thread.ident is not None and self._thread.is_alive():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident), ctypes.py_object(error))

    def release(self) -> None:
        """Its call has ended, and it may serve another trial; call this once for each `run`."""
        if not self._interrupted:
            _idle.append(self)

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None:
                call()
                del call  # it holds the trial's tensors
        except TrialStopped:  # by an interrupt that came after the call's end
            pass


_idle: list[FunctionThread] = []


def idle_thread() -> FunctionThread:
    """A thread that runs nothing at present; a new one if there is none."""
    try:
        return _idle.pop()
    except IndexError:
        return FunctionThread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a forked process has its own copy of the list, but no threads
