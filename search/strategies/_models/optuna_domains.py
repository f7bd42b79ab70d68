"""Conversion of domains and values to and from Optuna's distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archsearch.spaces import Choice, Domain, Int, Value


@dataclass(frozen=True, slots=True)
class OptunaDomain:
    """A domain with the Optuna distribution that represents it.

    An unordered choice is represented by the index of its value, and a continuous number by its position in the unit
    interval. A discrete domain (integers, steps, ordered choices) is an `IntDistribution`: over its own values if it is
    logarithmic, otherwise over their indices. A domain of too many values for the sampler is treated as continuous.

    Args:
        domain: A domain of the space.
        distribution: Its distribution in Optuna.
    """

    domain: Domain
    distribution: BaseDistribution

    @classmethod
    def from_domain(cls, domain: Domain, *, most_values: float = math.inf) -> OptunaDomain:
        """Choose the distribution of a domain.

        Args:
            domain: A domain of the space.
            most_values: A discrete domain of more values is treated as continuous; an unordered choice never is.
        """
        return cls(domain, _distribution(domain, most_values))

    def to_optuna(self, value: Value) -> float:
        """Convert a value to Optuna's internal representation."""
        match self.distribution:
            case FloatDistribution():
                return min(
                    max(self.domain.to_unit(value), 0.0), 1.0
                )  # to_unit may exceed the bounds by a rounding error
            case IntDistribution(log=True):
                return float(value)  # type: ignore[arg-type]  # a value of such a domain is a number
            case _ if isinstance(self.domain, Choice):
                return self.domain.index(value)
            case _:
                return int(self.domain.to_unit(value) * self.domain.size())

    def from_optuna(self, internal: float) -> Value:
        """Convert Optuna's internal representation to a value; the inverse of `to_optuna`."""
        match self.distribution:
            case FloatDistribution():
                return self.domain.from_unit(internal)
            case IntDistribution(log=True):
                return int(internal)
            case _:
                return self.domain.from_unit((internal + 0.5) / self.domain.size())


def _distribution(domain: Domain, most_values: float) -> BaseDistribution:
    size = domain.size()
    match domain:
        case Choice(ordered=False):
            return CategoricalDistribution(range(len(domain.values)))
        case _ if math.isinf(size) or size > most_values:
            return FloatDistribution(0.0, 1.0)
        case Int(low=low, high=high, log=True):
            return IntDistribution(low, high, log=True)
        case _:
            return IntDistribution(0, int(size) - 1)
