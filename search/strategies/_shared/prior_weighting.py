"""What a person believes, beside what a model has learnt: the priors of the space, as a factor that fades.

What a config promises by the model is multiplied by prior(config) ** (5 / n), where n trials have ended: at first the
prior has much to say, and after some tens of trials the model alone, so that a wrong prior costs some trials and not
the study (Hvarfner et al. 2022, "πBO: Augmenting Acquisition Functions with User Beliefs for Bayesian
Optimization", section 3; theorem 1 for what a wrong prior costs at most).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces import Config, Domain, Space, Value
from archsearch.studies.history import History

# β of the paper; by SMAC3's rule, a tenth of the trials, that of 50; measured in docs/measurements.md
_CONFIDENCE = 5.0


@dataclass(frozen=True, slots=True)
class PriorWeighting:
    """The priors of a space after `ended` trials, of the parameters in `names`; false where there are none.

    Trials that failed count too: where the prior's favourites all fail, it has to fade as well.
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
        """As strong as it still is after this history."""
        return cls(history.study.space, history.ended)

    def __bool__(self) -> bool:
        return bool(self.names)

    def of_value(self, domain: Domain, value: Value) -> float:
        """The factor of one parameter's value, as its natural logarithm; 0 where the domain has no prior."""
        return 0.0 if domain.prior is None else self.exponent * math.log(domain.prior_density(value))

    def of(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """The factor of each config as its natural logarithm, (configs,). What is not active counts for nothing."""
        domains = [(name, self.space[name].domain) for name in self.names]
        sums = [
            sum(self.of_value(domain, config[name]) for name, domain in domains if name in config) for config in configs
        ]
        return np.array(sums, dtype=np.float64)

    def choose(self, configs: Sequence[Config], rng: np.random.Generator) -> Config:
        """One of the configs, drawn with a probability in proportion to its factor."""
        logs = self.of(configs)
        factors = np.exp(logs - logs.max())
        return configs[int(rng.choice(len(configs), p=factors / factors.sum()))]
