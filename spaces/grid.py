"""A space as a list: every legal config once, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

from archsearch.spaces.dependency_order import Step
from archsearch.spaces.domains import Choice, Domain, Float, Int, Value
from archsearch.spaces.errors import SpaceError

_COUNTED = 10_000  # how many configs of the deciding parameters `size` goes through


def grid(steps: Sequence[Step], points: int | None) -> Iterator[dict[str, Value]]:
    """Every legal config once, the last step's values changing first; of an Int or Float with more, `points` values.

    Raises SpaceError at once for a continuous Float without `points`.
    """
    if points is not None and (isinstance(points, bool) or not isinstance(points, int) or points < 2):
        raise SpaceError(f"a grid's points must be a whole number of at least 2, got {points!r}")
    for step in steps:
        if points is None and math.isinf(step.parameter.domain.size()):
            raise SpaceError(
                f"parameter '{step.parameter.name}' has infinitely many values; say how many of them: grid(points=5)"
            )
    return _grid(steps, points)


def size(steps: Sequence[Step], points: int | None = None) -> float:
    """How many configs there are when constraints are ignored; may be infinite.

    Exact while the parameters that conditions read have few configs; beyond, as if all parameters were active.
    """
    sizes = {step.parameter.name: _count(step.parameter.domain, points) for step in steps}
    if math.inf in sizes.values():
        return math.inf
    read = {name for step in steps if step.parameter.condition for name in step.parameter.condition.names}
    others = [step.parameter for step in steps if step.parameter.name not in read]
    deciding = grid([Step(step.parameter) for step in steps if step.parameter.name in read], points)
    total: float = 0
    for config in islice(deciding, _COUNTED):
        total += math.prod(sizes[p.name] for p in others if p.condition is None or p.condition.holds(config))
    return total if next(deciding, None) is None else math.prod(sizes.values())


def _grid(steps: Sequence[Step], points: int | None) -> Iterator[dict[str, Value]]:
    config: dict[str, Value] = {}

    def options(step: Step) -> Iterator[tuple[Value, ...]]:
        """Each value in a tuple, or one empty tuple where the parameter is not active."""
        active = step.holds is None or step.holds(config)
        return ((value,) for value in _values(step.parameter.domain, points)) if active else iter([()])

    # What is left to try, for each step that is decided. No recursion: a space may have a thousand parameters.
    trail: list[Iterator[tuple[Value, ...]]] = []
    while True:
        if len(trail) < len(steps):
            trail.append(options(steps[len(trail)]))
        else:
            yield dict(config)
        while trail and not _next(config, steps[len(trail) - 1], trail[-1]):
            trail.pop()
        if not trail:
            return


def _next(config: dict[str, Value], step: Step, options: Iterator[tuple[Value, ...]]) -> bool:
    """Gives the step its next legal value, or none where it is not active; False when there is no next."""
    for held in options:
        if held:
            config[step.name] = held[0]
        if not any(constraint.violated(config) for constraint in step.constraints):
            return True
    config.pop(step.name, None)
    return False


def _count(domain: Domain, points: int | None) -> float:
    """How many of its values a grid takes, or a few more: some points of a log Int or a narrow Float are one."""
    return domain.size() if points is None or isinstance(domain, Choice) else min(domain.size(), points)


def _values(domain: Domain, points: int | None) -> Iterator[Value]:
    match domain:
        case Choice():
            yield from domain.values
        case Int() | Float() if points is not None and domain.size() > points:
            inner = (domain.from_unit(index / (points - 1)) for index in range(1, points - 1))
            # The last of a stepped domain may lie below `high`; a log Float's own ends may differ from these by an ulp.
            last = domain.high if math.isinf(domain.size()) else domain.from_unit(1.0)
            yield from dict.fromkeys((domain.low, *inner, last))
        case Int():
            yield from range(domain.low, domain.high + 1, domain.step)
        case Float():
            size = int(domain.size())
            yield from (domain.from_unit((index + 0.5) / size) for index in range(size))
