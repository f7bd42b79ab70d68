"""A worker: runs trials of one objective, one at a time, report by report.

The inline executor has one in this process; each Ray actor has one in its own. Whatever the objective does, an advance
returns events: an exception is the trial's failure, never the worker's.
"""

from __future__ import annotations

import contextvars
import io
import math
import random
import reprlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from archsearch.search.adapters.push import PushedReports, Returned, reports_of
from archsearch.search.executors.checkpoints import CheckpointError, Checkpoints, FileCheckpointWriter
from archsearch.search.protocols import UNSTAMPED, Job, Objective, TrialContext
from archsearch.studies.records import Ended, Event, Failed, Finished, Logged, Lost, Report, Reported

_END = object()  # what an exhausted iterator gives; None may be a user's mistake

# True where what is printed is not a trial's: in the threads of observers, who act while a trial trains here.
unrecorded: contextvars.ContextVar[bool] = contextvars.ContextVar("unrecorded", default=False)

REASON_LIMIT = 500  # characters
LOG_LIMIT_BYTES = 2**20  # of one trial; beyond it a chatty objective would swell the store


class Worker:
    """Advances trials of one objective, one at a time. `clean` turns false when a trial may have left a mess.

    interruptible: a KeyboardInterrupt is the person's, and passes through. capture: a file that holds what was printed
    since the last report, for whoever comes when this process has died. checkpoints: where trials keep their states;
    None: they keep none.
    """

    def __init__(
        self,
        objective: Objective | Callable[[TrialContext], Any],
        device: str,
        *,
        interruptible: bool = False,
        capture: TextIO | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._objective = objective
        self._checkpoints = checkpoints
        self._capture = _OutputCapture(capture)
        self._device = device
        self._interruptible = interruptible  # a KeyboardInterrupt is the user's, and not the objective's failure
        self._attempt: _Attempt | None = None
        self.clean = True

    def advance(self, start: Job | None, stop: bool) -> list[Event]:
        """Close the present trial if `stop`, begin `start` if there is one, and go on to the next report."""
        events: list[Event] = []
        if stop and self._attempt is not None:
            self.clean &= self._attempt.close()
            events += self._attempt.printed()
            self._attempt = None
        if start is not None:
            self._attempt = _Attempt(
                self._objective, start, self._device, self._interruptible, self._capture, self._checkpoints
            )
        if self._attempt is not None:
            happened = self._attempt.next()
            events += self._attempt.printed() + happened
            if any(isinstance(event, Ended | Lost) for event in happened):
                self.clean &= self._attempt.clean
                self._attempt = None
        return events


class _Attempt:
    """One trial in progress: the objective's iterator, its step count, its clock, and what it prints."""

    def __init__(
        self,
        objective: Objective | Callable[[TrialContext], Any],
        job: Job,
        device: str,
        interruptible: bool,
        capture: _OutputCapture,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._objective = objective
        self._checkpoints = checkpoints
        self._checkpoint_writer = None if checkpoints is None else FileCheckpointWriter(checkpoints, job)
        self._job = job
        self._device = device
        self._interruptible = interruptible
        self._reports: Iterator[object] | None = None
        self._step = job.from_step
        self._worked_s = job.worked_s
        self._capture = capture
        capture.rewind()
        self.clean = True

    def next(self) -> list[Event]:
        """The next report, and the end if this was it; Lost where the trial cannot go on from its checkpoint."""
        number = self._job.number
        began = time.perf_counter()
        try:
            with self._capture.recording():
                report = self._advance()
        except CheckpointError as error:
            return [Lost(UNSTAMPED, number, _text(error), "checkpoint")]
        except BaseException as error:  # noqa: BLE001 - `_raised` lets a Ctrl-C through
            return [self._raised(error)]
        self._worked_s += time.perf_counter() - began
        if report is _END:
            return [Ended(UNSTAMPED, number, Finished())]
        returned = isinstance(report, Returned)
        metrics = report.metrics if isinstance(report, Returned) else report
        if not (isinstance(report, Returned) and report.joins):
            self._step += 1
        try:
            numbers = checked_metrics(metrics, self._step, self._job.metric)
        except Exception as error:  # noqa: BLE001 - a metric may be any object, and raise when it is looked at
            self.close()
            mistake = isinstance(error, TypeError | ValueError)
            return [Ended(UNSTAMPED, number, Failed(_text(error) if mistake else _one_line(error)))]
        saved = "" if self._checkpoint_writer is None else self._checkpoint_writer.reported(self._step)
        try:
            numbers |= self._returned_at_its_budget()
        except BaseException as error:  # noqa: BLE001 - likewise
            return [self._raised(error)]
        events: list[Event] = [Reported(UNSTAMPED, number, Report(self._step, numbers, self._worked_s, saved))]
        if self._step == self._job.last_step or returned:
            self.close()
            events.append(Ended(UNSTAMPED, number, Finished()))
        return events

    def _raised(self, error: BaseException) -> Ended:
        """The trial's failure, by what its objective has just raised. A person's Ctrl-C passes through."""
        if self._interruptible and isinstance(error, KeyboardInterrupt):
            raise error
        self._capture.write(traceback.format_exc())
        return Ended(UNSTAMPED, self._job.number, Failed(_one_line(error)))

    def _returned_at_its_budget(self) -> dict[str, float]:
        """What a function that reports returns when it is told that its budget is used up."""
        if self._step != self._job.budget or not isinstance(self._reports, PushedReports):
            return {}
        with self._capture.recording():
            returned = self._reports.finish()
        return {} if returned is None else checked_metrics(returned, self._step, self._job.metric)

    def _advance(self) -> object:
        """What the objective gives next, _END at the end."""
        if self._reports is None:
            self._reports = reports_of(self._objective, self._running())
        return next(self._reports, _END)

    def _running(self) -> TrialContext:
        job = self._job
        trial = TrialContext(job.number, job.attempt, dict(job.config), job.budget, job.seed, self._device)
        if self._checkpoints is not None and self._checkpoint_writer is not None:
            restored = self._checkpoints.read(job.checkpoint) if job.checkpoint else None
            trial = replace(trial, restored=restored, checkpoint_writer=self._checkpoint_writer)
        _seed_globals(job.seed)
        return trial

    def close(self) -> bool:
        """End the objective, so that its `finally` runs; true when nothing went wrong there."""
        close = getattr(self._reports, "close", None)
        if close is not None:
            try:
                with self._capture.recording():
                    close()
            except BaseException as error:
                if self._interruptible and isinstance(error, KeyboardInterrupt):
                    raise
                self.clean = False
                self._capture.write(traceback.format_exc())
        return self.clean

    def printed(self) -> list[Event]:
        text = self._capture.take()
        return [Logged(UNSTAMPED, self._job.number, text)] if text else []


class _OutputCapture(io.TextIOBase):
    """Keeps what is printed while it records, up to a limit for each trial; also in `file`, until it is taken."""

    def __init__(self, file: TextIO | None) -> None:
        self._parts: list[str] = []
        self._left = LOG_LIMIT_BYTES
        self._file = file

    def rewind(self) -> None:
        """Another trial begins."""
        self._left = LOG_LIMIT_BYTES

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._left > 0:
            size = len(_utf8(text))
            kept = text if size <= self._left else _utf8(text)[: self._left].decode(errors="ignore")
            self._left = max(0, self._left - size)
            self._parts.append(kept)
            if self._file is not None:
                self._file.write(kept)
                self._file.flush()
            if self._left == 0:
                self._parts.append(f"\n[more than {LOG_LIMIT_BYTES:,} bytes: the rest was not kept]\n")
        return len(text)

    def take(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        if text and self._file is not None:
            self._file.seek(0)
            self._file.truncate()
        return text

    def recording(self) -> AbstractContextManager[object]:
        stack = ExitStack()
        stack.enter_context(redirect_stdout(_RedirectedStream(self, sys.stdout)))
        stack.enter_context(redirect_stderr(_RedirectedStream(self, sys.stderr)))
        return stack


def _utf8(text: str) -> bytes:
    """As it is written to the store, where a lone surrogate is an escape."""
    return text.encode("utf-8", "backslashreplace")


class _RedirectedStream(io.TextIOBase):
    """Writes to the capture what trials print, and leaves to its stream what others do meanwhile."""

    def __init__(self, capture: _OutputCapture, stream: TextIO) -> None:
        self._capture = capture
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return (self._stream if unrecorded.get() else self._capture).write(text)

    def flush(self) -> None:
        if unrecorded.get():
            self._stream.flush()


def checked_metrics(metrics: object, step: int, metric: str | None = None) -> dict[str, float]:
    """The metrics as plain floats.

    Args:
        metrics: What the objective gave: names and numbers, which may be numpy's or one-element tensors.
        step: Of the report, for the message.
        metric: The name of a number without one; None: every number needs one.

    Raises:
        TypeError: It is something else. ValueError: A number is not finite. Both texts are meant for the user.
    """
    if metric is not None and _is_number(metrics):
        metrics = {metric: metrics}
    if not isinstance(metrics, Mapping) or not metrics:
        numbered = " or, in a study with one metric, a number" * (metric is not None)
        raise TypeError(
            f"the objective gave {_shown(metrics)} at step {step}; it must yield, report or return a mapping of metric "
            f"names to numbers, e.g. {{'val_loss': 0.3}}{numbered}"
        )
    numbers: dict[str, float] = {}
    for name, value in metrics.items():
        try:
            number = _float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise TypeError(f"metric '{name}' is {_shown(value)} at step {step}; it must be a number") from error
        if not math.isfinite(number):
            raise ValueError(f"metric '{name}' is {number} at step {step}")
        numbers[str(name)] = number
    return numbers


def _is_number(value: object) -> bool:
    """An int or float, also numpy's, or an array or tensor of one element; a flag or a text is a mistake."""
    try:
        value = _item(value)
    except (TypeError, ValueError, RuntimeError):  # an array of several elements
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float:
    return float(_item(value))


def _item(value: Any) -> Any:
    """The one element of an array or tensor, as Python's own number; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _one_line(error: BaseException) -> str:
    text = _text(error)
    if isinstance(error, MemoryError) and text:
        return text  # "out of memory on cuda; …": it names itself
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(value: object) -> str:
    """Its repr, cut: a user may have yielded a million numbers."""
    return reprlib.repr(value)


def _text(thing: object) -> str:
    """Its text in one line, of bearable length, also when it cannot be shown."""
    try:
        return " ".join(str(thing)[: 2 * REASON_LIMIT].split())[:REASON_LIMIT]
    except Exception as error:  # noqa: BLE001 - a user's own __str__ or __repr__
        return f"(its text cannot be had: {type(error).__name__})"


def use_threads(threads: int) -> int | None:
    """Give torch so many threads, if it is loaded; returns how many it had. One more thread changes the last bits."""
    if (torch := sys.modules.get("torch")) is None:
        return None
    before: int = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


def _seed_globals(seed: int) -> None:
    """So that an objective that names no seed is repeatable too: one trial at a time owns the global generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
