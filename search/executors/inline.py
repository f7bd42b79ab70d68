"""Trials in this very process, one at a time: for tests, debuggers, and machines without Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker, use_threads
from archsearch.search.protocols import Executor, Job, Objective, TrialContext
from archsearch.spaces import ExecutionError
from archsearch.studies.records import Event


class InlineExecutor(Executor):
    """One slot, in this process, with as many torch threads as a worker of `cpus` has, so that results agree.

    What a trial prints is kept with it, as on a worker.
    """

    capacity = 1

    def __init__(
        self,
        objective: Objective | Callable[[TrialContext], Any],
        device: str = "cpu",
        cpus: int = 1,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._worker = Worker(objective, device, interruptible=True, checkpoints=checkpoints)
        self._order: Job | None = None
        self._stop = False
        self._threads_before = use_threads(cpus)

    def submit(self, job: Job) -> str:
        if self._order is not None:
            raise ExecutionError("the inline executor has one slot, and it is taken")
        self._order = job
        return "inline"

    def wait(self, timeout_s: float | None) -> list[Event]:
        order, stop = self._order, self._stop
        self._order, self._stop = None, False
        return self._worker.advance(order, stop)

    def stop(self, trial: int) -> None:
        self._stop = True

    def close(self) -> None:
        self._worker.advance(None, stop=True)
        if self._threads_before is not None:
            use_threads(self._threads_before)
