"""Every seam of the search on one page: Strategy, Pruner, Executor, Objective, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from archsearch.spaces import Config
from archsearch.studies.history import History
from archsearch.studies.records import Event, Extension, Metrics, Proposal, SessionStarted, Trial

__all__ = [
    "UNSTAMPED",
    "Continue",
    "Executor",
    "Job",
    "Metrics",
    "Objective",
    "Promoting",
    "Pruner",
    "Stop",
    "Strategy",
    "TrialContext",
    "Verdict",
]


class Strategy(Protocol):
    """Chooses configurations, as a function of the history.

    A fresh instance given the history answers like one that was told trial by trial: `tell` may only warm a cache.
    Strategies hold no generator, clock, file or store; randomness is the argument `rng`.
    """

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """At most `n` proposals, aware of trials that still run. An empty list means "wait".

        The first will be trial number `len(history.trials)`, and the engine's rng is seeded by the study's seed and
        that number. An empty list while nothing runs ends the study.
        """
        ...

    def tell(self, trial: Trial) -> None:
        """A trial ended. Optional work ahead of the next `ask`; must not change its answer."""
        ...


class Promoting(Strategy, Protocol):
    """A strategy that proposes budgets below the study's: such trials pause there, and it may let them go on.

    Any strategy may also have `check_study(study, trials)`, which raises SpecError for a study (a StudyRecord) that it
    cannot serve, and `needs_budget`, which refuses one without a budget: both before there is a store.
    """

    def promote(self, history: History, n: int) -> list[Extension]:
        """At most `n` paused trials to go on. Called before each `ask`, which gets the slots that are left."""
        ...


@dataclass(frozen=True, slots=True)
class Continue:
    """The trial may go on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The trial should end here, as Pruned(reason)."""

    reason: str


Verdict = Continue | Stop


class Pruner(Protocol):
    """Judges a trial at each of its reports, as a function of the history."""

    def judge(self, trial: Trial, history: History) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at one trial, as it is sent to a worker.

    budget: reports of a full trial. until: after so many the worker is done with it; None: after the budget.
    checkpoint: of the step `from_step`, after which the attempt goes on; "" begins anew. worked_s: seconds of work that
    lie in those steps.
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

    @property
    def last_step(self) -> int | None:
        """After this report the worker is done; None: when the objective ends."""
        return self.budget if self.until is None else self.until


class Keeper(Protocol):
    """Keeps the state of a trial; see `TrialContext.save`."""

    @property
    def due(self) -> bool: ...

    def save(self, state: object) -> None: ...


class Nobody:
    """Keeps nothing."""

    due = False

    def save(self, state: object) -> None:
        """Does nothing."""


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What an objective is given: `def train(trial): ... trial.config["lr"] ... yield {"val_loss": loss}`.

    config: the active parameters, a plain dict. budget: how many reports a full trial makes (None: as many as the
    objective likes). seed: from the study's seed and the trial's number. device: where to train, as torch names it.
    shared: what the function given as `Study(shared=...)` returned. restored: the last state that was saved, where the
    trial goes on because its worker died, or after a pause; None where it begins. `save` comes before the `yield` of
    the step that it belongs to, and what follows that report is to be done again:

        start = 0
        if trial.restored:
            start = trial.restored["epoch"]
            model.load_state_dict(trial.restored["model"])
            optimizer.load_state_dict(trial.restored["optimizer"])
        for epoch in range(start, trial.budget):
            ...
            if trial.save_due:
                trial.save({"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
            yield {"val_loss": loss}
    """

    number: int
    attempt: int
    config: dict[str, Any]
    budget: int | None
    seed: int
    device: str = "cpu"
    log: Callable[[str], None] = field(default=print, repr=False)  # kept with the trial, as everything it prints
    shared: Any = field(default=None, repr=False)
    restored: Any = field(default=None, repr=False)
    keeper: Keeper = field(default_factory=Nobody, repr=False, compare=False)

    @property
    def save_due(self) -> bool:
        """Would a state saved now be kept? So that none is put together in vain: see `Study(checkpoint_every=...)`."""
        return self.keeper.due

    def save(self, state: object) -> None:
        """Keep the state with the report that comes next: call it before that `yield`. Does nothing while none is due.

        state: whatever pickles, such as tensors, state_dict()s and plain values, with the states of the random
        generators in use, if the trial is to go on as though it had never stopped. Raises SpecError for what does not.
        """
        self.keeper.save(state)


class Objective(Protocol):
    """Trains one trial, and yields its metrics after each unit of budget. A generator function is one.

    So is a function that returns its metrics once. Objectives may also carry:

    - `space: Space`: their own space, so that the study need not name one
    - `needs_budget: bool`: True refuses a study without a budget
    - `prepare() -> shared`: called once by the driver, before any worker starts; checks and loads the data
    - `metrics_of(shared) -> Sequence[str]`: the names they yield; a misspelt goal is found before the first trial
    - `check_budget(budget, shared) -> None`: raises SpecError for a budget that they cannot have, before any worker
      starts
    - `optional_metrics: Sequence[str]`: names that they would yield too, if their argument `metrics` named them
    - `fingerprint_of(shared) -> str | None`: a digest of the data, kept in the store; a resume on other data is refused
    - `summary_of(shared) -> str | None`: one line on the data and how it was cleaned, for `archsearch check`
    - `rehearse(config, shared) -> None`: builds what the config says, tries it on a few samples, and raises what its
      trial would; `archsearch run` has some configs rehearsed before any worker starts
    - `costs(config, shared) -> Costs`: the `parameters`, `flops` and `memory_bytes` of a trial, found without training;
      raises for a config that cannot be built; `archsearch check` asks about a thousand
    - `attach(shared) -> None`: called once on each worker, with what `prepare` returned (arrays mapped, not copied)
    - `release() -> None`: called by the driver when the session ends, in whatever way; removes what `prepare` left on
      disk
    - `stack_key(config) -> Hashable | None` and `run_stack(trials) -> Iterator[Sequence[Metrics]]`: trials with
      equal keys train as one program; None trains alone
    """

    def __call__(self, trial: TrialContext, /) -> Iterator[Metrics] | Mapping[str, float]: ...


class Progress(Protocol):
    """Shows how a session goes. The engine knows nothing of a terminal: it hands over committed events."""

    def warn(self, text: str) -> None:
        """A warning about the study, before its first trial."""
        ...

    def show(self, history: History, events: Sequence[Event]) -> None:
        """A batch of events that was just committed, and the history after it."""
        ...


class Silent(AbstractContextManager["Silent"]):
    """Shows nothing."""

    def warn(self, text: str) -> None:
        """Not shown."""

    def show(self, history: History, events: Sequence[Event]) -> None:
        """Not shown."""

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


# Makes the progress of a session: from the store's path, the history so far, and the session that begins.
ShowProgress = Callable[[Path, History, SessionStarted], AbstractContextManager[Progress]]


UNSTAMPED = 0.0  # the `at` of an event that an executor returns: the engine stamps it, by the one clock of the driver


class Executor(Protocol):
    """Runs jobs on `capacity` slots.

    `submit` only takes the order and returns the worker's name: nothing is sent before `wait`, so that the engine
    can commit what it decided first. A stopped trial's slot is free at once; its worker is told with the next order.
    """

    @property
    def capacity(self) -> int: ...

    def submit(self, job: Job) -> str:
        """Take the order for a free slot; returns the name of the worker that will get it."""
        ...

    def wait(self, timeout_s: float | None) -> list[Event]:
        """Send what was ordered and return what happened: Reported, Ended, Lost, Logged. [] after `timeout_s`."""
        ...

    def stop(self, trial: int) -> None:
        """The trial's verdict is in: close its objective; it makes no more events but Logged."""
        ...

    def close(self) -> None:
        """End every worker that this executor started."""
        ...
