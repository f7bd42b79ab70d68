"""The records of a study as frozen values: its declaration, its trials and its events.

A trial is one configuration, and keeps its number. A retry or a promotion is an event of the same trial, so counts,
curves and models see each trial once. Only events are stored; `archsearch.studies.history` computes trials from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from archsearch.spaces import Config, Space
from archsearch.spaces.domains import tupled
from archsearch.studies.formatting import count, number
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.read_only import ReadOnlyDict
from archsearch.studies.stopping_criteria import StoppingCriteria

Metrics = Mapping[str, float]
State = Literal["waiting", "running", "paused", "finished", "pruned", "failed"]
STARTED_WITH = "start"  # the proposer of the configurations in `StudyRecord.start`
Blame = Literal["driver", "worker", "checkpoint"]


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """The declaration of a study as its store keeps it: what is needed to propose, compare and report trials.

    Attributes:
        name: The name of the study.
        space: The search space.
        goals: What to optimize; at least one goal.
        budget: The number of reports of a full trial; None if a trial ends when its objective returns.
        seed: The seed of all random choices.
        strategy: The strategy as text, such as "TPE(startup_trials=10)".
        pruner: The pruner as text.
        outcome_constraints: Bounds on metrics that a trial must satisfy to be the best.
        start: Configurations to evaluate before those of the strategy.
        repeats: The number of seeds under which a promising configuration is trained.
    """

    name: str
    space: Space
    goals: tuple[Goal, ...]
    budget: int | None
    seed: int
    strategy: str
    pruner: str
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    start: tuple[Config, ...] = ()
    repeats: int = 1

    @property
    def goal(self) -> Goal:
        """The first goal, by which `History.best` is chosen. Most studies have one goal only."""
        return self.goals[0]

    @property
    def aim(self) -> str:
        """The goals and constraints as text: `maximize accuracy subject to parameters < 1e6`."""
        goals = ", ".join(map(str, self.goals))
        bounds = " and ".join(map(str, self.outcome_constraints))
        return f"{goals} subject to {bounds}" if bounds else goals

    def generator(self, number: int) -> np.random.Generator:
        """The random generator that the configuration of trial `number` is chosen with.

        A study with `start` configurations uses other random numbers than one without: the configurations may come
        from an earlier study with the same seed, whose random draws would be repeated otherwise.
        """
        return np.random.default_rng([self.seed, number, *([len(self.start)] if self.start else [])])

    def completed(self, proposal: Proposal) -> Proposal:
        """The proposal, with the study's budget if it has none of its own."""
        return replace(proposal, budget=self.budget) if proposal.budget is None else proposal

    @property
    def metrics(self) -> list[str]:
        """The metrics that every trial must report: those of the goals and of the outcome constraints."""
        required: tuple[Goal | OutcomeConstraint, ...] = (*self.goals, *self.outcome_constraints)
        return list(dict.fromkeys(each.metric for each in required))

    def changes_to(self, now: StudyRecord) -> list[str]:
        """What another declaration changes, in words; empty if it declares the same study. Names are not compared."""
        changes = [str(change) for change in self.space.diff(now.space)]
        for name in ("aim", "budget", "seed", "repeats", "start", "strategy", "pruner"):
            before, after = getattr(self, name), getattr(now, name)
            if before != after:
                changes.append(f"its {name} is {after}, and was {before}")
        return changes

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data; the inverse of `from_json`."""
        return {
            "name": self.name,
            "space": self.space.to_json(),
            "goals": [{"metric": goal.metric, "maximize": goal.maximize} for goal in self.goals],
            "outcome_constraints": [str(each) for each in self.outcome_constraints],
            "budget": self.budget,
            "seed": self.seed,
            "strategy": self.strategy,
            "pruner": self.pruner,
            "start": [dict(config) for config in self.start],
            "repeats": self.repeats,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> StudyRecord:
        """The record from the data that `to_json` returned."""
        return cls(
            name=body["name"],
            space=Space.from_json(body["space"]),
            goals=tuple(Goal(goal["metric"], goal["maximize"]) for goal in body["goals"]),
            outcome_constraints=tuple(map(OutcomeConstraint.from_text, body["outcome_constraints"])),
            budget=body["budget"],
            seed=body["seed"],
            strategy=body["strategy"],
            pruner=body["pruner"],
            start=tuple({name: tupled(value) for name, value in config.items()} for config in body["start"]),
            repeats=body["repeats"],
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to evaluate.

    Args:
        config: The values of the active parameters.
        budget: The number of reports after which the trial ends, or pauses if this is less than the study's budget.
            None is the study's budget.
        proposer: The name of the component that chose the configuration. Empty is the name of the study's strategy.
        reason: Why it was chosen, as text for the report.
        drawn_at_random: Whether it was chosen without a model and without regard to earlier trials. The report
            compares these trials with the others to show whether the search beats random search.
        state: JSON data of the strategy, stored with the proposal and available in the history.
    """

    config: Config
    budget: int | None = None
    proposer: str = ""
    reason: str = ""
    drawn_at_random: bool = False
    state: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.config) is not ReadOnlyDict:
            object.__setattr__(self, "config", ReadOnlyDict(self.config))


@dataclass(frozen=True, slots=True)
class Extension:
    """The decision to continue a paused trial up to a larger budget.

    Args:
        trial: The number of the trial.
        budget: The number of reports after which it ends or pauses again; at most the study's budget.
        reason: Why it was chosen, as text for the report.
        state: JSON data of the strategy, stored with the event.
    """

    trial: int
    budget: int
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The metrics that a trial reported at one step.

    Attributes:
        step: The step, from 1.
        metrics: The metrics and their values.
        seconds: The time spent on the trial up to this step.
        checkpoint: The name of the file from which the trial can resume after this step; empty if there is none.
    """

    step: int
    metrics: Metrics
    seconds: float
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if type(self.metrics) is not ReadOnlyDict:
            object.__setattr__(self, "metrics", ReadOnlyDict(self.metrics))


@dataclass(frozen=True, slots=True)
class Finished:
    """The trial is complete: its objective returned, or its budget is used up."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruner stopped the trial.

    Attributes:
        reason: The pruner's reason, as text.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The trial failed: its objective raised an exception, or reported a value that is not a finite number.

    Attributes:
        error: The error message.
    """

    error: str


Outcome = Finished | Pruned | Failed


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and its results.

    Attributes:
        number: The number of the trial, from 0 in the order of the proposals.
        proposal: The configuration and how it was chosen.
        state: The state after the last event.
        proposed_at: When it was proposed, in seconds since the epoch.
        reports: The reports of its first run, under its own seed.
        outcome: How it ended; None if it has not ended.
        attempt: The number of times that it was started.
        from_step: The step that the latest attempt resumed from; 0 if it started from scratch.
        workers_lost: The number of attempts that ended because the worker died.
        worker: The name of the worker of the latest attempt; None before the first attempt.
        started_at: When the latest attempt started, in seconds since the epoch.
        ended_at: When the latest attempt ended, in seconds since the epoch; None while it runs.
        repeats: The reports of each further run, under other seeds. If the trial has no outcome, the last run may be
            incomplete.
    """

    number: int
    proposal: Proposal
    state: State
    proposed_at: float
    reports: tuple[Report, ...] = ()
    outcome: Outcome | None = None
    attempt: int = 0
    from_step: int = 0
    workers_lost: int = 0
    worker: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    repeats: tuple[tuple[Report, ...], ...] = ()

    @property
    def config(self) -> Config:
        """The values of the active parameters."""
        return self.proposal.config

    @property
    def metrics(self) -> dict[str, float]:
        """The last reported value of each metric, by its name; see `value` for trials with repeats."""
        names = dict.fromkeys(name for report in self.reports for name in report.metrics)
        values = ((name, self.value(name)) for name in names)
        return {name: value for name, value in values if value is not None}

    @property
    def step(self) -> int:
        """The last reported step of the first run; 0 before the first report."""
        return self.reports[-1].step if self.reports else 0

    @property
    def run(self) -> tuple[Report, ...]:
        """The reports of the current run, or of the last one."""
        return self.repeats[-1] if self.repeats else self.reports

    @property
    def resumable(self) -> Report | None:
        """The last report with a checkpoint, from which the next attempt resumes; None if it starts from scratch."""
        return next((report for report in reversed(self.run) if report.checkpoint), None)

    @property
    def reason(self) -> str:
        """Why the trial was pruned or failed; otherwise empty."""
        match self.outcome:
            case Pruned(reason):
                return reason
            case Failed(error):
                return error
            case _:
                return ""

    def value(self, metric: str) -> float | None:
        """The trial's value of a metric: its last reported value.

        Args:
            metric: The name of the metric.

        Returns:
            The value; for a trial with repeats, the mean over its complete runs. None if it was not reported.
        """
        if not self.repeats:
            return _last(metric, self.reports)
        found = self.values(metric)
        return math.fsum(found) / len(found) if found else None

    def values(self, metric: str) -> list[float]:
        """The last reported values of a metric in the first run and in each complete repeat."""
        complete = self.repeats if isinstance(self.outcome, Finished) else self.repeats[:-1]
        found = (_last(metric, reports) for reports in (self.reports, *complete))
        return [value for value in found if value is not None]

    def __repr__(self) -> str:
        """Short, without the reports: `<Trial 7 finished: {'lr': 0.01}, val_loss 0.31 after 20 steps>`."""
        metrics = ", ".join(f"{name} {number(value)}" for name, value in self.metrics.items())
        results = f", {metrics} after {count(self.step, 'step')}" if metrics else ""
        return f"<Trial {self.number} {self.state}: {dict(self.config)}{results}>"


def _last(metric: str, reports: Sequence[Report]) -> float | None:
    return next((report.metrics[metric] for report in reversed(reports) if metric in report.metrics), None)


# Events. `at` is in seconds since the epoch, by the clock of the driver; the clocks of workers may differ.


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A driver started a session with these settings.

    Attributes:
        at: The time, in seconds since the epoch.
        stopping: The limits of the study, as totals over all of its sessions.
        workers: The number of trials that run at the same time.
        executor: The name of the executor, such as "ray".
        host: The host name of the driver's machine.
        pid: The process ID of the driver.
    """

    at: float
    stopping: StoppingCriteria
    workers: int
    executor: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The driver ended the session regularly. A killed session has no such event.

    Attributes:
        at: The time, in seconds since the epoch.
        reason: Why it ended, as text.
    """

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """The strategy proposed a configuration.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the new trial.
        proposal: The configuration and how it was chosen.
        seen: The number of events in the history that the strategy was given.
    """

    at: float
    trial: int
    proposal: Proposal
    seen: int


@dataclass(frozen=True, slots=True)
class Started:
    """An attempt at the trial started on a worker.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        attempt: The number of the attempt, from 1.
        worker: The name of the worker.
        from_step: The step that it resumes from. Later reports of earlier attempts are discarded.
    """

    at: float
    trial: int
    attempt: int
    worker: str
    from_step: int = 0


@dataclass(frozen=True, slots=True)
class Reported:
    """The trial reported metrics.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        report: The step and its metrics.
    """

    at: float
    trial: int
    report: Report


@dataclass(frozen=True, slots=True)
class Paused:
    """The trial reached its budget, which is less than the study's, and released its worker.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
    """

    at: float
    trial: int


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """A run of a promising trial is complete; the trial waits for its next run, under another seed.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
    """

    at: float
    trial: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The strategy continues a paused trial.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        budget: The new budget, as a number of reports.
        reason: Why it was chosen, as text.
        state: JSON data of the strategy.
        seen: The number of events in the history that the strategy was given.
    """

    at: float
    trial: int
    budget: int
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """An attempt was lost through no fault of the trial, which waits to be started again.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        reason: What happened, as text.
        blame: What was lost: the driver, the worker, or the checkpoint to resume from.
    """

    at: float
    trial: int
    reason: str
    blame: Blame


@dataclass(frozen=True, slots=True)
class Ended:
    """The trial ended.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        outcome: How it ended.
    """

    at: float
    trial: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Logged:
    """The trial printed text.

    Attributes:
        at: The time, in seconds since the epoch.
        trial: The number of the trial.
        text: A part of its output.
    """

    at: float
    trial: int
    text: str


Event = (
    SessionStarted
    | SessionEnded
    | Proposed
    | Started
    | Reported
    | Paused
    | Extended
    | RunCompleted
    | Lost
    | Ended
    | Logged
)
