"""Observers are told what was committed, each in a thread of its own: whatever one does, the study goes on."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from archsearch.search.executors.worker import unrecorded
from archsearch.search.protocols import Observer
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Event, SessionEnded

DRAIN_S = 5.0  # at the session's end, for what observers have not seen; for all of them together
WAITING = 10_000  # batches; an observer that is further behind misses some, for each holds a history

Batch = tuple[Sequence[Event], History, int | None]  # the events, the history after them, and the best trial before


class Observers:
    """The observers of a session. A context: at its end they are given `DRAIN_S` for what they have not seen.

    Args:
        observers: Whom to tell; they need not have all of an Observer's methods.
        history: The study so far, of which nothing is told.
        warn: Shows a warning; called from other threads, at most three times for each observer.
    """

    def __init__(self, observers: Sequence[Observer], history: History, warn: Callable[[str], None]) -> None:
        self._told = [_Told(observer, warn) for observer in observers]
        self._best = history.best_number

    def tell(self, history: History, events: Sequence[Event]) -> None:
        """A batch that was committed, and the history after it. Returns at once."""
        batch = ([*events], history, self._best)
        self._best = history.best_number
        for told in self._told:
            told.put(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + DRAIN_S
        for told in self._told:
            told.finish()
        for told in self._told:
            told.await_end(deadline)


class _Told:
    """One observer, its thread, and what waits for it."""

    def __init__(self, observer: Observer, warn: Callable[[str], None]) -> None:
        self._observer = observer
        self._name = f"observer {type(observer).__name__}"
        self._warn = warn
        self._raised = self._behind = self._over = False
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)  # it may never come back
        self._thread.start()

    def put(self, batch: Batch) -> None:
        if self._queue.qsize() < WAITING:
            self._queue.put(batch)
        elif not self._behind:
            self._behind = True
            self._warn(f"{self._name} is {WAITING:,} batches of events behind, and misses those that come")

    def finish(self) -> None:
        """Nothing more will come."""
        self._queue.put(None)

    def await_end(self, deadline: float) -> None:
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._over = True
            self._warn(
                f"{self._name} did not finish within {DRAIN_S:g} s of the session's end; what it has not seen is lost"
            )

    def _work(self) -> None:
        unrecorded.set(True)  # what it prints is not the trial's that trains meanwhile in this process
        while not self._over and (batch := self._queue.get()) is not None:
            events, history, best = batch
            for event in events:
                for method, arguments in _calls(event, history, best):
                    if not self._over:
                        self._call(method, arguments)

    def _call(self, method: str, arguments: tuple[Any, ...]) -> None:
        try:
            called = getattr(self._observer, method, None)
            if called is not None:
                called(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it raises, also sys.exit(), is its own affair
            if not self._raised:
                self._raised = True
                self._warn(f"{self._name} failed in {method}: {_told_of(error)}; the study goes on")


def _calls(event: Event, history: History, best: int | None) -> list[tuple[str, tuple[Any, ...]]]:
    """The methods that an event calls, with their arguments. best: the number of the best trial before its batch."""
    calls: list[tuple[str, tuple[Any, ...]]] = [("on_event", (event, history))]
    match event:
        case Ended(_, number):
            calls.append(("on_trial_end", (history.trials[number], history)))
            if number == history.best_number != best:
                calls.append(("on_new_best", (history.trials[number], history)))
        case SessionEnded():
            calls.append(("on_study_end", (history,)))
    return calls


def _told_of(error: BaseException) -> str:
    """`ValueError: no such key (my_observer.py, line 12)`."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{traceback.format_exception_only(error)[-1].strip()} ({Path(place.filename).name}, line {place.lineno})"
