"""Every seam of the search on one page: Strategy, Pruner, Executor, Objective, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from archsearch.spaces import Config, repair
from archsearch.spaces.deduplication import sure_to_be_new, untried
from archsearch.studies.history import History
from archsearch.studies.records import Event, Extension, Metrics, Proposal, SessionStarted, StudyRecord, Trial

__all__ = [
    "UNSTAMPED",
    "Continue",
    "Executor",
    "Job",
    "Metrics",
    "Objective",
    "Pruner",
    "Stop",
    "Strategy",
    "TrialContext",
    "Verdict",
]


class Strategy:
    """Chooses configurations, as a function of the history. The base of every strategy.

    A subclass implements `propose`, which chooses one configuration; everything around it is done here:

        class Annealing(Strategy):
            def propose(self, history, rng):
                space, best = history.study.space, history.best
                return space.sample(rng) if best is None else mutate(space, best.config, rng)

    A strategy that chooses several configurations jointly overrides `ask` instead.

    A strategy is a value: what it answers depends on its settings, the history and `rng` alone. It may keep a cache
    between two calls, but a fresh instance that is given the same history must answer the same; so a study can be
    resumed, and every decision can be replayed. What it has to remember, it puts into `Proposal.state`, and finds in
    the history. It holds no generator, clock, file or store.

    `archsearch.search.testing.strategies.StrategyContract` tests all of this.
    """

    __slots__ = ()

    needs_budget: ClassVar[bool] = False  # True: a study without a budget is refused

    def propose(self, history: History, rng: np.random.Generator) -> Proposal | Config | None:
        """Choose one configuration.

        A configuration that breaks a constraint of the space is repaired; one that was tried before is asked for anew,
        20 times, and after that replaced by one that was not, as long as the space has any.

        Args:
            history: All trials so far, with those that still wait or run; trials proposed in the same turn are among
                the waiting ones.
            rng: The random numbers to use; seeded by the study's seed and the number of the trial.

        Returns:
            The configuration, or a `Proposal` with what is to be recorded beside it; None if nothing is left to try.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement propose() or ask()")

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Propose at most `n` trials; by default, one after the other by `propose`.

        Args:
            history: All trials so far, with those that still wait or run.
            n: How many workers are free.
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
        settings = (f"{name}={value!r}" for name, value in getattr(self, "__dict__", {}).items() if name[0] != "_")
        return f"{type(self).__name__}({', '.join(settings)})"

    def _new(self, history: History, rng: np.random.Generator) -> Proposal | None:
        """A legal proposal of a configuration that was not tried, as long as there is one; None if nothing is left."""
        space = history.study.space
        made: list[Proposal] = []

        def candidates() -> Iterator[Config]:
            while len(made) < _PROPOSED_ANEW and (proposed := self.propose(history, rng)) is not None:
                proposal = proposed if isinstance(proposed, Proposal) else Proposal(proposed)
                if space.broken(proposal.config):
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


_PROPOSED_ANEW = 21  # times that `propose` is asked, until another configuration is looked for


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
        settings = (f"{name}={value!r}" for name, value in getattr(self, "__dict__", {}).items() if name[0] != "_")
        return f"{type(self).__name__}({', '.join(settings)})"


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
    - `known_metrics() -> Sequence[str]`: the names that they may yield, as far as is known before `prepare`; another
      goal is refused where the study is declared
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
