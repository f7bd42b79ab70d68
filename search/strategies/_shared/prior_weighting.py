"""Weighting of an acquisition function by the priors of the space, with an influence that decays.

The acquisition value of a configuration is multiplied by prior(config) ** (5 / n) after n trials have ended. The prior
dominates at first; after some tens of trials the model does, so that a wrong prior costs some trials but does not spoil
the study (Hvarfner et al. 2022, "πBO: Augmenting Acquisition Functions with User Beliefs for Bayesian Optimization",
section 3; theorem 1 bounds the cost of a wrong prior).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces import Config, Domain, Space, Value
from archsearch.studies.history import History

# β of the paper. SMAC3 sets it to a tenth of the number of trials; 5 is its value for 50. See docs/measurements.md.
_CONFIDENCE = 5.0


@dataclass(frozen=True, slots=True)
class PriorWeighting:
    """The priors of a space, raised to the power that applies after `ended` trials. False if the space has no priors.

    Args:
        space: The space with the priors.
        ended: The number of trials that ended. Failed trials count, so that a prior whose preferred configurations all
            fail decays as well.

    Attributes:
        exponent: The power to which each prior is raised.
        names: The free parameters that have a prior.
    """

    space: Space
    ended: int
    exponent: float = field(init=False)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponent", _CONFIDENCE / max(self.ended, 1))
        names = tuple(parameter.name for parameter in self.space.free if parameter.domain.prior is not None)
        object.__setattr__(self, "names", names)

    @classmethod
    def from_history(cls, history: History) -> PriorWeighting:
        """The weighting that applies after this history."""
        return cls(history.study.space, history.ended)

    def __bool__(self) -> bool:
        return bool(self.names)

    def of_value(self, domain: Domain, value: Value) -> float:
        """The natural logarithm of the factor of one parameter's value; 0 if the domain has no prior."""
        return 0.0 if domain.prior is None else self.exponent * math.log(domain.prior_density(value))

    def of(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """The natural logarithm of the factor of each configuration, (configs,). Inactive parameters are ignored."""
        domains = [(name, self.space[name].domain) for name in self.names]
        sums = [
            sum(self.of_value(domain, config[name]) for name, domain in domains if name in config) for config in configs
        ]
        return np.array(sums, dtype=np.float64)

    def choose(self, configs: Sequence[Config], rng: np.random.Generator) -> Config:
        """Draw one of the configurations with probability proportional to its factor."""
        logs = self.of(configs)
        factors = np.exp(logs - logs.max())
        return configs[int(rng.choice(len(configs), p=factors / factors.sum()))]
