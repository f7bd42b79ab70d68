"""The inline executor: runs trials in this process, one at a time, for tests, debuggers and machines without Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker, use_threads
from archsearch.search.protocols import Executor, Job, Objective, TrialContext
from archsearch.spaces import ExecutionError
from archsearch.studies.records import Event


class InlineExecutor(Executor):
    """Runs one trial at a time in this process.

    Its output is captured, and torch uses `cpus` threads, as on a Ray worker, so that both give the same results.

    Args:
        objective: Trains a trial.
        device: The device for training, as torch names it.
        cpus: The number of torch threads.
        checkpoints: Where trials save their states; None if they do not.
    """

    capacity = 1

    def __init__(
        self,
        objective: Objective | Callable[[TrialContext], Any],
        device: str = "cpu",
        cpus: int = 1,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._threads_before = use_threads(cpus)  # first, since the trials get the settings of now
        self._worker = Worker(objective, device, interruptible=True, checkpoints=checkpoints)
        self._queued: Job | None = None
        self._stop = False

    def submit(self, job: Job) -> str:
        if self._queued is not None:
            raise ExecutionError("no worker is free; the inline executor runs one trial at a time")
        self._queued = job
        return "inline"

    def wait(self, timeout_s: float | None) -> list[Event]:
        job, stop = self._queued, self._stop
        self._queued, self._stop = None, False
        return self._worker.advance(job, stop)

    def stop(self, trial: int) -> None:
        self._stop = True

    def close(self) -> None:
        self._worker.advance(None, stop=True)
        if self._threads_before is not None:
            use_threads(self._threads_before)
