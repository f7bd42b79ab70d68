"""A worker: runs trials of one objective, one at a time, report by report.

The inline executor has one in this process, and each Ray actor has one in its own. An exception in the objective fails
the trial, never the worker: `Worker.advance` always returns events.
"""

from __future__ import annotations

import math
import random
import reprlib
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from archsearch.search.adapters.push import PushedReports, Returned, StillRunningError, close_reports, reports_of
from archsearch.search.executors.checkpoints import CheckpointError, Checkpoints, FileCheckpointWriter
from archsearch.search.executors.isolation import TrialSettings
from archsearch.search.executors.output import OutputCapture
from archsearch.search.protocols import UNSTAMPED, Job, Objective, TrialContext
from archsearch.search.user_code import describe, message_of
from archsearch.studies.records import Ended, Event, Failed, Finished, Logged, Lost, Report, Reported

_END = object()  # stands for the end of an iterator, since the objective may yield None by mistake


class Worker:
    """Runs trials of one objective, one at a time.

    Each trial starts with the global settings of Python, NumPy and torch with which this worker was created.

    Args:
        objective: Trains a trial.
        device: The device for training, as torch names it.
        interruptible: Whether a KeyboardInterrupt comes from the user and is propagated, instead of failing the trial.
        capture: Records the output of the trials; None records it in memory.
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
        capture: OutputCapture | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._objective = objective
        self._checkpoints = checkpoints
        self._capture = OutputCapture() if capture is None else capture
        self._settings = TrialSettings(defaults=getattr(objective, "default_settings", False))
        self._device = device
        self._interruptible = interruptible
        self._attempt: _Attempt | None = None
        self._last: int | None = None  # the trial that ran last
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
            with self._capture.recording(), self._settings.active():
                self._attempt.close()
            self.clean &= self._attempt.clean
            self._attempt = None
        if start is not None:
            events += self._printed()  # also what a process that the last trial has left behind has printed since
            self._start(start)
        if self._attempt is not None:
            with self._capture.recording(), self._settings.active():
                happened = self._attempt.next()
            events += self._printed() + happened
            if any(isinstance(event, Ended | Lost) for event in happened):
                self.clean &= self._attempt.clean
                self._attempt = None
        elif stop:
            events += self._printed()
        return events

    def _start(self, job: Job) -> None:
        self._capture.rewind(job.number)
        if changed := self._settings.reset():
            self._capture.write(f"archsearch: restored what trial {self._last} had changed: {', '.join(changed)}\n")
        self._last = job.number
        self._attempt = _Attempt(
            self._objective,
            job,
            self._device,
            self._interruptible,
            self._capture,
            self._settings,
            self._checkpoints,
        )

    def _printed(self) -> list[Event]:
        """The output of the last trial since the last call, as an event; empty if there is none."""
        text = self._capture.take()
        return [Logged(UNSTAMPED, self._last, text)] if text and self._last is not None else []


class _Attempt:
    """One attempt at a trial: the iterator of its reports, its steps and its working time."""

    def __init__(
        self,
        objective: Objective | Callable[[TrialContext], Any],
        job: Job,
        device: str,
        interruptible: bool,
        capture: OutputCapture,
        settings: TrialSettings,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._objective = objective
        self._checkpoints = checkpoints
        self._checkpoint_writer = None if checkpoints is None else FileCheckpointWriter(checkpoints, job)
        self._job = job
        self._device = device
        self._interruptible = interruptible
        self._settings = settings
        self._reports: Iterator[object] | None = None
        self._step = job.from_step
        self._worked_s = job.worked_s
        self._names: set[str] = set()  # of the metrics that this attempt has reported
        self._capture = capture
        self.clean = True

    def next(self) -> list[Event]:
        """The next report, and the end if it was the last one; Lost if the checkpoint of the trial cannot be read."""
        number = self._job.number
        began = time.perf_counter()
        try:
            report = self._advance()
        except CheckpointError as error:
            return [Lost(UNSTAMPED, number, message_of(error), "checkpoint")]
        except BaseException as error:  # noqa: BLE001 - `_failure` propagates a Ctrl-C
            return [self._failure(error)]
        self._worked_s += time.perf_counter() - began
        if report is _END:
            return [Ended(UNSTAMPED, number, Finished())]
        returned = isinstance(report, Returned)
        metrics = report.metrics if isinstance(report, Returned) else report
        joins = isinstance(report, Returned) and report.joins
        if not joins:
            self._step += 1
        try:
            numbers = self._returned_metrics(metrics) if joins else self._checked(metrics)
        except Exception as error:  # noqa: BLE001 - a metric may be any object, whose methods may raise anything
            self.close()
            return [self._metrics_failure(error)]
        if joins and not numbers:
            return [Ended(UNSTAMPED, number, Finished())]
        self._names |= numbers.keys()
        saved = "" if self._checkpoint_writer is None else self._checkpoint_writer.reported(self._step)
        ended: Ended | None = None
        if returned or self._step == self._job.last_step:
            more, ended = self._end()
            numbers |= more
        reported = Reported(UNSTAMPED, number, Report(self._step, numbers, self._worked_s, saved))
        return [reported] if ended is None else [reported, ended]

    def _end(self) -> tuple[dict[str, float], Ended]:
        """End the objective after its last report.

        An exception that it raises now fails the trial, as any other does: users should not learn at the end of the
        study that no model could be saved. An objective that merely goes on has done its work.

        Returns:
            The metrics that a function returns when it learns that its budget is used up, and the end of the trial.
        """
        numbers: dict[str, float] = {}
        finished = Ended(UNSTAMPED, self._job.number, Finished())
        if self._step == self._job.budget and isinstance(self._reports, PushedReports):
            try:
                returned = self._reports.finish()
            except StillRunningError:
                self._close_failed()
                return {}, finished
            except BaseException as error:  # noqa: BLE001 - `_failure` propagates a Ctrl-C
                return {}, self._failure(error)
            if returned is not None:
                try:
                    numbers = self._returned_metrics(returned)
                except Exception as error:  # noqa: BLE001 - as in `next`
                    return {}, self._metrics_failure(error)
        failure = self.close()
        if failure is None or isinstance(failure, StillRunningError):
            return numbers, finished
        return numbers, Ended(UNSTAMPED, self._job.number, Failed(describe(failure)))

    def _checked(self, metrics: object) -> dict[str, float]:
        return checked_metrics(metrics, self._step, self._job.metrics)

    def _returned_metrics(self, value: object) -> dict[str, float]:
        """The metrics that a function returns after its reports; none if it returns something else, like its model."""
        try:
            return self._checked(value)
        except TypeError:
            needed = self._job.metrics
            if len(needed) == 1 and needed[0] not in self._names and not self._job.from_step:
                raise  # it should have been the metric of the study
            self._capture.write(
                f"archsearch: ignored what the objective returned after its reports, {_shown(value)}: it is no mapping "
                "of metric names to numbers\n"
            )
            return {}

    def _failure(self, error: BaseException) -> Ended:
        """The failure of the trial by the exception that its objective has just raised; a Ctrl-C is propagated."""
        if self._interruptible and isinstance(error, KeyboardInterrupt):
            raise error
        self._capture.write(traceback.format_exc())
        return Ended(UNSTAMPED, self._job.number, Failed(describe(error)))

    def _metrics_failure(self, error: Exception) -> Ended:
        """The failure of the trial by its metrics."""
        # A TypeError or ValueError usually comes from `checked_metrics`, with a text for the user.
        reason = message_of(error) if isinstance(error, TypeError | ValueError) else describe(error)
        self._capture.write(f"{reason}\n")
        return Ended(UNSTAMPED, self._job.number, Failed(reason))

    def _advance(self) -> object:
        """The next report of the objective; `_END` if there is none."""
        if self._reports is None:
            self._reports = reports_of(self._objective, self._context(), self._settings.active_in_thread)
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

    def close(self) -> BaseException | None:
        """Close the objective, so that its `finally` blocks run.

        Returns:
            The exception that it has raised; None if it has ended well.
        """
        try:
            close_reports(self._reports)
        except BaseException as error:
            if self._interruptible and isinstance(error, KeyboardInterrupt):
                raise
            self._close_failed()
            return error
        return None

    def _close_failed(self) -> None:
        """Keep the traceback of the present exception, which means that the objective may not have let go of all."""
        self.clean = False
        self._capture.write(traceback.format_exc())


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
    value = _item(value)
    if isinstance(value, str | bytes | bytearray | bool):  # of which float() makes numbers
        raise TypeError(f"{type(value).__name__} is no number")
    return float(value)


def _item(value: Any) -> Any:
    """The element of an array or tensor with one element as a Python number; any other value unchanged."""
    return value.item() if hasattr(value, "item") else value


def _shown(value: object) -> str:
    """The repr of a value, shortened, since it may be a list of a million numbers."""
    return reprlib.repr(value)


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
