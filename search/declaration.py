"""Declaration: the fields of a study, checked when it is constructed."""

from __future__ import annotations

import contextvars
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsearch.search.adapters.functions import FunctionObjective
from archsearch.search.engine.hooks import call_hook
from archsearch.search.executors import EXECUTORS
from archsearch.search.protocols import Executor, Objective, Observer, Pruner, Strategy
from archsearch.search.pruners import pruner
from archsearch.search.strategies import strategy
from archsearch.search.validation import (
    check_executor,
    check_extends,
    check_metrics,
    check_observer,
    check_part,
    stable_repr,
)
from archsearch.spaces import Config, Constraint, Space, SpecError, translate_config
from archsearch.spaces.argument_checks import duration_s, finite_number, whole_number
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.completion import completed
from archsearch.spaces.domains import tupled
from archsearch.spaces.errors import ArgumentError, unknown
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.records import StudyRecord
from archsearch.studies.stopping_criteria import StoppingCriteria

_NAME_BYTES = 200  # with `.db` and the names of checkpoints, below the limit of 255 of most file systems
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}  # by Windows

# True while a spec file is being executed for its `study`; a call of `study.run()` there would recurse endlessly.
loading_spec: contextvars.ContextVar[bool] = contextvars.ContextVar("loading_spec", default=False)


@dataclass(frozen=True, kw_only=True)
class Declaration(ArgumentHints):
    """The fields of a `Study`, which documents them and adds `run`.

    A class of its own, so that the modules that run a study need not import the module that starts them.

    Attributes:
        stopping: The limits of the study, from `trials` to `patience`.
        checkpoint_every_s: `checkpoint_every` in seconds; infinite for no checkpoints.
        trial_timeout_s: `trial_timeout` in seconds.
        goals: The goals to maximize, then those to minimize.
    """

    name: str
    objective: Objective | Callable[..., Any]
    shared: Callable[[], Any] | None = None
    space: Space | None = None
    constraints: Sequence[Constraint] = ()
    maximize: str | Sequence[str] | None = None
    minimize: str | Sequence[str] | None = None
    outcome_constraints: Sequence[str] = ()
    strategy: Strategy | str = "auto"
    pruner: Pruner | str | None = None
    trials: int | None = 100
    timeout: str | float | None = None
    gpu_hours: float | None = None
    target: float | None = None
    patience: int | None = None
    budget: int | None = None
    seed: int = 0
    workers: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    retries: int = 2
    start: Sequence[Mapping[str, Any]] = ()
    warm_start: str | Path | Sequence[str | Path] = ()
    repeats: int = 1
    checkpoint_every: str | float | None = "1m"
    trial_timeout: str | float | None = None
    executor: Executor | str = "ray"
    stopping: StoppingCriteria = field(init=False)
    checkpoint_every_s: float = field(init=False)
    trial_timeout_s: float | None = field(init=False)
    observers: Sequence[Observer] = ()
    trainable: Objective = field(init=False, repr=False, compare=False)  # the objective; a function is wrapped
    goals: tuple[Goal, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or file_name(self.name) != self.name:
            usable = file_name(self.name) if isinstance(self.name, str) else ""
            raise SpecError(
                f"Study name must be usable as a file name, got {self.name!r}; try '{usable or 'digits-mlp'}'"
            )
        self._settle("trainable", self._trainable())
        self._settle_parts()
        self._settle("space", self._space())
        self._settle("goals", self._goals())
        self._settle("stopping", StoppingCriteria.from_arguments(vars(self)))
        self._settle("checkpoint_every_s", self._checkpoint_every_s())
        each = self.trial_timeout
        self._settle("trial_timeout_s", None if each is None else duration_s(each, "trial_timeout"))
        for name, least in _WHOLE.items():
            if not (getattr(self, name) is None and name in ("budget", "workers")):
                self._settle(name, whole_number(getattr(self, name), name, least=least))
        self._check_resources()
        self._check_end()
        self._check_record()
        for what, part in (("objective", self.trainable), ("strategy", self.strategy)):
            if getattr(part, "needs_budget", False) and self.budget is None:
                raise SpecError(
                    f"this {what} needs a budget; pass one to Study, e.g. budget=20 (epochs, or folds if it "
                    "cross-validates)"
                )
        if (known := call_hook(self.trainable, "known_metrics")) is not None:
            check_metrics(self.record().metrics, known, self.trainable)
        if isinstance(self.strategy, Strategy):  # always: names were resolved
            call_hook(self.strategy, "check_study", self.record(), self.stopping.trials)

    def __getstate__(self) -> dict[str, Any]:
        """Without an executor of the user's own, which may hold connections: only the process that made it uses it."""
        kept = "ray" if isinstance(self.executor, Executor) else self.executor
        return {**vars(self), "executor": kept}

    @property
    def warm_stores(self) -> list[Path]:
        """The stores of `warm_start`."""
        return [*map(Path, _several(self.warm_start))]

    def record(self) -> StudyRecord:
        """The record of the study for its store."""
        return StudyRecord(
            name=self.name,
            space=self.space or Space(),
            goals=self.goals,
            budget=self.budget,
            seed=self.seed,
            strategy=stable_repr(self.strategy),
            pruner=stable_repr(self.pruner),
            outcome_constraints=tuple(map(OutcomeConstraint.from_text, _several(self.outcome_constraints))),
            start=tuple({repr(config): config for config in map(self._started, self.start)}.values()),
            repeats=self.repeats,
        )

    def _started(self, config: Mapping[str, Any]) -> Config:
        """A configuration of `start` with its missing parameters filled in; SpecError if it is not in the space."""
        space = self.space or Space()
        config = {name: tupled(value) for name, value in config.items()}  # as `archsearch best --json` prints it
        if strange := [name for name in config if name not in space]:
            raise SpecError(f"Study start: {unknown('parameter', str(strange[0]), space)}")
        whole = completed(translate_config(config, space), space)
        if changed := [name for name, value in config.items() if name not in whole or whole[name] != value]:
            name = changed[0]
            if name not in whole:
                why = f"its '{name}' is not active there; leave it out"
            elif config[name] not in space[name].domain:
                why = f"its '{name}' must lie in {space[name].domain!r}"
            else:
                why = f"it breaks a constraint; a legal one nearby is {whole}"
            raise SpecError(f"Study start: {dict(config)} is not in the space: {why}")
        return whole

    def _goals(self) -> tuple[Goal, ...]:
        """The goals in the given order; those to maximize come first."""
        goals = []
        for given, way in ((self.maximize, True), (self.minimize, False)):
            goals += [Goal(name, way) for name in _several(() if given is None else given)]
        metrics = [goal.metric for goal in goals]
        if not goals or not all(isinstance(metric, str) and metric for metric in metrics):
            got = f"maximize={self.maximize!r}, minimize={self.minimize!r}"
            raise SpecError(
                f"Study needs a metric, e.g. maximize='val_accuracy' or minimize='val_loss', or a list of metrics; "
                f"got {got}"
            )
        if len(set(metrics)) < len(metrics):
            raise SpecError(f"Study has a metric twice in its goals: {', '.join(metrics)}; name each metric once")
        return tuple(goals)

    def _settle_parts(self) -> None:
        """Replaces names by the objects that they stand for, and checks the user's own objects."""
        if isinstance(self.strategy, str):
            self._settle("strategy", strategy(self.strategy))
        if self.pruner is None or isinstance(self.pruner, str):
            self._settle("pruner", pruner(self.pruner or "none"))
        check_part("strategy", self.strategy, Strategy, required=("propose", "ask"), example="TPE()")
        check_part("pruner", self.pruner, Pruner, required=("judge",), example="Median()")
        if not isinstance(self.observers, list | tuple):
            raise SpecError(f"Study observers must be a list, got {self.observers!r}; write observers=[...]")
        for each in self.observers:
            check_observer(each)

    def _trainable(self) -> Objective:
        if not callable(self.objective) or isinstance(self.objective, type):
            raise SpecError(f"Study objective must be a Supervised or a function, got {self.objective!r}")
        if self.shared is not None and not callable(self.shared):
            raise SpecError(
                f"Study shared must be a function that returns the data, got {self.shared!r}; write shared=load"
            )
        if not isinstance(self.objective, Objective):
            check_extends("Study objective", self.objective, Objective)
            return FunctionObjective(self.objective, self.shared)
        if self.shared is not None:
            raise SpecError(
                "Study shared is for objectives that are functions; this objective loads its own data: remove shared="
            )
        check_extends("Study objective", self.objective, Objective)
        return self.objective

    def _space(self) -> Space:
        if not isinstance(self.constraints, list | tuple):
            raise SpecError(f"Study constraints must be a list, got {self.constraints!r}; write [constraint('a < b')]")
        own = self.trainable.space
        # In a copy of a declaration, the space is already set, and equal to that of the objective.
        if self.space is not None and own is not None and self.space != own.constrained(*self.constraints):
            raise SpecError("Study got a space, but its objective has its own; remove space=")
        space = self.space if own is None else own
        if not isinstance(space, Space):
            raise SpecError(f"Study needs space=Space(...), the search space; got {space!r}")
        if not space:
            raise SpecError("the space is empty; declare at least one parameter, e.g. Space(lr=Float(1e-4, 1e-1))")
        return space.constrained(*self.constraints)

    def _check_resources(self) -> None:
        if not isinstance(self.executor, str):
            check_executor(self.executor)
        elif self.executor not in EXECUTORS:
            raise SpecError(unknown("executor", self.executor, EXECUTORS))
        gpus = finite_number(self.gpus, "gpus")
        if gpus < 0:
            raise ArgumentError("gpus", f"must be a number of at least 0, got {self.gpus!r}")
        if gpus > 1 and not gpus.is_integer():
            raise ArgumentError("gpus", f"must be a fraction of one GPU or a whole number, got {self.gpus!r}")
        self._settle("gpus", gpus)

    def _check_end(self) -> None:
        """Checks that the limits are valid, and that one of them will certainly end the study."""
        self.stopping.check(gpus=self.gpus)
        if self.stopping.endless:
            unsure = ", as its target may not be reached" * (self.target is not None)
            raise SpecError(
                f"the study has neither trials= nor timeout=, so it might never end{unsure}; pass one of them"
            )

    def _check_record(self) -> None:
        if not isinstance(self.start, list | tuple) or not all(isinstance(config, Mapping) for config in self.start):
            raise SpecError(f"Study start must be a list of configs, got {self.start!r}; write start=[{{'lr': 0.1}}]")
        for path in _several(self.warm_start):
            if not isinstance(path, str | Path) or not path:
                raise SpecError(f"Study warm_start must be the path of a store, or a list of paths, got {path!r}")
        record = self.record()
        if taken := {"step", "seconds"}.intersection(record.metrics):
            raise SpecError(f"the metric name '{taken.pop()}' is reserved; rename the metric")

    def _checkpoint_every_s(self) -> float:
        if self.checkpoint_every == 0 and not isinstance(self.checkpoint_every, bool):
            return 0.0
        return math.inf if self.checkpoint_every is None else duration_s(self.checkpoint_every, "checkpoint_every")

    def _settle(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def file_name(name: str) -> str:
    """The name of a study as every file system accepts it; empty if nothing of it is left."""
    plain = re.sub(r"\s*[^\w. -]+\s*", "-", name)
    cut = plain.encode()[:_NAME_BYTES].decode(errors="ignore")
    found = cut.strip(" -" if plain != name else " ").rstrip(".").lstrip(".")
    return f"{found}-study" if found.upper() in _RESERVED else found


def _several(given: Any) -> Sequence[Any]:
    """The value as a list, if it is a single one."""
    return given if isinstance(given, list | tuple) else [given]


# The arguments that are whole numbers, except for the limits, and their lowest values.
_WHOLE = {"budget": 1, "seed": 0, "workers": 1, "cpus": 1, "retries": 0, "repeats": 1}
