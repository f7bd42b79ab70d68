"""What happened, as frozen values: the study, its trials, and the events that made them.

A trial is one configuration with one number for life. A retry or a promotion is an event on it, so every count,
curve and model sees the trial once. Events are the truth; a Trial is what `archsearch.studies.history` folds from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from archsearch.spaces import Config, Space
from archsearch.spaces.domains import tupled
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.stopping_criteria import StoppingCriteria

Metrics = Mapping[str, float]
State = Literal["waiting", "running", "paused", "finished", "pruned", "failed"]
STARTED_WITH = "start"  # the proposer of a configuration that the study was given to start with
Blame = Literal["driver", "worker", "checkpoint"]


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What a study declares, as far as it outlives the spec file: enough to ask, judge and report."""

    name: str
    space: Space
    goals: tuple[Goal, ...]  # at least one
    budget: int | None  # reports of a full trial; None: a trial ends when its objective does
    seed: int
    strategy: str  # as shown, e.g. "TPE(startup_trials=10)"
    pruner: str
    outcome_constraints: tuple[OutcomeConstraint, ...] = ()
    start: tuple[Config, ...] = ()  # tried before what the strategy proposes
    repeats: int = 1  # seeds under which a promising configuration is trained

    @property
    def goal(self) -> Goal:
        """The first goal: the only one of most studies, and the one by which `History.best` is chosen."""
        return self.goals[0]

    @property
    def aim(self) -> str:
        """The goals and constraints in words: `maximize accuracy subject to parameters < 1e6`."""
        goals = ", ".join(map(str, self.goals))
        bounds = " and ".join(map(str, self.outcome_constraints))
        return f"{goals} subject to {bounds}" if bounds else goals

    def generator(self, number: int) -> np.random.Generator:
        """The random numbers that trial `number` is chosen with.

        A study that starts with configurations has others: the one that they come from may have had the same seed, and
        what it drew is known.
        """
        return np.random.default_rng([self.seed, number, *([len(self.start)] if self.start else [])])

    def completed(self, proposal: Proposal) -> Proposal:
        """The proposal with the study's budget, where it names none."""
        return replace(proposal, budget=self.budget) if proposal.budget is None else proposal

    @property
    def metrics(self) -> list[str]:
        """What every trial must report: the goals' metrics, and those of the outcome constraints."""
        wanted: tuple[Goal | OutcomeConstraint, ...] = (*self.goals, *self.outcome_constraints)
        return list(dict.fromkeys(each.metric for each in wanted))

    def to_json(self) -> dict[str, Any]:
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
    """A configuration to try.

    Args:
        config: The active parameters and their values.
        budget: After so many reports the trial ends, or pauses where this is less than the study's budget. None: the
            study's budget.
        proposer: The name of what chose the configuration; empty for the name of the study's strategy.
        reason: Why, in words, for the report.
        drawn_at_random: Whether no model or earlier trial had a part in the choice. The report compares the others with
            these, to say whether the search paid.
        state: JSON that the strategy keeps with the proposal, and finds again in the history.
    """

    config: Config
    budget: int | None = None
    proposer: str = ""
    reason: str = ""
    drawn_at_random: bool = False
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extension:
    """A paused trial that is to go on, to a larger budget.

    Args:
        trial: Its number.
        budget: After so many reports it ends, or pauses again; at most the study's budget.
        reason: Why, in words, for the report.
        state: JSON that the strategy keeps with it.
    """

    trial: int
    budget: int
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One yield of the objective. `step` counts from 1; `seconds` of work on the trial up to here.

    checkpoint: the name of the file with the state that the trial can go on from after this step; "" for none.
    """

    step: int
    metrics: Metrics
    seconds: float
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The objective ran to its end or to its budget."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The pruner stopped the trial."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The trial's own fault: its objective raised, or reported a value that is not a finite number."""

    error: str


Outcome = Finished | Pruned | Failed


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and what became of it. Times are seconds since the epoch.

    reports: of its first run, under its own seed. repeats: the reports of each further run, under other seeds; the
    last of them may go on while the trial has no outcome.
    """

    number: int
    proposal: Proposal
    state: State
    proposed_at: float
    reports: tuple[Report, ...] = ()
    outcome: Outcome | None = None
    attempt: int = 0  # how many times it was started
    from_step: int = 0  # where the latest attempt went on from
    workers_lost: int = 0  # how many attempts ended with a dead worker
    worker: str | None = None
    started_at: float | None = None  # of the latest attempt
    ended_at: float | None = None
    repeats: tuple[tuple[Report, ...], ...] = ()

    @property
    def config(self) -> Config:
        return self.proposal.config

    @property
    def step(self) -> int:
        """The last step that was reported; 0 before the first."""
        return self.reports[-1].step if self.reports else 0

    @property
    def run(self) -> tuple[Report, ...]:
        """The reports of the run that goes on, or went on last."""
        return self.repeats[-1] if self.repeats else self.reports

    @property
    def resumable(self) -> Report | None:
        """The last report with a checkpoint, which the next attempt goes on from; None: it begins anew."""
        return next((report for report in reversed(self.run) if report.checkpoint), None)

    @property
    def reason(self) -> str:
        """Why it was pruned or failed; empty otherwise."""
        match self.outcome:
            case Pruned(reason):
                return reason
            case Failed(error):
                return error
            case _:
                return ""

    def value(self, metric: str) -> float | None:
        """The metric as last reported, which is the trial's value; None before it was.

        Of a trial with repeats, the mean over its runs that are complete.
        """
        if not self.repeats:
            return _last(metric, self.reports)
        found = self.values(metric)
        return math.fsum(found) / len(found) if found else None

    def values(self, metric: str) -> list[float]:
        """The metric as last reported in the first run, and in each repeat that is complete."""
        complete = self.repeats if isinstance(self.outcome, Finished) else self.repeats[:-1]
        found = (_last(metric, reports) for reports in (self.reports, *complete))
        return [value for value in found if value is not None]


def _last(metric: str, reports: Sequence[Report]) -> float | None:
    return next((report.metrics[metric] for report in reversed(reports) if metric in report.metrics), None)


# Events. `at` is seconds since the epoch, by the driver's clock: workers' clocks may differ from it.


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A driver began to work on the study, with these settings.

    Attributes:
        at: Seconds since the epoch.
        stopping: What ends the study: totals of the study, not of the session.
        workers: Trials at a time.
        executor: The name of the executor, such as "ray".
        host: The name of the driver's machine.
        pid: The driver's process there.
    """

    at: float
    stopping: StoppingCriteria
    workers: int
    executor: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The driver left in good order."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """The strategy chose a configuration, having been shown the events up to number `seen`."""

    at: float
    trial: int
    proposal: Proposal
    seen: int


@dataclass(frozen=True, slots=True)
class Started:
    """The trial was handed to a worker; reports after `from_step` of earlier attempts no longer count."""

    at: float
    trial: int
    attempt: int
    worker: str
    from_step: int = 0


@dataclass(frozen=True, slots=True)
class Reported:
    at: float
    trial: int
    report: Report


@dataclass(frozen=True, slots=True)
class Paused:
    """The trial holds at its budget and gave its worker back."""

    at: float
    trial: int


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """The trial's run is complete and promising; it waits for another one under a further seed."""

    at: float
    trial: int


@dataclass(frozen=True, slots=True)
class Extended:
    """The strategy lets the trial go on, having been shown the events up to number `seen`."""

    at: float
    trial: int
    budget: int
    reason: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The attempt ended by the machine's fault; the trial waits to be started again."""

    at: float
    trial: int
    reason: str
    blame: Blame


@dataclass(frozen=True, slots=True)
class Ended:
    at: float
    trial: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Logged:
    """What the trial printed."""

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
