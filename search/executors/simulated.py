"""The simulated executor: replays known learning curves in virtual time, to compare strategies and pruners.

A study of days takes only as long as its decisions. The engine is the real one; the training and the clock are
simulated:

    executor = SimulatedExecutor(curve, capacity=4)
    Engine(..., executor=executor, clock=executor.clock)

Modelled on the simulator of Syne Tune (Salinas et al. 2022, "Syne Tune: A Library for Large Scale Hyperparameter Tuning
and Reproducible Research").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from archsearch.search.protocols import UNSTAMPED, Executor, Job
from archsearch.spaces import ExecutionError
from archsearch.studies.records import Ended, Event, Failed, Finished, Metrics, Report, Reported

Curve = Callable[[Job], Iterable[tuple[float, Metrics]]]
"""The reports of a trial: for each step from 1, its duration in seconds and its metrics.

It always starts at step 1, even if the job continues from a later step, and may be longer than the job. If a metric of
the study is not finite, the trial fails, and another metric is left out, as on a real worker.
"""

TimedEvents = tuple[float, list[Event]]  # the virtual time, and the events at that time


@dataclass(slots=True)
class _Replay:
    """A trial that is running on a worker."""

    worker: str
    next: TimedEvents
    rest: Iterator[TimedEvents]


class SimulatedExecutor(Executor):
    """Replays the curves of trials on `capacity` simulated workers.

    The clock starts at 0. It advances to the next report when the executor waits, so decisions take no virtual time,
    and results do not depend on the speed of this machine. Events at the same time are returned together, in the order
    in which their trials were submitted. An exception raised by the curve is propagated, and does not fail a trial.

    Args:
        curve: Returns the reports of a trial.
        capacity: The number of workers.

    Raises:
        ExecutionError: `capacity` is less than 1.
    """

    def __init__(self, curve: Curve, capacity: int = 1) -> None:
        if capacity < 1:
            raise ExecutionError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self._curve = curve
        self._now = 0.0
        self._replays: dict[int, _Replay] = {}  # by trial number, in the order of submission

    def clock(self) -> float:
        """The virtual time in seconds since the executor was created."""
        return self._now

    def submit(self, job: Job) -> str:
        taken = {replay.worker for replay in self._replays.values()}
        free = [worker for slot in range(self.capacity) if (worker := f"worker-{slot}") not in taken]
        if not free:
            raise ExecutionError(f"no worker is free; the capacity is {self.capacity}")
        timed_events = _timed_events(job, self._curve(job), self._now)
        self._replays[job.number] = _Replay(free[0], next(timed_events), timed_events)
        return free[0]

    def wait(self, timeout_s: float | None) -> list[Event]:
        due = min((replay.next[0] for replay in self._replays.values()), default=math.inf)
        if timeout_s is not None and self._now + timeout_s < due:
            self._now += timeout_s
            return []
        events: list[Event] = []
        for trial, replay in [*self._replays.items()]:
            at, what = replay.next
            if at == due:
                self._now = due
                events += what
                self._schedule_next(trial, replay)
        return events

    def stop(self, trial: int) -> None:
        del self._replays[trial]

    def close(self) -> None:
        self._replays.clear()

    def _schedule_next(self, trial: int, replay: _Replay) -> None:
        following = next(replay.rest, None)
        if following is None:
            del self._replays[trial]
        else:
            replay.next = following


def _timed_events(job: Job, curve: Iterable[tuple[float, Metrics]], began: float) -> Iterator[TimedEvents]:
    """The reports of a job, from the step after `from_step` to its last step, together with which the trial ends.

    The name of their checkpoint is a placeholder: a curve can be continued from any step.
    """
    finished = Ended(UNSTAMPED, job.number, Finished())
    steps = list(islice(curve, job.from_step, job.last_step))
    if not steps:
        yield began, [finished]
    worked_s = 0.0
    for step, (seconds, metrics) in enumerate(steps, start=job.from_step + 1):
        if not 0 <= seconds < math.inf:
            raise ExecutionError(
                f"step {step} of trial {job.number} takes {seconds} s; the curve must give a finite time of at least 0"
            )
        worked_s += seconds
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        needed = job.metrics or metrics
        invalid = next((name for name in metrics if name in needed and name not in finite), None)
        if invalid is not None:
            # With the trial's number, since the engine stops a study whose first trials all fail alike.
            failed = Failed(f"metric {invalid!r} of trial {job.number} is {metrics[invalid]} at step {step}")
            yield began + worked_s, [Ended(UNSTAMPED, job.number, failed)]
            return
        report = Report(step, finite, job.worked_s + worked_s, checkpoint="virtual")
        reported = Reported(UNSTAMPED, job.number, report)
        yield began + worked_s, [reported, finished] if step == job.from_step + len(steps) else [reported]
