"""The peers, each in its own loop with its own defaults: Optuna's samplers, scikit-optimize, and SMAC3.

All are given the same space in their own terms: an ordered choice is an integer (SMAC3: ordinal), another choice is a
categorical. Conditions are told to Optuna by asking for active parameters alone, and to SMAC3 by ConfigSpace's own;
scikit-optimize has none, and also proposes what is not active. A failed trial is Optuna's FAIL; the others cannot model
it without a number (SMAC3 breaks on its own default, infinity), so they are told the worst loss seen.
"""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from typing import Any

from archsearch import Choice, Config, Float, Int, Space
from archsearch.spaces.domains import Domain, Value
from archsearch.spaces.expressions import Expression
from archsearch.spaces.flattening import Parameter

Evaluate = Callable[[Config], float | None]  # the loss, or None where the trial fails
Loop = Callable[[Space, Evaluate, int, int], None]  # of a space and an objective: so many trials, from this seed


@dataclass(frozen=True, slots=True)
class Peer:
    """Another's strategy. packages: what must be installed, as it is imported → as it is installed."""

    run: Loop
    packages: Mapping[str, str]

    @property
    def missing(self) -> list[str]:
        return [name for module, name in self.packages.items() if not find_spec(module)]


def _optuna(sampler: Callable[[Any, int], Any]) -> Loop:
    def run(space: Space, evaluate: Evaluate, trials: int, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(sampler=sampler(optuna.samplers, seed))
            for _ in range(trials):
                trial = study.ask()
                loss = evaluate(space.walk(lambda parameter, trial=trial: _suggested(trial, parameter)))
                study.tell(trial, loss, state=None if loss is not None else optuna.trial.TrialState.FAIL)

    return run


def _suggested(trial: Any, parameter: Parameter) -> Value:
    name = parameter.name
    match parameter.domain:
        case Float(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case Int(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case Choice(values=values, ordered=True):
            return values[trial.suggest_int(name, 0, len(values) - 1)]
        case Choice(values=values):
            return values[trial.suggest_categorical(name, range(len(values)))]


def _skopt(space: Space, evaluate: Evaluate, trials: int, seed: int) -> None:
    from skopt import Optimizer
    from skopt.space import Categorical, Integer, Real

    def dimension(domain: Domain) -> Any:
        match domain:
            case Float(low=low, high=high, log=log, step=None):
                return Real(low, high, prior="log-uniform" if log else "uniform")
            case Int(low=low, high=high, log=log, step=1):
                return Integer(low, high, prior="log-uniform" if log else "uniform")
            case Choice(values=values, ordered=True):
                return Integer(0, len(values) - 1)
            case Choice(values=values):
                return Categorical(range(len(values)))
            case _:
                raise TypeError(f"no dimension of a domain: {domain}")

    names = [parameter.name for parameter in space.free]
    optimizer = Optimizer([dimension(parameter.domain) for parameter in space.free], random_state=seed)
    worst = -math.inf
    for _ in range(trials):
        point = optimizer.ask()
        loss = evaluate(_config(space, dict(zip(names, point, strict=True))))
        worst = worst if loss is None else max(worst, loss)
        if math.isfinite(worst):  # a failure before anything worked cannot be told
            optimizer.tell(point, worst if loss is None else loss)


def _smac(space: Space, evaluate: Evaluate, trials: int, seed: int) -> None:
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory import StatusType, TrialValue

    logging.getLogger("smac").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="quality-smac-") as folder:
        scenario = Scenario(
            _config_space(space, seed), deterministic=True, n_trials=trials, seed=seed, output_directory=folder
        )
        facade = HyperparameterOptimizationFacade(scenario, lambda config, seed: 0.0, logging_level=False)
        worst = -math.inf
        for _ in range(trials):
            info = facade.ask()
            loss = evaluate(_config(space, dict(info.config)))
            worst = worst if loss is None else max(worst, loss)
            if math.isfinite(worst):
                told = TrialValue(worst, status=StatusType.CRASHED) if loss is None else TrialValue(loss)
                facade.tell(info, told, save=False)


def _config_space(space: Space, seed: int) -> Any:
    """The space as ConfigSpace has it. A condition becomes, for each parameter that it reads, the values that allow it:
    all of them must, which says the same of every conjunction; TypeError for a condition that is none.
    """
    import ConfigSpace

    def hyperparameter(name: str, domain: Domain) -> Any:
        match domain:
            case Float(low=low, high=high, log=log, step=None):
                return ConfigSpace.UniformFloatHyperparameter(name, low, high, log=log)
            case Int(low=low, high=high, log=log, step=1):
                return ConfigSpace.UniformIntegerHyperparameter(name, low, high, log=log)
            case Choice(values=values, ordered=True):
                return ConfigSpace.OrdinalHyperparameter(name, range(len(values)))
            case Choice(values=values):
                return ConfigSpace.CategoricalHyperparameter(name, range(len(values)))
            case _:
                raise TypeError(f"no hyperparameter of a domain: {domain}")

    theirs = {p.name: hyperparameter(p.name, p.domain) for p in space.free}
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    made.add(list(theirs.values()))
    for parameter in space.free:
        if parameter.condition is None:
            continue
        allowed = _allowed(space, parameter.condition)
        parts = [ConfigSpace.InCondition(theirs[parameter.name], theirs[name], v) for name, v in allowed.items()]
        made.add(parts[0] if len(parts) == 1 else ConfigSpace.AndConjunction(*parts))
    return made


def _allowed(space: Space, condition: Expression) -> dict[str, list[int]]:
    """For each parameter that the condition reads, the values under which it can hold, in ConfigSpace's terms."""
    holds, names = condition.true_of, sorted(condition.names)
    values = [_listed(space[name].domain) for name in names]
    legal = {combined for combined in product(*values) if holds(dict(zip(names, combined, strict=True)))}
    allowed = [[value for value in each if value in {c[k] for c in legal}] for k, each in enumerate(values)]
    if len(legal) != math.prod(map(len, allowed)):
        raise TypeError(f"'{condition.text}' is no conjunction of conditions on one parameter each")
    return {
        name: [_place(space[name].domain, value) for value in each] for name, each in zip(names, allowed, strict=True)
    }


def _listed(domain: Domain) -> list[Value]:
    match domain:
        case Int(low=low, high=high, step=step):
            return [*range(low, high + 1, step)]
        case Choice(values=values):
            return [*values]
        case Float():
            raise TypeError(f"a condition on {domain} has no list of values")


def _place(domain: Domain, value: Value) -> Any:
    return domain.index(value) if isinstance(domain, Choice) else value


def _config(space: Space, given: Mapping[str, Any]) -> Config:
    """The config of a peer's values, where a choice is the place in its list; what is not active is left out."""

    def value_of(parameter: Parameter) -> Value:
        if parameter.fixed:
            return parameter.domain.from_unit(0.5)
        match parameter.domain:
            case Choice(values=values):
                return values[int(given[parameter.name])]
            case Int():
                return int(given[parameter.name])
            case Float(low=low, high=high):
                return min(max(float(given[parameter.name]), low), high)

    return space.walk(value_of)


_OPTUNA = {"optuna": "optuna"}

PEERS = {
    "optuna-random": Peer(_optuna(lambda samplers, seed: samplers.RandomSampler(seed=seed)), _OPTUNA),
    "optuna-tpe": Peer(_optuna(lambda samplers, seed: samplers.TPESampler(seed=seed)), _OPTUNA),
    "optuna-tpe-multivariate": Peer(
        _optuna(lambda samplers, seed: samplers.TPESampler(seed=seed, multivariate=True, group=True)), _OPTUNA
    ),
    "optuna-gp": Peer(_optuna(lambda samplers, seed: samplers.GPSampler(seed=seed)), {**_OPTUNA, "torch": "torch"}),
    "optuna-cmaes": Peer(
        _optuna(lambda samplers, seed: samplers.CmaEsSampler(seed=seed)), {**_OPTUNA, "cmaes": "cmaes"}
    ),
    "skopt-gp": Peer(_skopt, {"skopt": "scikit-optimize"}),
    "smac": Peer(_smac, {"smac": "smac", "ConfigSpace": "ConfigSpace"}),
}
