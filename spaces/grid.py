"""Enumeration of a space: every legal config once, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from archsearch.spaces.dependency_order import Decision
from archsearch.spaces.domains import Choice, Domain, Float, Int, Value
from archsearch.spaces.errors import SpaceError

_COUNTED = 10_000  # how many configs of the parameters that conditions read `size` enumerates


def grid(decisions: Sequence[Decision], points: int | None) -> Iterator[dict[str, Value]]:
    """Every legal config once, the last decision varying fastest. An Int or Float is reduced to `points` values.

    Raises:
        SpaceError: `points` is invalid, or missing for a continuous Float. Raised by the call, not by the iterator.
    """
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 2):
        raise SpaceError(f"grid points must be a whole number of at least 2, got {points!r}")
    for decision in decisions:
        if points is None and math.isinf(decision.parameter.domain.size()):
            raise SpaceError(
                f"parameter '{decision.parameter.name}' has infinitely many values; say how many to use, grid(points=5)"
            )
    return _grid(decisions, points)


def size(decisions: Sequence[Decision], points: int | None = None) -> float:
    """The number of configs if constraints are ignored; may be infinite.

    Exact if the parameters that conditions read have few combinations. Otherwise an upper bound: that of a space in
    which all parameters are always active.
    """
    sizes = {decision.parameter.name: _count(decision.parameter.domain, points) for decision in decisions}
    if math.inf in sizes.values():
        return math.inf
    parameters = [decision.parameter for decision in decisions]
    read = {name for p in parameters if p.condition for name in p.condition.names}
    others = [p for p in parameters if p.name not in read]
    deciding = grid([Decision(p) for p in parameters if p.name in read], points)
    total: float = 0
    for config in islice(deciding, _COUNTED):
        total += math.prod(sizes[p.name] for p in others if p.condition is None or p.condition.holds(config))
    return total if next(deciding, None) is None else math.prod(sizes.values())


def _grid(decisions: Sequence[Decision], points: int | None) -> Iterator[dict[str, Value]]:
    config: dict[str, Value] = {}

    def options(decision: Decision) -> Iterator[tuple[Value, ...]]:
        """Each value in a tuple of one; a single empty tuple if the parameter is inactive."""
        active = decision.holds is None or decision.holds(config)
        return ((value,) for value in _values(decision.parameter.domain, points)) if active else iter([()])

    # The remaining options of each decision so far. Not recursive, because a space may have a thousand parameters.
    trail: list[Iterator[tuple[Value, ...]]] = []
    while True:
        if len(trail) < len(decisions):
            trail.append(options(decisions[len(trail)]))
        else:
            yield dict(config)
        while trail and not _next(config, decisions[len(trail) - 1], trail[-1]):
            trail.pop()
        if not trail:
            return


def _next(config: dict[str, Value], decision: Decision, options: Iterator[tuple[Value, ...]]) -> bool:
    """Advances the decision to its next legal option. False if there is none left."""
    for held in options:
        if held:
            config[decision.name] = held[0]
        if not any(constraint.violated(config) for constraint in decision.constraints):
            return True
    config.pop(decision.name, None)
    return False


def _count(domain: Domain, points: int | None) -> float:
    """The number of values in a grid. An upper bound: some points of a log Int or a narrow Float may coincide."""
    return domain.size() if points is None or isinstance(domain, Choice) else min(domain.size(), points)


def _values(domain: Domain, points: int | None) -> Iterator[Value]:
    match domain:
        case Choice():
            yield from domain.values
        case Int() | Float() if points is not None and domain.size() > points:
            inner = (domain.from_unit(index / (points - 1)) for index in range(1, points - 1))
            # With a step, the last value may be below `high`; `from_unit` of a log Float may miss its ends by an ulp.
            last = domain.high if math.isinf(domain.size()) else domain.from_unit(1.0)
            yield from dict.fromkeys((domain.low, *inner, last))
        case Int():
            yield from range(domain.low, domain.high + 1, domain.step)
        case Float():
            size = int(domain.size())
            yield from (domain.from_unit((index + 0.5) / size) for index in range(size))
