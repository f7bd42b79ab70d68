"""A worker: runs trials of one objective, one at a time, report by report.

The inline executor has one in this process, and each Ray actor has one in its own. An exception in the objective fails
the trial, never the worker: `Worker.advance` always returns events.
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
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from archsearch.search.adapters.push import PushedReports, Returned, reports_of
from archsearch.search.executors.checkpoints import CheckpointError, Checkpoints, FileCheckpointWriter
from archsearch.search.protocols import UNSTAMPED, Job, Objective, TrialContext
from archsearch.search.user_code import with_place
from archsearch.studies.records import Ended, Event, Failed, Finished, Logged, Lost, Report, Reported

_END = object()  # stands for the end of an iterator, since the objective may yield None by mistake

# True in the threads of observers, whose output does not belong to the trial that is running in this process.
unrecorded: contextvars.ContextVar[bool] = contextvars.ContextVar("unrecorded", default=False)

REASON_LIMIT = 500  # characters of a failure's reason
LOG_LIMIT_BYTES = 2**20  # of the output of one attempt, so that a verbose objective does not bloat the store


class Worker:
    """Runs trials of one objective, one at a time.

    Args:
        objective: Trains a trial.
        device: The device for training, as torch names it.
        interruptible: Whether a KeyboardInterrupt comes from the user and is propagated, instead of failing the trial.
        capture: A file for the output since the last report, which can be read even if this process has died.
        checkpoints: Where trials save their states; None if they do not.

    Attributes:
        clean: False if a trial could not be closed properly, so that this process should not run another one.
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
        self._interruptible = interruptible
        self._attempt: _Attempt | None = None
        self.clean = True

    def advance(self, start: Job | None, stop: bool) -> list[Event]:
        """Run the current trial up to its next report, or its end.

        Args:
            start: The job to start; None to continue the current trial.
            stop: Whether to close the current trial first.

        Returns:
            Reported, Ended, Lost and Logged events.
        """
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
    """One attempt at a trial: the iterator of its reports, its steps, its working time and its output."""

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
        """The next report, and the end if it was the last one; Lost if the checkpoint of the trial cannot be read."""
        number = self._job.number
        began = time.perf_counter()
        try:
            with self._capture.recording():
                report = self._advance()
        except CheckpointError as error:
            return [Lost(UNSTAMPED, number, _text(error), "checkpoint")]
        except BaseException as error:  # noqa: BLE001 - `_failure` propagates a Ctrl-C
            return [self._failure(error)]
        self._worked_s += time.perf_counter() - began
        if report is _END:
            return [Ended(UNSTAMPED, number, Finished())]
        returned = isinstance(report, Returned)
        metrics = report.metrics if isinstance(report, Returned) else report
        if not (isinstance(report, Returned) and report.joins):
            self._step += 1
        try:
            numbers = checked_metrics(metrics, self._step, self._job.metrics)
        except Exception as error:  # noqa: BLE001 - a metric may be any object, whose methods may raise anything
            self.close()
            ours = isinstance(
                error, TypeError | ValueError
            )  # usually raised by checked_metrics, with a text for the user
            return [Ended(UNSTAMPED, number, Failed(_text(error) if ours else one_line(error)))]
        saved = "" if self._checkpoint_writer is None else self._checkpoint_writer.reported(self._step)
        try:
            numbers |= self._returned_at_budget()
        except BaseException as error:  # noqa: BLE001 - as above
            return [self._failure(error)]
        events: list[Event] = [Reported(UNSTAMPED, number, Report(self._step, numbers, self._worked_s, saved))]
        if self._step == self._job.last_step or returned:
            self.close()
            events.append(Ended(UNSTAMPED, number, Finished()))
        return events

    def _failure(self, error: BaseException) -> Ended:
        """The failure of the trial by the exception that its objective has just raised; a Ctrl-C is propagated."""
        if self._interruptible and isinstance(error, KeyboardInterrupt):
            raise error
        self._capture.write(traceback.format_exc())
        return Ended(UNSTAMPED, self._job.number, Failed(one_line(error)))

    def _returned_at_budget(self) -> dict[str, float]:
        """The metrics that a function with `trial.report` returns when it learns that its budget is used up."""
        if self._step != self._job.budget or not isinstance(self._reports, PushedReports):
            return {}
        with self._capture.recording():
            returned = self._reports.finish()
        return {} if returned is None else checked_metrics(returned, self._step, self._job.metrics)

    def _advance(self) -> object:
        """The next report of the objective; `_END` if there is none."""
        if self._reports is None:
            self._reports = reports_of(self._objective, self._context())
        return next(self._reports, _END)

    def _context(self) -> TrialContext:
        """The argument of the objective. Loads its checkpoint and seeds the global random generators."""
        job = self._job
        trial = TrialContext(job.number, job.attempt, dict(job.config), job.budget, job.seed, self._device)
        if self._checkpoints is not None and self._checkpoint_writer is not None:
            restored = self._checkpoints.read(job.checkpoint) if job.checkpoint else None
            trial = replace(trial, restored=restored, checkpoint_writer=self._checkpoint_writer)
        _seed_globals(job.seed)
        return trial

    def close(self) -> bool:
        """Close the objective, so that its `finally` blocks run.

        Returns:
            Whether that succeeded.
        """
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
        """The output since the last call, as an event; empty if there is none."""
        text = self._capture.take()
        return [Logged(UNSTAMPED, self._job.number, text)] if text else []


class _OutputCapture(io.TextIOBase):
    """Records output, up to `LOG_LIMIT_BYTES` for each attempt.

    Args:
        file: A file that contains a copy of the output until it is taken; None for no copy.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._parts: list[str] = []
        self._left = LOG_LIMIT_BYTES
        self._file = file

    def rewind(self) -> None:
        """Start to record another attempt."""
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
                self._parts.append(f"\n[output truncated after {LOG_LIMIT_BYTES:,} bytes]\n")
        return len(text)

    def take(self) -> str:
        """Return the output since the last call."""
        text = "".join(self._parts)
        self._parts.clear()
        if text and self._file is not None:
            self._file.seek(0)
            self._file.truncate()
        return text

    def recording(self) -> AbstractContextManager[object]:
        """A context in which the standard output and error streams are recorded."""
        stack = ExitStack()
        stack.enter_context(redirect_stdout(_RedirectedStream(self, sys.stdout)))
        stack.enter_context(redirect_stderr(_RedirectedStream(self, sys.stderr)))
        return stack


def _utf8(text: str) -> bytes:
    """The bytes as the store contains them, with lone surrogates escaped."""
    return text.encode("utf-8", "backslashreplace")


class _RedirectedStream(io.TextIOBase):
    """Writes the output of trials to the capture, and other output, such as that of observers, to the stream."""

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


def checked_metrics(metrics: object, step: int, needed: Collection[str] = ()) -> dict[str, float]:
    """Convert the metrics of a report to plain floats. The errors are worded for the user.

    Args:
        metrics: A mapping from names to numbers, which may be NumPy scalars or tensors with one element.
        step: The step of the report, for the error message.
        needed: The metrics of the study. If there is one, `metrics` may be a single number. Other metrics that are not
            finite are left out. An empty collection stands for all metrics.

    Returns:
        The finite numbers by name.

    Raises:
        TypeError: It is not a mapping from names to numbers.
        ValueError: The number of a needed metric is not finite.
    """
    if len(needed) == 1 and _is_number(metrics):
        metrics = {next(iter(needed)): metrics}
    if not isinstance(metrics, Mapping) or not metrics:
        numbered = " or, in a study with one metric, a number" * (len(needed) == 1)
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
        if math.isfinite(number):
            numbers[str(name)] = number
        elif not needed or str(name) in needed:
            raise ValueError(f"metric '{name}' is {number} at step {step}")
    return numbers


def _is_number(value: object) -> bool:
    """Whether it is an int, a float, or an array or tensor with one element, but not a bool."""
    try:
        value = _item(value)
    except (TypeError, ValueError, RuntimeError):  # an array with several elements
        return False
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: Any) -> float:
    return float(_item(value))


def _item(value: Any) -> Any:
    """The element of an array or tensor with one element as a Python number; any other value unchanged."""
    return value.item() if hasattr(value, "item") else value


def one_line(error: BaseException) -> str:
    """`ValueError: the message (train.py, line 12)`."""
    text, name = _text(error), type(error).__name__
    if not (isinstance(error, MemoryError) and text):  # "out of memory on cuda; …" needs no class name
        text = f"{name}: {text}" if text else name
    return with_place(text, error)


def _shown(value: object) -> str:
    """The repr of a value, shortened, since it may be a list of a million numbers."""
    return reprlib.repr(value)


def _text(error: BaseException) -> str:
    """The message of an exception in one line of at most `REASON_LIMIT` characters."""
    try:
        return " ".join(str(error)[: 2 * REASON_LIMIT].split())[:REASON_LIMIT]
    except Exception as failure:  # noqa: BLE001 - the __str__ of a user's own class
        return f"(its __str__ raised {type(failure).__name__})"


def use_threads(threads: int) -> int | None:
    """Set the number of threads of torch, if it is loaded, since results differ in the last bits with another number.

    Returns:
        The previous number; None if torch is not loaded.
    """
    if (torch := sys.modules.get("torch")) is None:
        return None
    before: int = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


def _seed_globals(seed: int) -> None:
    """Seed the global random generators, so that objectives that use them are reproducible too.

    This is safe because a process runs only one trial at a time.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)
