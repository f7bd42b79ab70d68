"""Trials replayed in virtual time: a study of days takes no longer than its decisions do.

For comparing strategies and pruners on known curves. The engine is the real one; only the training and the clock are
made up, so it is given both:

    executor = SimulatedExecutor(curve, capacity=4)
    Engine(..., executor=executor, clock=executor.clock)

Syne Tune's simulator does the same for its own tuner (Salinas et al. 2022, "Syne Tune: A Library for Large Scale
Hyperparameter Tuning and Reproducible Research").
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
"""What a trial would report: for each step from 1 on, the seconds that it takes and its metrics.

It may be longer than the job, and says the same whatever step the job goes on from. A metric that is not
finite fails the trial, as on a real worker.
"""

TimedEvents = tuple[float, list[Event]]  # when, and what


@dataclass(slots=True)
class _Replay:
    """A trial on its worker."""

    worker: str
    next: TimedEvents
    rest: Iterator[TimedEvents]


class SimulatedExecutor(Executor):
    """`capacity` workers whose reports take the time that `curve` says, on a clock that begins at 0.

    The clock moves while the executor waits, to the next report: deciding takes no virtual time, and nothing depends on
    how fast this machine is. What happens at one moment is told at once, in the order in which the trials were
    submitted. An exception of the curve passes through: it is no trial's failure.
    """

    def __init__(self, curve: Curve, capacity: int = 1) -> None:
        if capacity < 1:
            raise ExecutionError(f"the simulated executor needs a capacity of at least 1, got {capacity}")
        self.capacity = capacity
        self._curve = curve
        self._now = 0.0
        self._replays: dict[int, _Replay] = {}  # by trial, in the order of submission

    def clock(self) -> float:
        """Virtual seconds since the executor was made."""
        return self._now

    def submit(self, job: Job) -> str:
        taken = {replay.worker for replay in self._replays.values()}
        free = [worker for slot in range(self.capacity) if (worker := f"worker-{slot}") not in taken]
        if not free:
            raise ExecutionError(f"all {self.capacity} slots of the simulated executor are taken")
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
    """The job's reports, from the step after `from_step` to its last; the trial's end comes with that one.

    Each has a checkpoint, which is but a name: a curve can be entered anywhere.
    """
    finished = Ended(UNSTAMPED, job.number, Finished())
    steps = list(islice(curve, job.from_step, job.last_step))
    if not steps:
        yield began, [finished]
    worked_s = 0.0
    for step, (seconds, metrics) in enumerate(steps, start=job.from_step + 1):
        if not 0 <= seconds < math.inf:
            raise ExecutionError(f"trial {job.number} takes {seconds} s for step {step}; give a time from 0")
        worked_s += seconds
        wrong = next((name for name, value in metrics.items() if not math.isfinite(value)), None)
        if wrong is not None:
            # With its number, for an engine takes first trials that all fail with one error for a broken objective.
            failed = Failed(f"metric {wrong!r} of trial {job.number} is {metrics[wrong]} at step {step}")
            yield began + worked_s, [Ended(UNSTAMPED, job.number, failed)]
            return
        report = Report(step, metrics, job.worked_s + worked_s, checkpoint="virtual")
        reported = Reported(UNSTAMPED, job.number, report)
        yield began + worked_s, [reported, finished] if step == job.from_step + len(steps) else [reported]
