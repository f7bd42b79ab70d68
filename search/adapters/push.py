"""Objectives that push their metrics with `trial.report`, turned into iterators that a worker pulls from.

A plain function runs in a second thread, which waits inside `trial.report` until the worker asks for the next report.
So a pruner acts within one report, as it does on a generator, and only one of the two threads works at a time. A
generator function needs no thread and gets none.

A thread cannot be killed. A function that is told to stop has `GRACE_S` to return; then TrialStopped is raised in it.
If that does not end it either, its thread is left running, and the worker is no longer clean: Ray replaces it.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from archsearch.search.adapters.function_thread import FunctionThread, idle_thread
from archsearch.search.adapters.functions import FunctionObjective
from archsearch.search.protocols import Reporter, TrialContext, TrialStopped

GRACE_S = 30.0  # to return after `trial.report` has returned False: time to save a model, not to train one
UNWIND_S = 3.0  # to end after TrialStopped was raised in it


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function returned at its end. joins: it has made reports, and this belongs to the last of them."""

    metrics: object
    joins: bool


class StillRunningError(Exception):
    """An objective does not end although its trial is over."""


def reports_of(
    objective: Callable[[TrialContext], Any],
    trial: TrialContext,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[object]:
    """The trial's reports, one for each `next`; the last of a function may be a Returned.

    Whatever the objective raises comes out of `next`, or of `close_reports`.

    Args:
        objective: A generator function, or a function.
        trial: Its argument.
        around: Makes the context in which a function runs in its thread.
    """
    if _yields(objective):
        reports: Iterator[object] = objective(trial)
        return reports
    return PushedReports(objective, trial, around)


def close_reports(reports: Iterator[object] | None) -> None:
    """End an objective, so that its `finally` blocks run.

    Args:
        reports: Its reports; None if it was never started.

    Raises:
        StillRunningError: It does not end.
        BaseException: Whatever the objective raises.
    """
    close = getattr(reports, "close", None)
    if close is None:
        return
    try:
        close()
    except RuntimeError as error:
        if inspect.isgenerator(reports) and inspect.getgeneratorstate(reports) == inspect.GEN_SUSPENDED:
            raise StillRunningError("the objective ignores GeneratorExit, by which it was told to end") from error
        raise


def _yields(objective: Callable[..., Any]) -> bool:
    """Is it a generator function, or an object whose call is one?"""
    function = objective.function if isinstance(objective, FunctionObjective) else objective
    return inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(type(function).__call__)


class PushedReports:
    """The reports of a function, which runs in its thread while `next` waits."""

    def __init__(
        self,
        function: Callable[[TrialContext], Any],
        trial: TrialContext,
        around: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._function = function
        self._trial = trial
        self._around = around
        self._channel = _Channel()
        self._thread: FunctionThread | None = None  # from the first report on
        self._reported = False
        self._done = False
        self._returned: Iterator[object] | None = None  # by a function that made an iterator of its metrics

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        """Let the function go on to its next report, or its end."""
        if self._returned is not None:
            return next(self._returned)
        if self._done:
            raise StopIteration
        if self._thread is None:
            self._begin()
        else:
            self._channel.go_on()
        news = self._next_news()
        if isinstance(news, _Report):
            self._reported = True
            return news.metrics
        value = self._value(news)
        if hasattr(value, "__next__"):
            self._channel.yields = True
            self._returned = value
            return next(value)
        # A trial that is resumed after its last report has nothing left to report.
        if value is None and (self._reported or self._trial.restored is not None):
            raise StopIteration
        return Returned(value, joins=self._reported)

    def finish(self) -> object:
        """The budget is used up: the function is told, and may take its time. Returns what it returns."""
        if self._done:
            return None
        self._channel.stop()
        news = self._next_news()
        if isinstance(news, _Done):
            return self._value(news)
        self.close()  # it goes on reporting
        return None

    def close(self) -> None:
        """The trial is over: end the function. Raises StillRunningError when that is not possible."""
        close_reports(self._returned)
        if self._done or self._thread is None:
            return
        if self._channel.stop() and self._ended_within(GRACE_S):
            return
        # It goes on computing, or does not know: a Ctrl-C comes while it trains.
        self._thread.interrupt(TrialStopped)
        if not self._ended_within(UNWIND_S):
            self._end()
            raise StillRunningError(
                "the objective did not end after trial.should_stop, nor by TrialStopped; its thread is left running"
            )

    def _begin(self) -> None:
        """Start the function in its thread."""
        trial = replace(self._trial, reporter=self._channel)
        function, channel, around = self._function, self._channel, self._around
        self._thread = idle_thread()
        self._thread.run(lambda: _run(function, trial, channel, around), f"trial-{trial.number}")

    def _end(self) -> None:
        """The function has ended, or cannot be ended."""
        self._done = True
        if self._thread is not None:
            self._thread.release()

    def _next_news(self) -> _Report | _Done:
        """Wait for the function's next report, or its end.

        In turns of a second: a Ctrl-C that comes just before the wait begins would otherwise be seen after it.
        """
        while True:
            try:
                return self._channel.news.get(timeout=1.0)
            except Empty:
                if self._thread is None or not self._thread.is_alive():
                    return _Done(error=RuntimeError("the objective's thread has ended without a result"))

    def _ended_within(self, seconds: float) -> bool:
        """Wait for the function's end. Raises what it raised."""
        last = time.monotonic() + seconds
        while True:
            try:
                news = self._channel.news.get(timeout=max(0.0, last - time.monotonic()))
            except Empty:
                return self._thread is None or not self._thread.is_alive()
            if isinstance(news, _Done):
                self._value(news)
                return True

    def _value(self, done: _Done) -> Any:
        """What the function returned. Raises what it raised, unless that is how it was stopped."""
        self._end()
        stopped = self._channel.stopped
        self._channel.stop()  # for a thread of the function's own that still reports
        error, done.error = done.error, None
        try:
            if isinstance(error, StopIteration):
                raise RuntimeError("the objective raised StopIteration") from error  # noqa: TRY004 - as generators do
            if error is not None and not (stopped and isinstance(error, TrialStopped)):
                raise error
            return done.value
        finally:
            del error  # its frames hold the trial's tensors, and would be held in turn


@dataclass(frozen=True, slots=True)
class _Report:
    metrics: object


@dataclass(slots=True)
class _Done:
    value: object = None
    error: BaseException | None = None


class _Channel(Reporter):
    """Between the function's thread, which reports, and the worker's, which answers. yields: it must not report."""

    def __init__(self) -> None:
        self.news: SimpleQueue[_Report | _Done] = SimpleQueue()
        self.yields = False
        self._answers: SimpleQueue[bool] = SimpleQueue()
        self._reporting = threading.Lock()  # the function may report from several threads
        self._state = threading.Lock()
        self._waiting = False
        self._stopped = False
        self._function_knows = False  # by a report that returned False

    @property
    def stopped(self) -> bool:
        return self._stopped

    def report(self, metrics: Mapping[str, float] | float) -> bool:
        if self.yields:
            return super().report(metrics)
        with self._reporting:
            if self._function_knows:
                self.news.put(_Report(metrics))  # `finish` waits for the function's end, or this
                raise TrialStopped("the trial is over, and the last report has returned False")
            with self._state:
                self._waiting = going = not self._stopped
            if going:
                self.news.put(_Report(metrics))
                going = self._answers.get()
            self._function_knows = not going
            return going

    def go_on(self) -> None:
        """The answer to a report: the trial goes on."""
        self._waiting = False
        self._answers.put(True)

    def stop(self) -> bool:
        """The trial is over. Returns whether the function knows, by a report that returned or now returns False."""
        with self._state:
            waiting, self._waiting, self._stopped = self._waiting, False, True
        if waiting:
            self._answers.put(False)
        return waiting or self._function_knows


def _run(
    function: Callable[[TrialContext], Any],
    trial: TrialContext,
    channel: _Channel,
    around: Callable[[], AbstractContextManager[object]],
) -> None:
    """The function's thread."""
    try:
        with around():
            done = _Done(function(trial))
    except BaseException as error:  # noqa: BLE001 - it is raised again in the worker's thread
        done = _Done(error=error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    channel.news.put(done)
