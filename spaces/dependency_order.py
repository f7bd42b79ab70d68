"""The order in which a space's parameters get their values: each after those that its condition reads.

Sampling and enumeration follow it, and test a constraint as soon as every parameter that it reads has a value, so that
they can give up an illegal draw, or skip a branch of the grid, early.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from archsearch.spaces.choices import Value
from archsearch.spaces.constraints import Constraint
from archsearch.spaces.errors import SpaceError, unknown
from archsearch.spaces.flattening import Parameter

Holds = Callable[[Mapping[str, Value]], bool]


@dataclass(frozen=True, slots=True)
class Decision:
    """A parameter, and the constraints that can be tested once it has a value."""

    parameter: Parameter
    constraints: tuple[Constraint, ...] = ()
    # Cached, because sampling uses them for every parameter of every config.
    name: str = field(init=False)
    holds: Holds | None = field(init=False, compare=False)  # None: always active
    draw: Callable[[float], Value] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        condition = self.parameter.condition
        object.__setattr__(self, "name", self.parameter.name)
        object.__setattr__(self, "holds", condition.holds if condition else None)
        domain = self.parameter.domain
        object.__setattr__(self, "draw", domain.draw if domain.prior else domain.from_unit)


def in_dependency_order(by_name: Mapping[str, Parameter], constraints: Collection[Constraint]) -> tuple[Decision, ...]:
    """One decision for each parameter, each after those that it depends on, otherwise by name.

    The order does not depend on that of the declaration, so that equal spaces draw equal configs.

    Raises:
        SpaceError: A condition or constraint reads an unknown parameter, or conditions depend on each other.
    """
    for parameter in by_name.values():
        _check_names(f"the condition of '{parameter.name}'", _reads(parameter), by_name)
    for constraint in constraints:
        _check_names(f"constraint '{constraint.name}'", constraint.names or (), by_name)
    position = {name: index for index, name in enumerate(_in_order(by_name))}
    tested: dict[str, list[Constraint]] = {name: [] for name in position}
    for constraint in constraints:
        reads = position.keys() if constraint.names is None else constraint.names
        if not reads:
            raise SpaceError(f"constraint '{constraint.name}' is in a space without parameters; declare one")
        tested[max(reads, key=position.__getitem__)].append(constraint)
    return tuple(Decision(by_name[name], tuple(tested[name])) for name in position)


def group_by_condition(decisions: Iterable[Decision]) -> Iterator[tuple[Holds | None, list[Decision]]]:
    """Groups consecutive decisions under the same condition, so that it is evaluated once for all of them."""
    for _, group in groupby(decisions, key=lambda decision: decision.parameter.condition):
        members = list(group)
        yield members[0].holds, members


def _in_order(by_name: Mapping[str, Parameter]) -> Iterator[str]:
    placed: set[str] = set()
    left = sorted(by_name)
    while left:
        ready = [name for name in left if _reads(by_name[name]) <= placed]
        if not ready:
            raise SpaceError(f"the conditions of {', '.join(left)} depend on each other; remove one of them")
        yield from ready
        placed.update(ready)
        left = [name for name in left if name not in placed]


def _reads(parameter: Parameter) -> frozenset[str]:
    return parameter.condition.names if parameter.condition else frozenset()


def _check_names(reader: str, names: Collection[str], known: Collection[str]) -> None:
    for name in sorted(names):
        if name not in known:
            raise SpaceError(f"{reader} reads an {unknown('parameter', name, known)}")
