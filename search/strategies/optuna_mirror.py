"""A history as an in-memory Optuna study, kept up to date; the only file of the strategies that imports optuna.

Trials stand in the Optuna study in the order of their numbers, as running, complete or pruned; a failed one as pruned
without a value, because samplers do not see Optuna's own failed trials, and would go where they failed again and again.
What `suggest` asks Optuna for is marked as failed before it returns, which does hide it from every sampler: whether a
proposal becomes a trial is for the history to say.

Discrete domains enter as the index of their value, so that tuples and uneven steps need no special care.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from spaces import Choice, Config, Domain, Float, Int, Parameter, Value, repair
from studies.history import History
from studies.records import Trial

_TRIES = 10  # suggestions until one that breaks a constraint is repaired; each costs an ask


class _Entry(NamedTuple):
    """How a trial of the history stands in the Optuna study."""

    state: TrialState
    value: float | None = None
    step: int = 0


class Mirror:
    """Keeps `study`, an Optuna study that says what a history says."""

    def __init__(self, history: History) -> None:
        study = history.study
        self._space, self._goal = study.space, study.goal
        self._distributions = {parameter.name: _distribution(parameter.domain) for parameter in study.space.free}
        self._seen: list[tuple[Trial, _Entry]] = []
        self._ids: list[int] = []  # Optuna's, by trial number
        self._storage = optuna.storages.InMemoryStorage()
        with _quiet():
            self.study = optuna.create_study(
                storage=self._storage, direction="maximize" if study.goal.maximize else "minimize"
            )
        self._study_id = self._storage.get_study_id_from_name(self.study.study_name)
        self.follow(history)

    def follow(self, history: History) -> bool:
        """Bring the study up to the history. False when the history is no continuation of what was seen before.

        After False the mirror is of no use; make another.
        """
        study = history.study
        if study.goal != self._goal or (study.space is not self._space and study.space != self._space):
            return False
        if len(history.trials) < len(self._seen):
            return False
        return all(self._take(trial) for trial in history.trials)

    def suggest(self, n: int, candidates: int, rng: np.random.Generator) -> list[tuple[Config, bool]]:
        """`n` legal configs by a new TPE sampler, each with whether it had to be repaired."""
        with _quiet():
            self.study.sampler = optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=candidates,
                seed=int(rng.integers(2**32)),
                multivariate=True,
                group=True,
                constant_liar=True,
            )
        asked: list[optuna.Trial] = []
        try:
            return [self._legal(asked, rng) for _ in range(n)]
        finally:
            for trial in asked:
                self.study.tell(trial, state=TrialState.FAIL)

    def _legal(self, asked: list[optuna.Trial], rng: np.random.Generator) -> tuple[Config, bool]:
        """The next suggestion, which stays among the asked ones: as running, it keeps the next of them apart.

        Optuna knows no constraints. What breaks one is asked for anew some times, and then repaired.
        """
        for _ in range(_TRIES):
            asked.append(self.study.ask())
            config = self.config(asked[-1])
            if not self._space.broken(config):
                return config, False
            self.study.tell(asked.pop(), state=TrialState.FAIL)
        return repair(self._space, config, rng), True

    def config(self, trial: optuna.Trial) -> Config:
        """The config that this trial of Optuna suggests."""
        return self._space.walk(lambda parameter: self._choose(trial, parameter))

    def _choose(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        if parameter.fixed:
            return parameter.domain.from_unit(0.5)
        name = parameter.name
        match self._distributions[name]:
            case FloatDistribution(low=low, high=high, log=log):
                return _value(parameter.domain, trial.suggest_float(name, low, high, log=log))
            case IntDistribution(low=low, high=high, log=log):
                return _value(parameter.domain, trial.suggest_int(name, low, high, log=log))
            case CategoricalDistribution(choices=choices):
                return _value(parameter.domain, trial.suggest_categorical(name, choices))
            case other:
                raise TypeError(f"no distribution of a domain: {other!r}")

    def _take(self, trial: Trial) -> bool:
        """Enter the trial, or its end. False when it contradicts what was seen."""
        new = trial.number == len(self._seen)
        if new:
            self._seen.append((trial, _Entry(TrialState.RUNNING)))
            self._ids.append(self._enter(trial))
        seen, entry = self._seen[trial.number]
        if trial is seen and not new:
            return True
        now = self._entry(trial)
        if trial.config != seen.config or (now != entry and entry.state is not TrialState.RUNNING):
            return False
        if now != entry:
            self._end(self._ids[trial.number], now)
        self._seen[trial.number] = (trial, now)
        return True

    def _entry(self, trial: Trial) -> _Entry:
        value = trial.value(self._goal.metric)
        match trial.state:
            case "finished" if value is not None:
                return _Entry(TrialState.COMPLETE, value)
            case "pruned":
                return _Entry(TrialState.PRUNED, value, trial.step)
            case "finished" | "failed":
                return _Entry(TrialState.PRUNED)  # without a value, which Optuna ranks last of all
            case _:
                return _Entry(TrialState.RUNNING)

    def _enter(self, trial: Trial) -> int:
        trial_id = self._storage.create_new_trial(self._study_id)
        for name, value in trial.config.items():
            if name in self._distributions:
                internal = _internal(self._space[name].domain, value)
                self._storage.set_trial_param(trial_id, name, internal, self._distributions[name])
        return trial_id

    def _end(self, trial_id: int, entry: _Entry) -> None:
        # Of a pruned trial's curve, TPE reads the last step and its value, and nothing else.
        if entry.state is TrialState.PRUNED and entry.value is not None:
            self._storage.set_trial_intermediate_value(trial_id, entry.step, entry.value)
        values = [entry.value] if entry.state is TrialState.COMPLETE and entry.value is not None else None
        self._storage.set_trial_state_values(trial_id, entry.state, values)


def _distribution(domain: Domain) -> BaseDistribution:
    match domain:
        case Float(step=None):
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Int(log=True):
            return IntDistribution(domain.low, domain.high, log=True)
        case Choice(ordered=False):
            return CategoricalDistribution(range(len(domain.values)))
        case _:
            return IntDistribution(0, int(domain.size()) - 1)


def _internal(domain: Domain, value: Value) -> float:
    """The domain's value as Optuna stores it: the number itself, or its index."""
    match domain:
        case Float(step=None) | Int(log=True):
            return float(value)  # type: ignore[arg-type]  # a value of such a domain is a number
        case Int(low=low, step=step):
            return (int(value) - low) // step  # type: ignore[arg-type]  # likewise
        case Choice():
            return domain.index(value)
        case Float():
            return int(domain.to_unit(value) * domain.size())


def _value(domain: Domain, suggested: object) -> Value:
    """The domain's value that Optuna means."""
    match domain, suggested:
        case Float(step=None), float(number):
            return min(max(number, domain.low), domain.high)
        case Int(log=True), int(number):
            return number
        case Int(low=low, step=step), int(index):
            return low + index * step
        case _, int(index):
            return domain.from_unit((index + 0.5) / domain.size())
        case _:
            raise TypeError(f"Optuna suggested {suggested!r} for {domain}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line about the new study, and its notice that `group` is experimental."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
