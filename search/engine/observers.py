"""Notifies observers of committed events, each in its own thread, so that an observer cannot slow or stop a study."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from archsearch.search.executors.output import unrecorded
from archsearch.search.protocols import Observer
from archsearch.search.user_code import describe
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Event, SessionEnded

DRAIN_S = 5.0  # seconds at the end of the session for all observers together to process their queued events
MAX_QUEUED = 10_000  # batches; an observer that is further behind misses some, since each batch contains a history

Batch = tuple[Sequence[Event], History, int | None]  # the events, the history after them, and the best trial before


class Observers:
    """The observers of a session. A context: on exit, they have `DRAIN_S` to process their queued events.

    Args:
        observers: The observers; they need not have all methods of an `Observer`.
        history: The study so far. Its events are not reported.
        warn: Shows a warning. Called from other threads, at most three times for each observer.
    """

    def __init__(self, observers: Sequence[Observer], history: History, warn: Callable[[str], None]) -> None:
        self._threads = [_ObserverThread(observer, warn) for observer in observers]
        self._best = history.best_number

    def tell(self, history: History, events: Sequence[Event]) -> None:
        """Queue a committed batch of events, with the history after it. Returns immediately."""
        batch = ([*events], history, self._best)
        self._best = history.best_number
        for thread in self._threads:
            thread.put(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + DRAIN_S
        for thread in self._threads:
            thread.finish()
        for thread in self._threads:
            thread.await_end(deadline)


class _ObserverThread:
    """One observer, with its thread and its queue of events."""

    def __init__(self, observer: Observer, warn: Callable[[str], None]) -> None:
        self._observer = observer
        self._name = f"observer {type(observer).__name__}"
        self._warn = warn
        self._raised = self._behind = self._over = False
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)  # it may block forever
        self._thread.start()

    def put(self, batch: Batch) -> None:
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put(batch)
        elif not self._behind:
            self._behind = True
            self._warn(f"{self._name} is {MAX_QUEUED:,} batches of events behind, and will miss the next ones")

    def finish(self) -> None:
        """Mark the end of the queue."""
        self._queue.put(None)

    def await_end(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._over = True
            self._warn(
                f"{self._name} did not finish within {DRAIN_S:g} s of the session's end; its remaining events are lost"
            )

    def _work(self) -> None:
        unrecorded.set(True)  # its output does not belong to the trial that is running in this process
        while not self._over and (batch := self._queue.get()) is not None:
            events, history, best = batch
            for event in events:
                for method, arguments in _method_calls(event, history, best):
                    if not self._over:
                        self._call(method, arguments)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            called = getattr(self._observer, method, None)
            if called is not None:
                called(*arguments)
        except BaseException as error:  # noqa: BLE001 - an observer may raise anything, including SystemExit
            if not self._raised:
                self._raised = True
                self._warn(f"{self._name} failed in {method}: {describe(error)}; the study goes on")


def _method_calls(event: Event, history: History, best: int | None) -> list[tuple[str, tuple[Any, ...]]]:
    """The methods to call for an event, with their arguments. best: the number of the best trial before its batch."""
    calls: list[tuple[str, tuple[Any, ...]]] = [("on_event", (event, history))]
    match event:
        case Ended(_, number):
            calls.append(("on_trial_end", (history.trials[number], history)))
            if number == history.best_number != best:
                calls.append(("on_new_best", (history.trials[number], history)))
        case SessionEnded():
            calls.append(("on_study_end", (history,)))
    return calls
