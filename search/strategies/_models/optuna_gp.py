"""An Optuna study with a GPSampler, built from a history.

A new study and a new sampler are created for each ask. A sampler that is used again starts its fit from the last
kernel, so its answer would depend on more than the history.

Optuna only models parameters that all trials share, so every trial is given a value for every free parameter. Numbers
are represented by their position in the unit interval of the domain, on which Optuna's scaling agrees with ours, and
unordered choices by their index.

Optuna supports neither conditions nor constraints of parameters, nor priors on the location of the optimum. If the
space has any, the acquisition function is wrapped: in `_LegalAcquisition`, which evaluates the configuration that a
point represents, or in `_WeightedAcquisition`, which only adds the priors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna._gp.acqf import BaseAcquisitionFunc
from optuna.samplers import GPSampler
from optuna.trial import TrialState, create_trial

from archsearch.search.strategies._models.optuna_domains import OptunaDomain
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.spaces import Choice, Config, Domain, Encoding, Parameter, Space, Value

# Optuna lists the values of a discrete domain. Larger domains are modelled as continuous, and their values rounded.
_MAX_DISCRETE_VALUES = 1000
_ILLEGAL_LOG_VALUE = -1e6  # the log acquisition value of an illegal point; those of legal points are far higher
_KNOTS = 1001  # points of the unit interval at which a prior is tabulated; a bell of width 0.01 spans a hundred


class OptunaGP:
    """An Optuna study of the free parameters of a space, with every goal minimized.

    Args:
        weighting: The priors of the space.
        goals: The number of goals.
        seed: The seed of the sampler.
    """

    def __init__(self, weighting: PriorWeighting, goals: int, seed: int) -> None:
        space = weighting.space
        self._space = space
        self._domains = {
            parameter.name: OptunaDomain.from_domain(parameter.domain, most_values=_MAX_DISCRETE_VALUES)
            for parameter in space.free
        }
        # Named by number, because Optuna sorts parameters by name, and the columns must keep the order of the space.
        self._names = {name: f"{column:06}" for column, name in enumerate(self._domains)}
        self._distributions = {self._names[name]: domain.distribution for name, domain in self._domains.items()}
        self._study = optuna.create_study(sampler=_Sampler(weighting, seed), directions=["minimize"] * goals)

    def add_ended(
        self, configs: Sequence[Config], losses: NDArray[np.float64], constraint_values: NDArray[np.float64]
    ) -> None:
        """Add trials that ended.

        Args:
            configs: Their configurations.
            losses: (configs, goals); lower is better.
            constraint_values: (configs, outcome constraints); above 0 if the constraint is violated.
        """
        rows = zip(self._params(configs), losses.tolist(), constraint_values.tolist(), strict=True)
        for params, values, violations in rows:
            constraints = {str(place): violation for place, violation in enumerate(violations)}
            self._study.add_trial(
                create_trial(values=values, params=params, distributions=self._distributions, constraints=constraints)
            )

    def add_running(self, configs: Sequence[Config]) -> None:
        """Add trials that have no values yet."""
        for params in self._params(configs):
            self._study.add_trial(
                create_trial(state=TrialState.RUNNING, params=params, distributions=self._distributions)
            )

    def _params(self, configs: Sequence[Config]) -> Iterator[dict[str, float]]:
        """Optuna's parameters of each configuration; an inactive one has the middle value of its domain."""
        for config in configs:
            yield {
                self._names[name]: each.to_optuna(config[name] if name in config else each.domain.from_unit(0.5))
                for name, each in self._domains.items()
            }

    def suggest(self) -> Config:
        """The configuration that maximizes the acquisition function. It may violate a constraint, or be known."""
        trial = self._study.ask(self._distributions)
        # Samplers ignore failed trials: the caller decides which configuration is added in its place.
        self._study.tell(trial, state=TrialState.FAIL)
        return self._space.walk(lambda parameter: self._value(trial, parameter))

    def _value(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        if parameter.fixed:
            return parameter.domain.from_unit(0.5)
        return self._domains[parameter.name].from_optuna(trial.params[self._names[parameter.name]])


class _Sampler(GPSampler):
    """A GPSampler that respects the conditions, constraints and priors of a space."""

    def __init__(self, weighting: PriorWeighting, seed: int) -> None:
        super().__init__(seed=seed, n_startup_trials=1)
        self._space = weighting.space
        self._space_prior = _LogPrior(weighting) if weighting else None

    # A hook that Optuna offers to "advanced users" and may change; the tests fail if it is no longer called.
    def _optimize_acqf(self, acqf: BaseAcquisitionFunc, best_params: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if self._space.constraints or any(parameter.condition for parameter in self._space.parameters):
            acqf = _LegalAcquisition(acqf, self._space, self._space_prior)
        elif self._space_prior:
            acqf = _WeightedAcquisition(acqf, self._space_prior)
        return super()._optimize_acqf(acqf, best_params)


class _LogPrior:
    """The logarithm of the prior weights, differentiable: linear interpolation of tabulated values."""

    def __init__(self, weighting: PriorWeighting) -> None:
        domains = [parameter.domain for parameter in weighting.space.free]
        unordered = [isinstance(domain, Choice) and not domain.ordered for domain in domains]
        counts = [len(domain.values) if isinstance(domain, Choice) else 0 for domain in domains]
        self._logs = torch.zeros(len(domains), max(_KNOTS, *counts, 0) + 1, dtype=torch.float64)  # (columns, knots)
        for column, (domain, indexed, count) in enumerate(zip(domains, unordered, counts, strict=True)):
            units = (np.arange(count) + 0.5) / count if indexed else np.linspace(0, 1, _KNOTS)
            logs = [weighting.of_value(domain, domain.from_unit(unit)) for unit in units.tolist()]
            self._logs[column, : len(logs)] = torch.tensor(logs, dtype=torch.float64)
        self._scale = torch.tensor([1.0 if indexed else _KNOTS - 1.0 for indexed in unordered], dtype=torch.float64)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate each column by itself.

        Args:
            x: (..., columns); a position in the unit interval, or the index of an unordered choice.

        Returns:
            The log weight of each value, (..., columns).
        """
        places = x * self._scale
        left = places.detach().floor().long()
        column = torch.arange(x.shape[-1])
        low, high = self._logs[column, left], self._logs[column, left + 1]
        return low + (places - left) * (high - low)


class _WeightedAcquisition(BaseAcquisitionFunc):
    """The log acquisition function plus the log prior weights."""

    def __init__(self, inner: BaseAcquisitionFunc, log_prior: _LogPrior) -> None:
        super().__init__(inner.length_scales, inner.search_space)
        self._inner, self._log_prior = inner, log_prior

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate points, (..., columns) -> (...)."""
        return self._inner.eval_acqf(x) + self._log_prior(x).sum(dim=-1)


class _LegalAcquisition(BaseAcquisitionFunc):
    """The log acquisition function of the configuration that a point represents, plus the log prior weights.

    An inactive parameter is evaluated at the middle of its domain, as it is in the observations. Otherwise the model
    would be uncertain about the other values of inactive parameters, and propose the same configuration repeatedly: on
    `valley` of `search.testing.problems`, whose momentum is only active for SGD, the best of 40 trials was 0.268 (mean
    of 6 seeds; random 0.358), and is 0.006 with this class. A point that represents an illegal configuration gets a
    very low value, and the priors of inactive parameters are ignored.
    """

    def __init__(self, inner: BaseAcquisitionFunc, space: Space, log_prior: _LogPrior | None) -> None:
        super().__init__(inner.length_scales, inner.search_space)
        self._inner, self._space, self._encoding, self._log_prior = inner, space, Encoding(space), log_prior
        domains = [parameter.domain for parameter in space.free]
        self._unordered = np.array([isinstance(domain, Choice) and not domain.ordered for domain in domains])
        self._sizes = np.array([domain.size() for domain in domains])
        self._middle = torch.tensor([_middle(domain) for domain in domains], dtype=torch.float64)

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate points, (..., columns) -> (...).

        Each column is a position in the unit interval, or the index of an unordered choice.
        """
        points = x.detach().numpy().reshape(-1, x.shape[-1])
        configs = [self._encoding.decode(p) for p in np.where(self._unordered, (points + 0.5) / self._sizes, points)]
        active = torch.tensor([[name in config for name in self._encoding.columns] for config in configs])
        active = active.reshape(x.shape)
        legal = torch.tensor([not self._space.violated(config) for config in configs])
        value = self._inner.eval_acqf(torch.where(active, x, self._middle))
        if self._log_prior:
            value = value + torch.where(active, self._log_prior(x), 0.0).sum(dim=-1)
        return torch.where(legal.reshape(x.shape[:-1]), value, _ILLEGAL_LOG_VALUE)


def _middle(domain: Domain) -> float:
    """The middle value of a domain: the index of an unordered choice, otherwise a position in the unit interval."""
    value = domain.from_unit(0.5)
    return domain.index(value) if isinstance(domain, Choice) and not domain.ordered else domain.to_unit(value)
