"""Partial evaluation of a space: some parameters become constants, and conditions and constraints are simplified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.constraints import Constraint, Predicate
from archsearch.spaces.dependency_order import Decision
from archsearch.spaces.domains import Domain, Float
from archsearch.spaces.errors import ConfigError
from archsearch.spaces.flattening import Parameter


class PartialSpace:
    """The space that remains once some parameters have fixed values.

    `parameters` holds those that can still be active, and `constraints(…)` filters those that can still be violated.
    Conditions and constraints that do not depend on the fixed values are kept as they are.
    """

    def __init__(self, decisions: Sequence[Decision], values: Mapping[str, Value]) -> None:
        """Raises ConfigError for a value outside of its domain, or for a parameter that cannot be active then."""
        self.parameters: dict[str, Parameter] = {}
        self._constants: dict[str, Value] = {}
        self._decided = set(values)  # names of parameters that are constant, removed, or always active now
        for decision in decisions:
            self._add(decision.parameter, values)

    def constraints(self, constraints: Sequence[Constraint]) -> Iterator[Constraint]:
        """Those that can still be violated. Raises ConfigError for one that the values violate."""
        for constraint in constraints:
            if isinstance(constraint, Predicate):
                yield from self._predicate(constraint)
            elif not constraint.names & self._decided:
                yield constraint
            elif constraint.names <= self.parameters.keys():
                truth = constraint.expression.decided(self._constants)
                if truth is False and self._always_active(constraint.names):
                    shown = {name: self._constants[name] for name in sorted(constraint.names & self._constants.keys())}
                    raise ConfigError(
                        f"constraint '{constraint.name}' cannot hold with {shown}; fix other values",
                        parameter=constraint.name,
                        value=shown,
                    )
                if not truth:
                    yield constraint

    def _add(self, parameter: Parameter, values: Mapping[str, Value]) -> None:
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
    """The value in the domain's own type: 1.0 for a Float, not 1."""
    match domain:
        case Choice():
            return domain.values[domain.index(value)]
        case Float(step=None):
            return float(value)  # type: ignore[arg-type]  # a value of the domain is a number
        case _:
            return domain.from_unit(domain.to_unit(value))
