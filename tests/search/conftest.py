"""A study's parts, small enough to run in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from archsearch import Choice, Float, Int, Never, Space, When
from archsearch.search.engine.engine import Engine
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Executor, Job
from archsearch.search.strategies.random import Random
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted, StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria

SPACE = Space(
    lr=Float(1e-4, 1e-1, log=True),
    layers=Int(1, 3),
    width=When("layers >= 2", Choice(16, 32, 64)),
)


def steps(trial: Any) -> Iterator[dict[str, float]]:
    """An objective of `budget` reports that depends on the config alone."""
    config = trial.config
    for step in range(1, (trial.budget or 3) + 1):
        yield {"loss": abs(config["lr"] - 0.01) + config["layers"] / step}


class Slots(Executor):
    """An executor of n slots in this process: reports arrive in turn, so trials overlap without Ray."""

    def __init__(self, objective: Any, capacity: int) -> None:
        self.capacity = capacity
        self._workers = [Worker(objective, "cpu", interruptible=True) for _ in range(capacity)]
        self._trials: list[int | None] = [None] * capacity
        self._orders: list[Job | None] = [None] * capacity
        self._stops = [False] * capacity
        self._turn = 0

    def submit(self, job: Job) -> str:
        index = self._trials.index(None)
        self._trials[index], self._orders[index] = job.number, job
        return f"slot-{index}"

    def stop(self, trial: int) -> None:
        index = self._trials.index(trial)
        self._trials[index], self._orders[index], self._stops[index] = None, None, True

    def wait(self, timeout_s: float | None) -> list[Event]:
        for _ in range(self.capacity):
            self._turn = (self._turn + 1) % self.capacity
            index = self._turn
            if self._trials[index] is None and not self._stops[index]:
                continue
            events = self._workers[index].advance(self._orders[index], self._stops[index])
            self._orders[index], self._stops[index] = None, False
            if any(type(event).__name__ in ("Ended", "Lost") for event in events):
                self._trials[index] = None
            return events
        return []

    def close(self) -> None:
        for worker in self._workers:
            worker.advance(None, stop=True)


@pytest.fixture
def record() -> StudyRecord:
    return StudyRecord(
        "small", SPACE, (Goal("loss", maximize=False),), budget=3, seed=7, strategy="Random()", pruner="Never()"
    )


class Session:
    """Runs an engine and keeps what it committed, as a store would."""

    def __init__(self, record: StudyRecord) -> None:
        self.record = record
        self.batches: list[list[Event]] = []

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]

    @property
    def history(self) -> History:
        return History.from_events(self.record, self.events)

    def run(
        self,
        objective: Any = steps,
        *,
        executor: Any = None,
        capacity: int = 1,
        trials: int | None = 6,
        timeout_s: float | None = None,
        strategy: Any = None,
        pruner: Any = None,
        retries: int = 2,
        clock: Callable[[], float] | None = None,
        ahead: bool = False,
        gpus: float = 0.0,
        trial_timeout_s: float | None = None,
        **limits: Any,
    ) -> History:
        clock = clock or (lambda: 0.0)
        opened = SessionStarted(
            clock(), StoppingCriteria(trials=trials, timeout_s=timeout_s, **limits), capacity, "test", "host", 1
        )
        executor = executor or Slots(objective, capacity)
        engine = Engine(
            self.history,
            opened,
            strategy=strategy or Random(),
            pruner=pruner or Never(),
            executor=executor,
            commit=lambda history, events: self.batches.append(list(events)),
            retries=retries,
            clock=clock,
            ahead=ahead,
            gpus=gpus,
            trial_timeout_s=trial_timeout_s,
        )
        try:
            return engine.run()
        finally:
            executor.close()


@pytest.fixture
def session(record: StudyRecord) -> Session:
    return Session(record)
