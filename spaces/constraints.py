"""Constraints: what a config may not combine, though each value by itself is legal.

    Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))

Text is the rule: it survives as JSON, and a space can tell which parameters must be known before it is tested. A
Python function may say what text cannot, and is known by its name alone outside of the process that declared it.
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
    """A constraint as text. It does not apply where a parameter that it reads is not active."""

    must: Expression

    def __repr__(self) -> str:
        return f"constraint({self.must.text!r})"

    @property
    def name(self) -> str:
        return self.must.text

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it reads."""
        return self.must.names

    def violated(self, config: Mapping[str, Any]) -> bool:
        return self.must.names <= config.keys() and not self.must.true_of(config)

    def within(self, holder: str, names: Mapping[str, str]) -> Rule:
        """The same in a space that holds this one, where its parameters have other names."""
        return Rule(self.must.renamed(names))

    def to_json(self) -> str:
        return self.must.text


@dataclass(frozen=True, slots=True)
class Predicate:
    """A constraint as a Python function: it is given the config, of a nested space that space's part, and says whether
    it is legal. It does not apply where that part is not active.

    function: None for one that was read from JSON. scope: the space's names for the config's; None: they are the same.
    """

    name: str
    function: Callable[[dict[str, Any]], object] | None = field(default=None, compare=False)
    scope: Mapping[str, str] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"constraint({self.name})"

    @property
    def names(self) -> frozenset[str] | None:
        """The parameters that it reads; None: whatever there is."""
        return None if self.scope is None else frozenset(self.scope.values())

    def violated(self, config: Mapping[str, Any]) -> bool:
        if self.function is None:
            raise SpaceError(
                f"constraint '{self.name}' is a Python function, of which a stored space keeps the name alone; use "
                "the space of the spec that declares it"
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
        """The same in a space that holds this one, where its parameters have other names."""
        scope = names if self.scope is None else {own: names[name] for own, name in self.scope.items()}
        return Predicate(f"{holder}.{self.name}", self.function, dict(scope))

    def to_json(self) -> dict[str, str]:
        return {"function": self.name}


Constraint = Rule | Predicate


def constraint(rule: str | Callable[[dict[str, Any]], object]) -> Constraint:
    """Legal only where this holds: text such as "low < high", or a Python function from a config to True or False.

    Raises SpaceError for text that does not parse or reads no parameter.
    """
    if callable(rule):
        return Predicate(getattr(rule, "__name__", type(rule).__name__), rule)
    return _rule(Expression.from_text(rule, "constraint"))


def forbidden(rule: str) -> Constraint:
    """Not legal where this holds: `forbidden("optimizer == 'sgd' and lr > 0.1")`."""
    return _rule(Expression.from_text(rule, "constraint").negated())


def constraint_from_json(body: str | Mapping[str, str]) -> Constraint:
    """The constraint that `to_json` wrote; of a function, the name."""
    return constraint(body) if isinstance(body, str) else Predicate(body["function"])


def _rule(must: Expression) -> Rule:
    if not must.names:
        raise SpaceError(f"constraint {must.text!r} reads no parameter, so it is always or never broken; drop it")
    return Rule(must)


@dataclass(frozen=True, slots=True)
class RejectionRates:
    """How much of a space its constraints take away: the share of all draws, and of each constraint by itself."""

    share: float
    by_constraint: Mapping[str, float]  # by its name, the largest share first
