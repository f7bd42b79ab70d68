"""A space with some parameters made constants, and with what this decides folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.constraints import Constraint, Predicate
from archsearch.spaces.dependency_order import Step
from archsearch.spaces.domains import Domain, Float
from archsearch.spaces.errors import ConfigError
from archsearch.spaces.flattening import Parameter


class PartialSpace:
    """`parameters` are what is left of the steps: those that can be active; `constraints(…)` what is left of those.

    A condition or constraint that reads nothing of what the values decide stays as it is.
    """

    def __init__(self, steps: Sequence[Step], values: Mapping[str, Value]) -> None:
        """Raises ConfigError for a value outside its domain, or of a parameter that then cannot be active."""
        self.parameters: dict[str, Parameter] = {}
        self._constants: dict[str, Value] = {}
        self._decided = set(values)  # names: constant now, gone, or active now whatever else is chosen
        for step in steps:
            self._take(step.parameter, values)

    def constraints(self, constraints: Sequence[Constraint]) -> Iterator[Constraint]:
        """Those that may still be broken. Raises ConfigError for one that the values break."""
        for constraint in constraints:
            if isinstance(constraint, Predicate):
                yield from self._predicate(constraint)
            elif not constraint.names & self._decided:
                yield constraint
            elif constraint.names <= self.parameters.keys():
                truth = constraint.must.decided(self._constants)
                if truth is False and self._always_active(constraint.names):
                    shown = {name: self._constants[name] for name in sorted(constraint.names & self._constants.keys())}
                    raise ConfigError(
                        f"constraint '{constraint.name}' cannot hold with {shown}; fix other values",
                        parameter=constraint.name,
                        value=shown,
                    )
                if not truth:
                    yield constraint

    def _take(self, parameter: Parameter, values: Mapping[str, Value]) -> None:
        name, condition = parameter.name, parameter.condition
        if condition and condition.names & self._decided:
            possible = condition.names <= self.parameters.keys()
            truth = condition.decided(self._constants) if possible else False
            if truth is False and name in values:
                raise ConfigError(
                    f"parameter '{name}' is {values[name]!r}, but is active only when {condition.text}; leave it out",
                    parameter=name,
                    value=values[name],
                )
            if truth is False:
                self._decided.add(name)
                return
            if truth and self._always_active(condition.names):
                self._decided.add(name)
                condition = None
        domain = parameter.domain
        if name in values:
            parameter.check(values[name])
            domain = Choice(_own(domain, values[name]))
        if domain.size() == 1:
            self._constants[name] = domain.from_unit(0.5)
        self.parameters[name] = replace(parameter, domain=domain, condition=condition)

    def _predicate(self, constraint: Predicate) -> Iterator[Constraint]:
        if constraint.scope is None:
            yield constraint
        elif scope := {own: name for own, name in constraint.scope.items() if name in self.parameters}:
            yield replace(constraint, scope=scope)

    def _always_active(self, names: frozenset[str]) -> bool:
        return all(self.parameters[name].condition is None for name in names)


def _own(domain: Domain, value: Value) -> Value:
    """The value as the domain itself would give it: 1.0 of a Float, not 1."""
    match domain:
        case Choice():
            return domain.values[domain.index(value)]
        case Float(step=None):
            return float(value)  # type: ignore[arg-type]  # a value of the domain is a number
        case _:
            return domain.from_unit(domain.to_unit(value))
