"""Constraints forbid combinations of values that are each legal on their own.

    Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))

Prefer text: it can be written as JSON, and the space knows which parameters it reads, so it can test the constraint as
soon as these have values. A Python function can express more, but outside of the process that declared it only its
name is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archsearch.spaces.errors import SpaceError
from archsearch.spaces.expressions import Expression


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint as text. It does not apply to a config in which a parameter that it reads is inactive."""

    expression: Expression

    def __repr__(self) -> str:
        return f"constraint({self.expression.text!r})"

    @property
    def name(self) -> str:
        return self.expression.text

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it reads."""
        return self.expression.names

    def violated(self, config: Mapping[str, Any]) -> bool:
        """Whether the config violates the constraint."""
        return self.expression.names <= config.keys() and not self.expression.true_of(config)

    def within(self, holder: str, names: Mapping[str, str]) -> Rule:
        """The same constraint in an enclosing space, in which the parameters have these names."""
        return Rule(self.expression.renamed(names))

    def to_json(self) -> str:
        return self.expression.text


@dataclass(frozen=True, slots=True)
class Predicate:
    """A constraint as a Python function, which is given the config and returns whether it is legal.

    The function of a nested space is given the nested part of the config, and does not apply while that is inactive.

    Args:
        name: The name of the function.
        function: None for a constraint that was read from JSON.
        scope: Maps the names that the function knows to the names of the enclosing space; None if they are the same.
    """

    name: str
    function: Callable[[dict[str, Any]], object] | None = field(default=None, compare=False)
    scope: Mapping[str, str] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"constraint({self.name})"

    @property
    def names(self) -> frozenset[str] | None:
        """The parameters that it may read; None: all."""
        return None if self.scope is None else frozenset(self.scope.values())

    def violated(self, config: Mapping[str, Any]) -> bool:
        """Whether the config violates the constraint. Raises SpaceError if the function fails or is not known."""
        if self.function is None:
            raise SpaceError(
                f"constraint '{self.name}' is a Python function, and a stored space keeps only its name; use the space "
                "of the spec file that declares it"
            )
        scope = {name: name for name in config} if self.scope is None else self.scope
        part = {own: config[name] for own, name in scope.items() if name in config}
        if not part:
            return False
        shown = dict(part)
        try:
            verdict = self.function(part)
        except Exception as error:  # a user's function may raise anything
            raise SpaceError(f"constraint '{self.name}' raised {type(error).__name__} for {shown}: {error}") from error
        if not isinstance(verdict, bool | np.bool_):
            raise SpaceError(f"constraint '{self.name}' must return True or False, got {verdict!r} for {shown}")
        return not verdict

    def within(self, holder: str, names: Mapping[str, str]) -> Predicate:
        """The same constraint in an enclosing space, in which the parameters have these names."""
        scope = names if self.scope is None else {own: names[name] for own, name in self.scope.items()}
        return Predicate(f"{holder}.{self.name}", self.function, dict(scope))

    def to_json(self) -> dict[str, str]:
        return {"function": self.name}


Constraint = Rule | Predicate


def constraint(rule: str | Callable[[dict[str, Any]], object]) -> Constraint:
    """Declares what every config must satisfy.

    Args:
        rule: Text such as `"low < high"`, with parameter names, constants, comparisons, `in`, `and`, `or`, `not` and
            arithmetic; it does not apply while a parameter that it reads is inactive. Or a Python function that takes
            the config as a dict and returns True if it is legal. Prefer text: a function cannot be stored, and is
            tested only when all parameters have values.

    Returns:
        The constraint, to be passed to `Space(...)` or `Study(constraints=[...])`.

    Raises:
        SpaceError: The text does not parse, or reads no parameter.

    Example:
        >>> from archsearch import Int, Space, constraint
        >>> space = Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))
        >>> space.legal({"low": 5, "high": 3})
        False
    """
    if callable(rule):
        return Predicate(getattr(rule, "__name__", type(rule).__name__), rule)
    return _rule(Expression.from_text(rule, "constraint"))


def forbidden(rule: str) -> Constraint:
    """Declares what no config may satisfy.

    Args:
        rule: Text, as for `constraint`.

    Returns:
        The constraint that the rule does not hold.

    Raises:
        SpaceError: The text does not parse, or reads no parameter.

    Example:
        >>> from archsearch import Choice, Float, Space, forbidden
        >>> rule = forbidden("optimizer == 'sgd' and lr > 0.1")
        >>> space = Space(rule, optimizer=Choice("sgd", "adam"), lr=Float(1e-4, 1.0, log=True))
        >>> space.legal({"optimizer": "sgd", "lr": 0.5})
        False
    """
    return _rule(Expression.from_text(rule, "constraint").negated())


def constraint_from_json(body: str | Mapping[str, str]) -> Constraint:
    """The constraint that `to_json` wrote; of a Python function, only its name."""
    return constraint(body) if isinstance(body, str) else Predicate(body["function"])


def _rule(expression: Expression) -> Rule:
    if not expression.names:
        raise SpaceError(f"constraint {expression.text!r} reads no parameter, so it holds always or never; remove it")
    return Rule(expression)


@dataclass(frozen=True, slots=True)
class RejectionRates:
    """How many random configs the constraints reject, as shares of all draws."""

    share: float  # rejected by at least one constraint
    by_constraint: Mapping[str, float]  # by the constraint's name, the largest share first
