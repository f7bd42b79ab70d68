"""What a study wants of its trials: metrics to maximise or minimise, constraints on metrics; and who ranks first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import le
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsearch.spaces import SpecError


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric that the study is about, and which way is better."""

    metric: str
    maximize: bool

    def better(self, left: float, right: float) -> bool:
        """Is `left` strictly better than `right`?"""
        return left > right if self.maximize else left < right

    def loss(self, value: float) -> float:
        """The value turned so that lower is better, as every model and pruner wants it."""
        return -value if self.maximize else value

    def __str__(self) -> str:
        return f"{'maximize' if self.maximize else 'minimize'} {self.metric}"


_CONSTRAINT = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_LEAST = 5e-324  # the excess of a value that lies on a bound which it may not reach


@dataclass(frozen=True, slots=True)
class OutcomeConstraint:
    """A bound that a trial's metric must keep, for the trial to be one of the best: `parameters < 1e6`."""

    metric: str
    sense: str  # one of < <= > >=
    bound: float

    @classmethod
    def from_text(cls, text: str) -> OutcomeConstraint:
        """Raises SpecError for what does not read `METRIC < NUMBER`, with any of < <= > >=."""
        found = _CONSTRAINT.fullmatch(text) if isinstance(text, str) else None
        try:
            bound = float(found[3]) if found else math.nan
        except ValueError:
            bound = math.nan
        if found is None or not math.isfinite(bound):
            raise SpecError(
                f"an outcome constraint must read like 'parameters < 1e6' (a metric, one of < <= > >=, a number), "
                f"got {text!r}"
            )
        return cls(found[1], found[2], bound)

    def beyond(self, value: float) -> float:
        """How far the value is beyond the bound, in parts of the bound (of 1, where that is 0); above 0 breaks it."""
        beyond = value - self.bound if "<" in self.sense else self.bound - value
        parts = beyond / (abs(self.bound) or 1.0)
        return max(parts, _LEAST) if beyond > 0 or (beyond == 0 and "=" not in self.sense) else parts

    def excess(self, value: float) -> float:
        """The same, and 0 where the bound is kept."""
        return max(0.0, self.beyond(value))

    def __str__(self) -> str:
        short = f"{self.bound:g}"
        return f"{self.metric} {self.sense} {short if float(short) == self.bound else self.bound}"


class ObjectiveVector(NamedTuple):
    """Where a trial stands: how far beyond the outcome constraints (0: it keeps them), and each goal's loss.

    With one goal the lower of two points is the better one.
    """

    violation: float
    losses: tuple[float, ...]

    def covers(self, other: ObjectiveVector) -> bool:
        """Is it at least as good in everything?"""
        return self.violation <= other.violation and all(map(le, self.losses, other.losses))


def ranks(points: Sequence[ObjectiveVector]) -> list[int]:
    """The rank of each point, from 0 for the best; points of which none is better share one.

    Those that keep the constraints come first: with several goals by Pareto fronts, the points that no other of them
    beats in one goal without losing in another, then those that only the first front beats, and so on. The others
    follow by how far they are beyond the constraints (Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic
    Algorithm: NSGA-II", sections III.A and VI).
    """
    keys = _keys(points)
    place = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return [place[key] for key in keys]


def order(points: Sequence[ObjectiveVector]) -> list[int]:
    """The places of the points, the best first: by rank, and within a rank those that lie apart from the others first.

    Apart, where there are several goals, by the crowding distance of NSGA-II (section III.B); equals stand in the order
    in which they were given.
    """
    keys = _keys(points)
    ranked = sorted(range(len(points)), key=keys.__getitem__)
    if _one_goal(points):
        return ranked
    found: list[int] = []
    for _, members in groupby(ranked, key=keys.__getitem__):
        front = [*members]
        apart = _crowding([points[place].losses for place in front]) if len(front) > 1 else [0.0]
        found += [place for _, place in sorted(zip((-a for a in apart), front, strict=True))]
    return found


def _one_goal(points: Sequence[ObjectiveVector]) -> bool:
    return not points or len(points[0].losses) == 1


def _keys(points: Sequence[ObjectiveVector]) -> list[tuple[float, float]]:
    """What the points rank by: lower is better, and equal is equal."""
    if _one_goal(points):
        return [(point.violation, 0.0 if point.violation else point.losses[0]) for point in points]
    fronts = iter(_fronts([point.losses for point in points if not point.violation]))
    return [(point.violation, 0.0 if point.violation else next(fronts)) for point in points]


def hypervolume(losses: NDArray[np.float64]) -> float:
    """The share of the unit cube that points with losses of 0 to 1, (points, goals), beat.

    Zitzler and Thiele 1998, "Multiobjective Optimization Using Evolutionary Algorithms: A Comparative Case Study",
    which calls it the size of the space covered.
    """
    # Here and not above: with one goal nobody needs it.
    import moocore  # type: ignore[import-untyped]  # it has no types

    return float(moocore.hypervolume(losses, ref=np.ones(losses.shape[1])))


def _fronts(losses: Sequence[tuple[float, ...]]) -> list[float]:
    """The front that each point is in, from 0."""
    import moocore

    return [float(front) for front in moocore.pareto_rank(np.array(losses))] if losses else []


def _crowding(losses: Sequence[tuple[float, ...]]) -> list[float]:
    """How far each point's neighbours in its front lie apart, summed over the goals; infinite at either end of one."""
    distances = np.zeros(len(losses))
    for column in np.array(losses).T:
        places = np.argsort(column, kind="stable")
        span = column[places[-1]] - column[places[0]]
        if span > 0:
            distances[places[1:-1]] += (column[places[2:]] - column[places[:-2]]) / span
            distances[places[[0, -1]]] = math.inf
    return distances.tolist()
