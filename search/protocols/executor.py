"""Executor: runs jobs on workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from archsearch.spaces import Config
from archsearch.studies.records import Event

UNSTAMPED = 0.0  # the `at` of an event that an executor returns: the engine stamps it, by the one clock of the driver


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one trial, as it is sent to a worker.

    Attributes:
        number: The number of the trial.
        attempt: The number of the attempt, from 1.
        config: The configuration.
        budget: The number of reports of a full trial; None if there is no limit.
        seed: The seed of this run.
        until: The number of reports after which the worker ends the attempt; None for the budget.
        from_step: The step after which the attempt continues; 0 for a new trial.
        checkpoint: The name of the checkpoint of that step; "" to start from the beginning.
        worked_s: The seconds of work up to that step.
        metrics: The metrics of the study's goals and outcome constraints, which must be finite.
    """

    number: int
    attempt: int
    config: Config
    budget: int | None
    seed: int
    until: int | None = None
    from_step: int = 0
    checkpoint: str = ""
    worked_s: float = 0.0
    metrics: tuple[str, ...] = ()

    @property
    def last_step(self) -> int | None:
        """The last report of the attempt; None if it runs until the objective ends."""
        return self.budget if self.until is None else self.until


class Executor(ABC):
    """Runs jobs on `capacity` slots. A base for executors.

    `submit` only queues the job and returns the worker's name. Nothing is sent before `wait`, so that the engine can
    commit its decisions first. The slot of a stopped trial is free immediately; its worker learns of it with the next
    job.

    Attributes:
        capacity: How many trials can run at a time.
    """

    capacity: int

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Queue a job for a free slot.

        Returns:
            The name of the worker that will get it.
        """

    @abstractmethod
    def wait(self, timeout_s: float | None) -> list[Event]:
        """Send the queued jobs, and wait for events, for at most `timeout_s` seconds (None: no limit).

        Returns:
            Reported, Ended, Lost and Logged, with `at=UNSTAMPED`; an empty list after the time-out.
        """

    @abstractmethod
    def stop(self, trial: int) -> None:
        """Stop a trial: close its objective. After this, it produces no events except Logged."""

    def close(self) -> None:
        """Shut down every worker that this executor started. Called once, however the session ends."""
