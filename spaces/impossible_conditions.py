"""Finds conditions with a comparison that no value of the parameter satisfies: `optimizer == 'SGD'`, but it is 'sgd'.

What such a condition declares is never active, without any other sign of the mistake.
"""

from __future__ import annotations

from collections.abc import Mapping

from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.errors import SpaceError, nearest
from archsearch.spaces.expressions import Comparison
from archsearch.spaces.flattening import Parameter


def check_conditions(by_name: Mapping[str, Parameter]) -> None:
    """Check that every comparison of a condition can be true.

    Parameters with a single value are left out: a choice that is replaced by a constant for a while must not require
    another change.

    Raises:
        SpaceError: A condition compares a parameter with a literal that is outside of its domain.
    """
    for parameter in by_name.values():
        for comparison in parameter.condition.comparisons() if parameter.condition else ():
            read = by_name[comparison.name]
            if not read.fixed and _never_true(comparison, read.domain):
                raise SpaceError(
                    f"the condition of '{parameter.name}' can never hold: {comparison.text}, but '{read.name}' is "
                    f"{read.domain}{_hint(comparison, read.domain)}"
                )


def _never_true(comparison: Comparison, domain: Domain) -> bool:
    values = domain.values if isinstance(domain, Choice) else (domain.from_unit(0.0), domain.from_unit(1.0))
    try:
        match comparison.operator, domain:
            case (("==" | "in" | "<" | "<=" | ">" | ">="), Choice()):
                return not any(map(comparison.true_of, values))
            case (("<" | "<=" | ">" | ">="), _):
                return not any(map(comparison.true_of, values))
            case "==", _:
                return not _may_equal(comparison.literal, domain)
            case "in", _ if isinstance(comparison.literal, tuple | list | set):
                return not any(_may_equal(item, domain) for item in comparison.literal)
            case _:
                return False  # `!=` and `not in` are true of most values
    except TypeError:
        return False  # the two cannot be compared, which is an error when the condition is evaluated


def _may_equal(literal: object, domain: Domain) -> bool:
    if isinstance(literal, bool) or (isinstance(literal, float) and literal.is_integer()):
        literal = int(literal)  # in Python, True and 1.0 equal 1
    return literal in domain


def _hint(comparison: Comparison, domain: Domain) -> str:
    literal = comparison.literal[0] if isinstance(comparison.literal, tuple) and comparison.literal else None
    got = literal if comparison.operator == "in" else comparison.literal
    if isinstance(domain, Choice):
        near = nearest(str(got), [str(value) for value in domain.values])
        meant = [value for value in domain.values if str(value) == near]
        if meant:
            return f"; did you mean {meant[0]!r}?"
    return "; change the condition or the domain"
