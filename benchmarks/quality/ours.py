"""Our strategies and pruners on a problem: the real engine, one worker in virtual time, and no store."""

from __future__ import annotations

from collections.abc import Iterator

from archsearch import Config
from archsearch.search.engine.engine import Engine
from archsearch.search.executors.simulated import SimulatedExecutor
from archsearch.search.protocols import Job, Metrics, Pruner, Strategy
from archsearch.search.pruners import pruner as pruner_named
from archsearch.search.strategies import strategy as strategy_named
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import SessionStarted, StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria
from quality.problem import Problem


def tried(problem: Problem, name: str, world: int, trials: int, equal_steps: bool) -> list[tuple[Config, float | None]]:
    """Each trial's config, and its loss if it finished. The study's seed is the world.

    name: of a strategy, or of a strategy and a pruner: "tpe+median". equal_steps: see `study`.
    """
    strategy, _, pruner = name.partition("+")
    history = study(problem, strategy_named(strategy), pruner_named(pruner or "none"), world, trials, equal_steps)
    return [(trial.config, history.loss(trial) if trial.state == "finished" else None) for trial in history.trials]


def study(
    problem: Problem, strategy: Strategy, pruner: Pruner, world: int, trials: int, equal_steps: bool = False
) -> History:
    """A whole study.

    equal_steps: not so many trials, but as many reports as so many full trials make; what is stopped or paused early
        makes room for others. Each report then takes one virtual second, and the study has a time limit.
    """

    def curve(job: Job) -> Iterator[tuple[float, Metrics]]:
        steps = problem.curve(job.config, world)
        return ((1.0 if equal_steps else seconds, {"loss": loss}) for seconds, loss in steps)

    executor = SimulatedExecutor(curve)
    goal = Goal("loss", maximize=False)
    record = StudyRecord(problem.name, problem.space, (goal,), problem.budget, world, repr(strategy), repr(pruner))
    stopping = StoppingCriteria(timeout_s=trials * problem.budget) if equal_steps else StoppingCriteria(trials=trials)
    return Engine(
        History(record),
        SessionStarted(executor.clock(), stopping, executor.capacity, "simulated", "", 0),
        strategy=strategy,
        pruner=pruner,
        executor=executor,
        commit=lambda history, events: None,
        retries=0,
        clock=executor.clock,
    ).run()
