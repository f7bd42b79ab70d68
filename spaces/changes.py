"""The differences between two spaces, as a list of readable changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from archsearch.spaces.constraints import Constraint, Rule
from archsearch.spaces.domains import Choice, Domain
from archsearch.spaces.flattening import Parameter


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `what` names the parameter or constraint; `before` and `after` show it, None where it is absent."""

    kind: Literal["added", "removed", "changed"]
    what: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        match self.kind:
            case "added":
                return f"added {self.what}: {self.after}"
            case "removed":
                return f"removed {self.what}: {self.before}"
            case _:
                return f"changed {self.what}: {self.before} → {self.after}"


def changes(
    before: Mapping[str, Parameter],
    after: Mapping[str, Parameter],
    constraints_before: Sequence[Constraint],
    constraints_after: Sequence[Constraint],
) -> Iterator[Change]:
    """All changes, those of parameters first. There are none exactly if both sides declare the same."""
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            yield Change("removed", name, str(before[name]), None)
        elif name not in before:
            yield Change("added", name, None, str(after[name]))
        else:
            for old, new in zip(_aspects(before[name]), _aspects(after[name]), strict=True):
                if old != new:
                    yield Change("changed", name, old, new)
    # Counters, since two Python functions may have the same name.
    old_counts, new_counts = (
        Counter((c.name, _constraint(c)) for c in cs) for cs in (constraints_before, constraints_after)
    )
    for what, text in sorted((old_counts - new_counts).elements()):
        yield Change("removed", what, text, None)
    for what, text in sorted((new_counts - old_counts).elements()):
        yield Change("added", what, None, text)


def _constraint(constraint: Constraint) -> str:
    return "a constraint" if isinstance(constraint, Rule) else "a constraint in Python"


def _aspects(parameter: Parameter) -> tuple[str, ...]:
    """Domain, prior, condition and path, each as text."""
    domain, condition = parameter.domain, parameter.condition
    if isinstance(domain, Choice):
        without_prior: Domain = Choice(*domain.values, ordered=domain.ordered)
    else:
        without_prior = replace(domain, prior=None)
    return (
        f"{without_prior}",
        "no prior" if domain.prior is None else f"prior {domain.prior}",
        f"when {condition.text}" if condition else "always active",
        f"nested as {list(parameter.path)}",
    )
