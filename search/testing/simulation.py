"""Simulation of a study without an engine: a strategy and a pruner on a synthetic objective.

Simulations are deterministic: equal arguments give equal histories. With `faults`, some trials, determined by their
number, fail, are pruned, or lose their worker and restart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archsearch.search.protocols import Pruner, Stop, Strategy
from archsearch.spaces.constraints import constraint, forbidden
from archsearch.spaces.domains import Choice, Float, Int
from archsearch.spaces.flattening import Repeat, When
from archsearch.spaces.space import Config, Space
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Extended,
    Failed,
    Finished,
    Lost,
    Metrics,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

Curve = Callable[[Config, int], float | Metrics]
"""An objective: from a configuration and a step to the loss of the only goal, or to the losses and other metrics.

A step may lack some of the losses.
"""

SPACES = {
    "mixed": Space(
        rate=Float(1e-5, 1e-1, log=True),
        layers=Int(1, 4),
        units=Choice(32, 64, 128, 256, ordered=True),
        kernel=Choice((3, 3), (5, 5), None),
        dropout=Float(0.0, 0.5, step=0.1),
        width=Int(8, 512, log=True),
        seedless=True,
    ),
    "conditional": Space(
        optimizer=Choice("sgd", "adam", "rmsprop"),
        rate=Float(1e-5, 1e-1, log=True),
        momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
        layers=Int(1, 3),
        units_2=When("layers >= 2", Choice(32, 64, 128)),
        units_3=When("layers >= 3", Choice(32, 64, 128)),
    ),
    "constrained": Space(
        # More than 19 of 20 random draws violate one of these.
        constraint("first + second + third <= 0.9"),
        constraint("units_1 >= 2 * units_2"),
        forbidden("optimizer == 'sgd' and rate > 0.003"),
        first=Float(0.0, 1.0),
        second=Float(0.0, 1.0),
        third=Float(0.0, 1.0),
        units=Repeat(Choice(32, 64, 128, 256, ordered=True), times=2),
        optimizer=Choice("sgd", "adam"),
        rate=Float(1e-5, 1e-1, log=True),
        momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    ),
    "one value": Space(depth=Int(3, 3), activation="relu"),
    "two values": Space(depth=Int(1, 2)),
}


def study_of(
    space: Space,
    *,
    maximize: bool = False,
    budget: int | None = 9,
    seed: int = 0,
    goals: Sequence[str] = ("loss",),
    outcome_constraints: Sequence[str] = (),
) -> StudyRecord:
    """A study record with these goals; by default the metric "loss" is minimized with a budget of 9."""
    return StudyRecord(
        "simulated",
        space,
        tuple(Goal(metric, maximize) for metric in goals),
        budget,
        seed,
        strategy="",
        pruner="",
        outcome_constraints=tuple(map(OutcomeConstraint.from_text, outcome_constraints)),
    )


def bowl(config: Config, step: int) -> float:
    """A loss for any space, with its optimum in the interior; it decreases with each step."""
    loss = 0.0
    for name, value in config.items():
        weight = 1 + sum(map(ord, name)) % 3
        if isinstance(value, bool) or not isinstance(value, int | float):
            loss += weight * (sum(map(ord, repr(value))) % 5) / 10
        else:
            loss += weight * (math.log10(abs(value) + 1e-3) - 1) ** 2 / 10
    return loss + 1 / step


def bowls(config: Config, step: int) -> Metrics:
    """Metrics for any space: the loss of `bowl`, a size that conflicts with it, and a cost (1 or more for some)."""
    numbers = [
        abs(value) if isinstance(value, int | float) else sum(map(ord, repr(value))) % 7 for value in config.values()
    ]
    size = sum(math.log10(number + 1e-3) + 3 for number in numbers)
    return {"loss": bowl(config, step), "size": size, "cost": numbers[-1] % 2}


@dataclass(frozen=True, slots=True)
class RecordedAsk:
    """The arguments of a call of `ask`, and the proposals that it returned."""

    history: History
    n: int
    seed: tuple[int, int]
    proposals: list[Proposal]

    def replay(self, strategy: Strategy) -> list[Proposal]:
        """Call `ask` of this strategy with the same arguments."""
        return strategy.ask(self.history, self.n, np.random.default_rng(self.seed))


def simulate(
    strategy: Strategy,
    study: StudyRecord,
    curve: Curve = bowl,
    *,
    trials: int,
    workers: int = 3,
    pruner: Pruner | None = None,
    faults: bool = False,
) -> Iterator[RecordedAsk]:
    """Simulate a study and yield every call of `ask`; the last one yielded asks for no proposals.

    As in a real study, a strategy that proposes nothing while no trial is running ends the simulation.

    Args:
        strategy: The strategy to run.
        study: The study's declaration.
        curve: The objective.
        trials: The number of trials.
        workers: The number of trials that run in parallel.
        pruner: A pruner; None prunes nothing.
        faults: Whether trials are disturbed: of every eight, one fails at once, one fails late, and one loses its
            worker and restarts; of every five, one is pruned halfway; and some wait before they start.
    """
    history = History(study).apply(
        SessionStarted(0.0, StoppingCriteria(trials=trials), workers, "simulated", host="", pid=0)
    )
    at = 0.0
    while True:
        busy = len(history.open_trials("waiting", "running"))
        history = _promote(strategy, history, workers - busy, at)
        busy = len(history.open_trials("waiting", "running"))
        free = min(workers - busy, trials - len(history.trials))
        if free > 0:
            asked = _ask(strategy, history, free)
            yield asked
            for proposal in map(study.completed, asked.proposals):
                history = history.apply(Proposed(at, len(history.trials), proposal, history.seq))
        if not history.open_trials("waiting", "running"):
            break
        # One event of every open trial. Trials that wait or restart are overtaken by others.
        for trial in history.open_trials("waiting", "running"):
            at += 1
            history = _advance(history, trial.number, at, curve, pruner, faults)
    yield replace(_ask(strategy, history, 0), proposals=[])


def simulated_history(
    strategy: Strategy, study: StudyRecord, curve: Curve = bowl, *, trials: int, workers: int = 1
) -> History:
    """The history of a complete simulation without faults."""
    *_, last = simulate(strategy, study, curve, trials=trials, workers=workers)
    return last.history


def _ask(strategy: Strategy, history: History, n: int) -> RecordedAsk:
    seed = (history.study.seed, len(history.trials))
    proposals = strategy.ask(history, n, np.random.default_rng(seed)) if n else []
    return RecordedAsk(history, n, seed, proposals)


def _promote(strategy: Strategy, history: History, free: int, at: float) -> History:
    """Apply the promotions of the strategy."""
    extensions = strategy.promote(history, free) if free > 0 else []
    for each in extensions:
        history = history.apply(Extended(at, each.trial, each.budget, each.reason, each.state, history.seq))
    return history


def _advance(history: History, number: int, at: float, curve: Curve, pruner: Pruner | None, faults: bool) -> History:
    trial = history.trials[number]
    full = history.study.budget or 3
    budget = trial.proposal.budget or full
    if trial.state == "waiting":
        if faults and number % 4 == 3 and int(at) % 2:
            return history  # not started yet
        from_step = 0 if trial.workers_lost else trial.step  # a paused trial continues, a lost one restarts
        return history.apply(Started(at, number, trial.attempt + 1, f"worker-{number % 3}", from_step))
    if faults and number % 8 == 2:
        return history.apply(Ended(at, number, Failed("raised at once")))
    if faults and number % 8 == 5 and trial.step == 1 and trial.attempt == 1:
        return history.apply(Lost(at, number, "killed", "worker"))
    step = trial.step + 1
    report = Report(step, _metrics(history.study, curve(trial.config, step)), float(step))
    history = history.apply(Reported(at, number, report))
    if faults and number % 8 == 7 and step == 2:
        return history.apply(Ended(at, number, Failed("raised late")))
    if faults and number % 5 == 1 and 2 * step >= budget:
        return history.apply(Ended(at, number, Pruned("halfway")))
    if pruner is not None and isinstance(verdict := pruner.judge(history.trials[number], history), Stop):
        return history.apply(Ended(at, number, Pruned(verdict.reason)))
    if step < budget:
        return history
    return history.apply(Paused(at, number) if budget < full else Ended(at, number, Finished()))


def _metrics(study: StudyRecord, found: float | Metrics) -> Metrics:
    losses = found if isinstance(found, Mapping) else {study.goal.metric: found}
    return {**losses, **{goal.metric: goal.loss(losses[goal.metric]) for goal in study.goals if goal.metric in losses}}
