"""Declaration: what a spec file says of its study, checked at construction."""

from __future__ import annotations

import contextvars
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsearch.search.adapters.functions import FunctionObjective
from archsearch.search.executors import EXECUTORS
from archsearch.search.protocols import Objective, Observer, Pruner, Strategy
from archsearch.search.pruners import pruner
from archsearch.search.strategies import strategy
from archsearch.search.validation import check_extends, check_observer
from archsearch.spaces import Config, Constraint, Space, SpecError, carried
from archsearch.spaces.errors import unknown
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.records import StudyRecord

# True while a spec file is being executed for its `study`; then a call of `study.run()` there would never end.
loading_spec: contextvars.ContextVar[bool] = contextvars.ContextVar("loading_spec", default=False)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The fields of a Study, checked; `Study` documents them, and adds `run`.

    Apart from it so that what a session is put together from (spec, driver) need not import what starts one.
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
    executor: str = "ray"
    observers: Sequence[Observer] = ()
    trainable: Objective = field(init=False, repr=False, compare=False)  # the objective; a function is wrapped
    timeout_s: float | None = field(init=False)
    checkpoint_every_s: float = field(init=False)  # infinite for never
    goals: tuple[Goal, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.-][\w. -]*", self.name):
            raise SpecError(f"Study name must be usable as a file name, got {self.name!r}; try 'digits-mlp'")
        self._settle("trainable", self._trainable())
        self._settle_parts()
        self._settle("space", self._space())
        self._settle("goals", self._goals())
        self._settle("timeout_s", duration_s(self.timeout))
        self._settle("checkpoint_every_s", self._checkpoint_every_s())
        for name, least in _WHOLE.items():
            self._check_number(name, least, optional=name in ("trials", "budget", "workers", "patience"))
        self._check_resources()
        self._check_end()
        self._check_record()
        for what, part in (("objective", self.trainable), ("strategy", self.strategy)):
            if getattr(part, "needs_budget", False) and self.budget is None:
                raise SpecError(
                    f"this {what} needs to know how long to train: give Study a budget, e.g. budget=20 (epochs; folds, "
                    "where it cross-validates)"
                )
        if hasattr(self.strategy, "check_study"):
            self.strategy.check_study(self.record(), self.trials)

    @property
    def warm_stores(self) -> list[Path]:
        """The stores of `warm_start`."""
        return [*map(Path, _several(self.warm_start))]

    def record(self) -> StudyRecord:
        """What of the declaration goes into the store."""
        return StudyRecord(
            name=self.name,
            space=self.space or Space(),
            goals=self.goals,
            budget=self.budget,
            seed=self.seed,
            strategy=repr(self.strategy),
            pruner=repr(self.pruner),
            outcome_constraints=tuple(map(OutcomeConstraint.from_text, _several(self.outcome_constraints))),
            start=tuple({repr(config): config for config in map(self._started, self.start)}.values()),
            repeats=self.repeats,
        )

    def _started(self, config: Mapping[str, Any]) -> Config:
        """A config of `start`, with what it leaves out. Raises SpecError where it says what the space does not have."""
        space = self.space or Space()
        if strange := [name for name in config if name not in space]:
            raise SpecError(f"Study start: {unknown('parameter', str(strange[0]), space)}")
        whole = carried(config, space)
        if changed := [name for name, value in config.items() if name not in whole or whole[name] != value]:
            name = changed[0]
            if name not in whole:
                why = f"its '{name}' is not active there; leave it out"
            elif config[name] not in space[name].domain:
                why = f"its '{name}' must be of {space[name].domain!r}"
            else:
                why = f"it breaks a constraint; {whole} is near it"
            raise SpecError(f"Study start: {dict(config)} is no config of the space: {why}")
        return whole

    def _goals(self) -> tuple[Goal, ...]:
        """The metrics and their directions, in the order in which they are given, what is maximised before the rest."""
        goals = []
        for given, way in ((self.maximize, True), (self.minimize, False)):
            goals += [Goal(name, way) for name in _several(() if given is None else given)]
        metrics = [goal.metric for goal in goals]
        if not goals or not all(isinstance(metric, str) and metric for metric in metrics):
            got = f"maximize={self.maximize!r}, minimize={self.minimize!r}"
            raise SpecError(
                f"Study needs a metric, as maximize='val_accuracy' or minimize='val_loss', or a list of some; got {got}"
            )
        if len(set(metrics)) < len(metrics):
            raise SpecError(f"Study names a metric twice as its goal: {', '.join(metrics)}; once is enough")
        return tuple(goals)

    def _settle_parts(self) -> None:
        """Names become what they name."""
        if isinstance(self.strategy, str):
            self._settle("strategy", strategy(self.strategy))
        if self.pruner is None or isinstance(self.pruner, str):
            self._settle("pruner", pruner(self.pruner or "none"))
        _check_part("Study strategy", self.strategy, "ask", "TPE()")
        _check_part("Study pruner", self.pruner, "judge", "Median()")
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
                "Study shared is for an objective that is a function; this one loads its own data: drop shared="
            )
        check_extends("Study objective", self.objective, Objective)
        return self.objective

    def _space(self) -> Space:
        if not isinstance(self.constraints, list | tuple):
            raise SpecError(f"Study constraints must be a list, got {self.constraints!r}; write [constraint('a < b')]")
        own = self.trainable.space
        # Equal to the objective's where this is a copy of a declaration, which has its space settled.
        if self.space is not None and own is not None and self.space != own.constrained(*self.constraints):
            raise SpecError("Study was given a space, and its objective carries one; drop space=")
        space = self.space if own is None else own
        if not isinstance(space, Space):
            raise SpecError(f"Study needs space=Space(...), which says what may vary; got {space!r}")
        if not space:
            raise SpecError(
                "the space is empty: nothing may vary; declare a parameter, e.g. Space(lr=Float(1e-4, 1e-1))"
            )
        return space.constrained(*self.constraints)

    def _check_resources(self) -> None:
        if self.executor not in EXECUTORS:
            raise SpecError(unknown("executor", str(self.executor), EXECUTORS))
        if isinstance(self.gpus, bool) or not isinstance(self.gpus, int | float) or self.gpus < 0:
            raise SpecError(f"Study gpus must be a number of at least 0, got {self.gpus!r}")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise SpecError(f"Study gpus must be a fraction of one GPU or a whole number, got {self.gpus!r}")

    def _check_end(self) -> None:
        """What ends the study makes sense, and something does."""
        for name in ("gpu_hours", "target"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not (number and (name == "target" or value > 0)):
                raise SpecError(f"Study {name} must be a number{' above 0' * (name != 'target')}, got {value!r}")
        if self.gpu_hours is not None and not self.gpus:
            raise SpecError("Study gpu_hours is for trials that use a GPU, and gpus is 0; give gpus=1, or a timeout")
        if all(limit is None for limit in (self.trials, self.timeout_s, self.gpu_hours, self.patience)):
            unsure = ": its target may never be reached" * (self.target is not None)
            raise SpecError(f"Study has neither trials nor timeout, and would never end{unsure}; give one")

    def _check_record(self) -> None:
        if not isinstance(self.start, list | tuple) or not all(isinstance(config, Mapping) for config in self.start):
            raise SpecError(f"Study start must be a list of configs, got {self.start!r}; write start=[{{'lr': 0.1}}]")
        for path in _several(self.warm_start):
            if not isinstance(path, str | Path) or not path:
                raise SpecError(f"Study warm_start must name a store, or a list of some, got {path!r}")
        record = self.record()
        if taken := {"step", "seconds"}.intersection(record.metrics):
            raise SpecError(f"the metric's name '{taken.pop()}' is taken by the report itself; rename it")

    def _checkpoint_every_s(self) -> float:
        if self.checkpoint_every == 0 and not isinstance(self.checkpoint_every, bool):
            return 0.0
        seconds = duration_s(self.checkpoint_every, "Study checkpoint_every")
        return math.inf if seconds is None else seconds

    def _settle(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_number(self, name: str, least: int, optional: bool) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SpecError(f"Study {name} must be a whole number of at least {least}, got {value!r}")


def _several(given: Any) -> Sequence[Any]:
    """One stands for a list of one."""
    return given if isinstance(given, list | tuple) else [given]


def _check_part(what: str, value: object, method: str, example: str) -> None:
    """The commonest slip is the class where an instance is meant."""
    if isinstance(value, type):
        raise SpecError(f"{what} is the class {value.__name__}; write {value.__name__}()")
    if not callable(getattr(value, method, None)):
        raise SpecError(f"{what} must have `{method}`, got {value!r}; try {example}")


_WHOLE = {"trials": 1, "budget": 1, "seed": 0, "workers": 1, "cpus": 1, "retries": 0, "patience": 1, "repeats": 1}
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_s(text: str | float | None, what: str = "a time-out") -> float | None:
    """Seconds of "90", "90s", "20m", "1h30m", "2d"; None stays None. Raises SpecError."""
    if text is None:
        return None
    if isinstance(text, int | float) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str) and re.fullmatch(r"\s*(\d+(\.\d+)?[smhd]?\s*)+", text):
        seconds = sum(float(n) * _UNITS_S[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd]?)", text))
    else:
        raise SpecError(f"{what} must be like 90s, 20m or 1h30m, got {text!r}")
    if not 0 < seconds < float("inf"):
        raise SpecError(f"{what} must be above 0, got {text!r}")
    return seconds
