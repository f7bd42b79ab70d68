"""A history as an Optuna study for its GPSampler, made anew for each ask, with a new sampler: a used one starts its fit
from the kernel that it found last, and would answer otherwise than a fresh one.

Every trial holds every free parameter, for Optuna models those alone that all trials share. A number stands in its
domain's unit interval, where Optuna's own places agree with ours, and an unordered choice as its index.

Optuna knows neither conditions nor constraints of parameters, nor priors of where the optimum is. So where the space
has any, its acquisition function is asked only for points that stand for a config (`_Legal`), and leans (`_Lean`).
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

# Optuna lists the values of a discrete domain; larger ones are continuous to the model, and then rounded.
_LISTED = 1000
_WORTHLESS = -1e6  # the logarithm of what an illegal point promises; legal ones lie far above
_KNOTS = 1001  # places of the unit interval where a prior is looked up; a bell of width 0.01 spans a hundred


class OptunaGP:
    """An Optuna study of the space's free parameters and some goals, lower values being better."""

    def __init__(self, weighting: PriorWeighting, goals: int, seed: int) -> None:
        space = weighting.space
        self._space = space
        self._domains = {
            parameter.name: OptunaDomain.from_domain(parameter.domain, most_values=_LISTED) for parameter in space.free
        }
        # Named by number, because Optuna sorts them by name, and the columns are to stay in our order.
        self._names = {name: f"{column:06}" for column, name in enumerate(self._domains)}
        self._distributions = {self._names[name]: domain.distribution for name, domain in self._domains.items()}
        self._study = optuna.create_study(sampler=_Sampler(weighting, seed), directions=["minimize"] * goals)

    def add_ended(self, configs: Sequence[Config], losses: NDArray[np.float64], beyond: NDArray[np.float64]) -> None:
        """losses: (configs, goals). beyond: (configs, constraints), above 0 where one is broken."""
        for params, values, excesses in zip(self._params(configs), losses.tolist(), beyond.tolist(), strict=True):
            constraints = {str(place): excess for place, excess in enumerate(excesses)}
            self._study.add_trial(
                create_trial(values=values, params=params, distributions=self._distributions, constraints=constraints)
            )

    def add_running(self, configs: Sequence[Config]) -> None:
        for params in self._params(configs):
            self._study.add_trial(
                create_trial(state=TrialState.RUNNING, params=params, distributions=self._distributions)
            )

    def _params(self, configs: Sequence[Config]) -> Iterator[dict[str, float]]:
        """What is not active stands at its domain's middle."""
        for config in configs:
            yield {
                self._names[name]: each.to_optuna(config[name] if name in config else each.domain.from_unit(0.5))
                for name, each in self._domains.items()
            }

    def suggestion(self) -> Config:
        """The config that promises most. It may break a constraint, or be known."""
        trial = self._study.ask(self._distributions)
        # Failed trials are seen by no sampler: what is made of the suggestion is for the caller to add.
        self._study.tell(trial, state=TrialState.FAIL)
        return self._space.walk(lambda parameter: self._value(trial, parameter))

    def _value(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        if parameter.fixed:
            return parameter.domain.from_unit(0.5)
        return self._domains[parameter.name].from_optuna(trial.params[self._names[parameter.name]])


class _Sampler(GPSampler):
    """Asks the acquisition function for configs alone, and leans it by the priors."""

    def __init__(self, weighting: PriorWeighting, seed: int) -> None:
        super().__init__(seed=seed, n_startup_trials=1)
        self._space = weighting.space
        self._lean = _Lean(weighting) if weighting else None

    # A hook that Optuna leaves to "advanced users" and may move; the tests fail where it is no longer called.
    def _optimize_acqf(self, acqf: BaseAcquisitionFunc, best_params: NDArray[np.float64] | None) -> NDArray[np.float64]:
        if self._space.constraints or any(parameter.condition for parameter in self._space.parameters):
            acqf = _Legal(acqf, self._space, self._lean)
        elif self._lean:
            acqf = _Leaning(acqf, self._lean)
        return super()._optimize_acqf(acqf, best_params)


class _Lean:
    """The factor of the priors, as its natural logarithm, with a gradient: straight lines between knots."""

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
        """(..., columns) -> (..., columns): each column a place in the unit interval, or an unordered choice's index"""
        places = x * self._scale
        left = places.detach().floor().long()
        column = torch.arange(x.shape[-1])
        low, high = self._logs[column, left], self._logs[column, left + 1]
        return low + (places - left) * (high - low)


class _Leaning(BaseAcquisitionFunc):
    """What a point promises, leant by the priors; both are logarithms."""

    def __init__(self, inner: BaseAcquisitionFunc, lean: _Lean) -> None:
        super().__init__(inner.length_scales, inner.search_space)
        self._inner, self._lean = inner, lean

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        """(..., columns) -> (...)"""
        return self._inner.eval_acqf(x) + self._lean(x).sum(dim=-1)


class _Legal(BaseAcquisitionFunc):
    """What a point promises, as the config that it stands for will be told: what is not active, at its middle.

    Otherwise the model believes that the other values of an inactive parameter are worth a try, and proposes one config
    again and again: on `valley` of `search.testing.problems`, whose momentum is SGD's alone, the best of 40 trials was
    at 0.268 (mean of 6 seeds; random 0.358), and is at 0.006. A point that stands for an illegal config is worth
    nothing, and the prior of what is not active counts for nothing.
    """

    def __init__(self, inner: BaseAcquisitionFunc, space: Space, lean: _Lean | None) -> None:
        super().__init__(inner.length_scales, inner.search_space)
        self._inner, self._space, self._encoding, self._lean = inner, space, Encoding(space), lean
        domains = [parameter.domain for parameter in space.free]
        self._unordered = np.array([isinstance(domain, Choice) and not domain.ordered for domain in domains])
        self._sizes = np.array([domain.size() for domain in domains])
        self._middle = torch.tensor([_middle(domain) for domain in domains], dtype=torch.float64)

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        """(..., columns) -> (...): each column a place in the unit interval, or the index of an unordered choice."""
        points = x.detach().numpy().reshape(-1, x.shape[-1])
        configs = [self._encoding.decode(p) for p in np.where(self._unordered, (points + 0.5) / self._sizes, points)]
        active = torch.tensor([[name in config for name in self._encoding.columns] for config in configs])
        active = active.reshape(x.shape)
        legal = torch.tensor([not self._space.broken(config) for config in configs])
        promise = self._inner.eval_acqf(torch.where(active, x, self._middle))
        if self._lean:
            promise = promise + torch.where(active, self._lean(x), 0.0).sum(dim=-1)
        return torch.where(legal.reshape(x.shape[:-1]), promise, _WORTHLESS)


def _middle(domain: Domain) -> float:
    """The column of a domain's middle value: the index of an unordered choice, else a place in the unit interval."""
    value = domain.from_unit(0.5)
    return domain.index(value) if isinstance(domain, Choice) and not domain.ordered else domain.to_unit(value)
