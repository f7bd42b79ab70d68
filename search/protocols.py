"""The interfaces of the search: Strategy, Pruner, Executor, Objective and Observer, and the values they exchange."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from archsearch.spaces import Config, Space, SpecError, repair
from archsearch.spaces.deduplication import sure_to_be_new, untried
from archsearch.studies.history import History
from archsearch.studies.records import Event, Extension, Metrics, Proposal, SessionStarted, StudyRecord, Trial

if TYPE_CHECKING:
    from archsearch.spaces.networks.costs import Costs

__all__ = [
    "UNSTAMPED",
    "Continue",
    "Executor",
    "Job",
    "Metrics",
    "Objective",
    "Observer",
    "Pruner",
    "Stop",
    "Strategy",
    "TrialContext",
    "TrialStopped",
    "Verdict",
]


def _settings_repr(part: object) -> str:
    settings = (f"{name}={value!r}" for name, value in getattr(part, "__dict__", {}).items() if name[0] != "_")
    return f"{type(part).__name__}({', '.join(settings)})"


class Strategy:
    """Chooses configurations, as a function of the history. The base of every strategy.

    A subclass implements `propose`, which chooses one configuration; everything around it is done here:

        class Annealing(Strategy):
            def propose(self, history, rng):
                space, best = history.study.space, history.best
                return space.sample(rng) if best is None else mutate(space, best.config, rng)

    A strategy that chooses several configurations jointly overrides `ask` instead.

    A strategy is stateless: its proposals depend only on its settings, the history and `rng`. It may keep a cache
    between two calls, but a new instance with the same history must make the same proposals, so that a study can be
    resumed and every decision replayed. To remember something, put it into `Proposal.state` and read it from the
    history. A strategy must not keep a random generator, clock, file or store.

    `archsearch.search.testing.strategies.StrategyContract` tests all of this.
    """

    __slots__ = ()

    needs_budget: ClassVar[bool] = False  # True: a study without a budget is refused

    def propose(self, history: History, rng: np.random.Generator) -> Proposal | Config | None:
        """Choose one configuration.

        A configuration that violates a constraint of the space is repaired. If it was tried before, `propose` is called
        again, up to 20 times, and then an untried configuration is used instead, as long as the space has one.

        Args:
            history: All trials so far, including waiting and running ones; trials proposed in the same call of `ask`
                are waiting.
            rng: The random numbers to use; seeded by the study's seed and the number of the trial.

        Returns:
            The configuration, or a `Proposal` with additional data to record; None if nothing is left to try.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement propose() or ask()")

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Propose at most `n` trials; by default, one after the other by `propose`.

        Args:
            history: All trials so far, including waiting and running ones.
            n: The number of free workers.
            rng: Seeded by the study's seed and the number of the first trial, `len(history.trials)`.

        Returns:
            The proposals. An empty list means "wait"; if no trial is running, it ends the study.
        """
        proposals: list[Proposal] = []
        for each in history.generators(n, rng):
            proposal = self._new(history.with_proposals(proposals), each)
            if proposal is None:
                break
            proposals.append(proposal)
        return proposals

    def promote(self, history: History, n: int) -> list[Extension]:
        """Choose at most `n` paused trials to go on. Called before each `ask`, which gets the slots that are left.

        Trials pause where a strategy proposes a budget below the study's. By default none goes on.
        """
        return []

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Check, before the study's store is made, that this strategy can serve it.

        Args:
            study: What the study declares.
            trials: Its total number of trials; None if another limit ends it.

        Raises:
            SpecError: It cannot; by default it always can.
        """

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """What of its settings does nothing in this study, in words; by default nothing is wrong.

        `archsearch check` and the start of a run show them.

        Args:
            study: What the study declares.
            trials: Its total number of trials; None if another limit ends it.
        """
        return []

    def __repr__(self) -> str:
        """The class and its public attributes; it is recorded in the store, and compared when a `Session` goes on."""
        return _settings_repr(self)

    def _new(self, history: History, rng: np.random.Generator) -> Proposal | None:
        """A legal proposal of a configuration that was not tried, as long as there is one; None if nothing is left."""
        space = history.study.space
        made: list[Proposal] = []

        def candidates() -> Iterator[Config]:
            while len(made) < _MAX_ATTEMPTS and (proposed := self.propose(history, rng)) is not None:
                proposal = proposed if isinstance(proposed, Proposal) else Proposal(proposed)
                if space.violated(proposal.config):
                    proposal = replace(proposal, config=repair(space, proposal.config, rng))
                made.append(replace(proposal, proposer=proposal.proposer or type(self).__name__.lower()))
                yield proposal.config

        drawn = candidates()
        first = next(drawn, None)
        if first is None:
            return None
        if sure_to_be_new(space, first):
            return made[0]
        config = untried(space, [trial.config for trial in history.trials], chain([first], drawn))
        found = next((proposal for proposal in made if proposal.config is config), made[0])
        return replace(found, config=config)


_MAX_ATTEMPTS = 21  # calls of `propose` before an untried configuration is used instead


@dataclass(frozen=True, slots=True)
class Continue:
    """The trial may go on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The trial should end here, as Pruned(reason)."""

    reason: str


Verdict = Continue | Stop


class Pruner:
    """Judges a trial at each of its reports, as a function of the history. The base of every pruner.

        class Threshold(Pruner):
            def judge(self, trial, history):
                loss = history.loss(trial)
                return Stop(f"loss {loss:.3g} is above 2") if loss is not None and loss > 2 else Continue()

    `archsearch.search.testing.pruners.PrunerContract` tests what the engine relies on.
    """

    __slots__ = ()

    def judge(self, trial: Trial, history: History) -> Verdict:
        """Say whether the trial goes on.

        Args:
            trial: The trial, whose last report has just come: `trial.reports[-1]`.
            history: All trials so far, this one included.

        Returns:
            `Continue()`, or `Stop(reason)`: the trial ends as pruned.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement judge()")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """What of its settings does nothing in this study, in words; as that of `Strategy`."""
        return []

    def __repr__(self) -> str:
        """The class and its public attributes; it is recorded in the store."""
        return _settings_repr(self)


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
        metric: The name under which to store a plain number, in a study with one metric; else None.
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
    metric: str | None = None

    @property
    def last_step(self) -> int | None:
        """The last report of the attempt; None if it runs until the objective ends."""
        return self.budget if self.until is None else self.until


class CheckpointWriter:
    """Saves the state of a trial; see `TrialContext.save`. This base class saves nothing."""

    @property
    def due(self) -> bool:
        """Would a state saved now be kept?"""
        return False

    def save(self, state: object) -> None:
        """Keep the state with the report that comes next."""


class TrialStopped(BaseException):
    """Raised by `trial.report` in an objective whose trial is over: pruned, out of budget, or its session has ended.

    Not an `Exception`, so that a training loop's `except Exception` does not swallow it. Let it pass through: the trial
    is recorded as what it is, and not as failed.
    """


class Reporter:
    """Receives the metrics of `trial.report`. This base class is for objectives that yield their metrics."""

    @property
    def stopped(self) -> bool:
        """Is the trial over?"""
        return False

    def report(self, metrics: Mapping[str, float] | float) -> bool:
        """Hand one report over, and wait for the decision. Returns whether the trial should go on."""
        raise SpecError("trial.report is for an objective that is a plain function; a generator yields its metrics")


@dataclass(frozen=True, slots=True)
class TrialContext:
    """What an objective is given: `def train(trial): ... trial.config["lr"] ... yield {"val_loss": loss}`.

    An objective either yields its metrics, or reports them with `trial.report`, or returns them once at its end.

    `save` belongs to the next report, and comes before it. What follows that report is done again when the trial goes
    on from there:

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

    Attributes:
        number: Of the trial, from 0.
        attempt: How many times the trial was started, this one included.
        config: The active parameters, a plain dict.
        budget: How many reports a full trial makes. None: as many as the objective likes.
        seed: From the study's seed and the trial's number.
        device: Where to train, as torch names it.
        log: Keeps a line with the trial, as `print` does.
        shared: What the function given as `Study(shared=...)` returned.
        restored: The state that was saved last, where the trial goes on because its worker died, or after a pause; None
            where it begins.
        checkpoint_writer: Keeps what `save` is given.
        reporter: Takes what `report` is given.
    """

    number: int
    attempt: int
    config: dict[str, Any]
    budget: int | None
    seed: int
    device: str = "cpu"
    log: Callable[[str], None] = field(default=print, repr=False)
    shared: Any = field(default=None, repr=False)
    restored: Any = field(default=None, repr=False)
    checkpoint_writer: CheckpointWriter = field(default_factory=CheckpointWriter, repr=False, compare=False)
    reporter: Reporter = field(default_factory=Reporter, repr=False, compare=False)

    @property
    def save_due(self) -> bool:
        """Would a state saved now be kept? So that none is put together in vain: see `Study(checkpoint_every=...)`."""
        return self.checkpoint_writer.due

    def save(self, state: object) -> None:
        """Keep the state with the report that comes next: call it before that report. Does nothing while none is due.

        Args:
            state: Whatever pickles, such as tensors, state_dict()s and plain values, with the states of the random
                generators in use, if the trial is to go on as though it had never stopped.

        Raises:
            SpecError: The state does not pickle.
        """
        self.checkpoint_writer.save(state)

    def report(self, metrics: Mapping[str, float] | float, *, raise_on_stop: bool = False) -> bool:
        """Report the metrics after a unit of budget, such as an epoch: for callbacks of Lightning, Keras and the like.

        Only for an objective that is a plain function, which may also return metrics at its end; they join its last
        report. The call waits until the pruner has decided. Any thread may call it.

        Args:
            metrics: Names and finite numbers; in a study with one metric, the number alone will do.
            raise_on_stop: Raise instead of returning False, where the training loop cannot be told to stop.

        Returns:
            Whether to go on. False: the trial is over, and the objective has half a minute to return.

        Raises:
            TrialStopped: The trial is over, and `raise_on_stop` was given or an earlier report returned False already.
            SpecError: The objective is a generator, which yields its metrics instead.
        """
        going = self.reporter.report(metrics)
        if raise_on_stop and not going:
            raise TrialStopped(f"trial {self.number} is over")
        return going

    @property
    def should_stop(self) -> bool:
        """Is the trial over? True once the pruner has stopped it, its budget is used up, or its session ends."""
        return self.reporter.stopped


class Objective(ABC):
    """Trains one trial, and yields its metrics after each unit of budget. A base for objectives with data of their own.

    A function will do where there is none; see `Study(objective=...)`. Only `__call__` must be written here, and every
    other method may be left out. An objective is sent to the workers, so it must pickle, or be made in a spec file.

    Attributes:
        space: The objective's own space, so that the study need not name one.
        needs_budget: True refuses a study without a budget.
        optional_metrics: Names that it would report too, if its argument `metrics` named them.
    """

    space: Space | None = None
    needs_budget: ClassVar[bool] = False
    optional_metrics: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def __call__(self, trial: TrialContext, /) -> Iterator[Metrics | float] | Metrics | float | None:
        """Train one trial.

        Returns:
            An iterator of metrics, as a generator function makes one; or, once it is done, the metrics, unless it has
            reported them with `trial.report`. In a study with one metric, a plain number will do.
        """

    def prepare(self) -> Any:
        """Load and check the data. Called once by the driver, before any worker starts.

        Returns:
            The data, `shared` below. It is sent to each worker once; on Ray its numpy arrays are mapped, not copied.
        """
        return None

    def attach(self, shared: Any) -> None:
        """Take the data for all coming trials in this process. Called once on each worker; arrays are read-only."""

    def release(self) -> None:
        """Remove what `prepare` has left on disk. Called by the driver when the session ends, in whatever way."""

    def known_metrics(self) -> Sequence[str] | None:
        """The names that it may report, as far as is known before `prepare`. None: not known.

        A study about another metric is refused where it is declared, before any data is read.
        """
        return None

    def peek_metrics(self) -> Sequence[str] | None:
        """The names that it may report, as far as a small part of the data tells. By default, `known_metrics()`.

        Called by the driver right before `prepare`: a study about another metric is refused before all data is read.
        """
        return self.known_metrics()

    def metrics_of(self, shared: Any) -> Sequence[str] | None:
        """The names that it reports, so that a misspelt goal is found before the first trial. None: not known."""
        return None

    def check_budget(self, budget: int | None, shared: Any) -> None:
        """Raise SpecError for a budget that trials cannot have. Called before any worker starts."""

    def fingerprint_of(self, shared: Any) -> str | None:
        """A digest of the data, kept in the store: a resume on other data is refused. None: not known."""
        return None

    def summary_of(self, shared: Any) -> str | None:
        """One line on the data and how it was cleaned, for `archsearch check`."""
        return None

    def rehearse(self, config: Config, shared: Any) -> None:
        """Build what the config says, try it on a few samples, and raise what its trial would.

        Called for a few configs before any worker starts; what raises is told as a warning.
        """

    def costs(self, config: Config, shared: Any) -> Costs | None:
        """The `parameters`, `flops` and `memory_bytes` of a trial, found without training. None: it cannot tell.

        Raises for a config that cannot be built. `archsearch check` asks about a thousand configs.
        """
        return None

    def stack_key(self, config: Config) -> Hashable | None:
        """Trials with equal keys, budgets and devices can train as one program. None: the trial trains alone."""
        return None

    def run_stack(self, trials: Sequence[TrialContext], /) -> Iterator[Sequence[Any]]:
        """Train trials whose `stack_key` is equal as one program: for each step, the metrics of each trial."""
        raise NotImplementedError(f"{type(self).__name__} trains each trial alone")


class Observer:
    """Receives the events of a study after they are committed: `Study(observers=[MyObserver()])`.

    Override the methods that you need. They are called in order, in the driver's process, in a separate thread for each
    observer, so an observer that is slow or raises an exception does not affect the study. Its first exception is shown
    as a warning, and it still receives the following events. When the session ends, observers have five seconds to
    process the remaining events; the rest is dropped, with a warning. Each Ray worker executes the spec file too, so
    open files in these methods, not in `__init__`.

    `history` is the study after all events that were committed together with the event.
    """

    def on_event(self, event: Event, history: History) -> None:
        """Anything that happened; the classes are in `archsearch.studies.records`. Comes before the methods below."""

    def on_trial_end(self, trial: Trial, history: History) -> None:
        """A trial has finished, was pruned or has failed: `trial.state` says which. A paused trial has not ended."""

    def on_new_best(self, trial: Trial, history: History) -> None:
        """The trial, which has just finished, is now `history.best`."""

    def on_study_end(self, history: History) -> None:
        """The session is over, for the reason in `history.session_ended.reason`: it is done, or was interrupted."""


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
