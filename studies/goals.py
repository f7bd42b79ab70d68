"""The goals of a study and its constraints on metrics, and how trials rank by them."""

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
    """A metric to optimize.

    Attributes:
        metric: The name of the metric.
        maximize: Whether higher values are better.
    """

    metric: str
    maximize: bool

    def better(self, left: float, right: float) -> bool:
        """Whether `left` is strictly better than `right`."""
        return left > right if self.maximize else left < right

    def loss(self, value: float) -> float:
        """The value, negated if it is maximized, so that lower is better."""
        return -value if self.maximize else value

    def __str__(self) -> str:
        return f"{'maximize' if self.maximize else 'minimize'} {self.metric}"


_CONSTRAINT = re.compile(r"\s*([^\s<>=]+)\s*(<=|>=|<|>)\s*(\S+)\s*")
_SMALLEST_EXCESS = 5e-324  # of a value that equals a bound which excludes equality


@dataclass(frozen=True, slots=True)
class OutcomeConstraint:
    """A bound on a metric, such as `parameters < 1e6`. A trial that violates it is infeasible and cannot be the best.

    Attributes:
        metric: The name of the metric.
        sense: `<`, `<=`, `>` or `>=`.
        bound: The bound, in the unit of the metric.
    """

    metric: str
    sense: str
    bound: float

    @classmethod
    def from_text(cls, text: str) -> OutcomeConstraint:
        """Parse a constraint.

        Args:
            text: A metric, one of `<`, `<=`, `>`, `>=`, and a finite number: "parameters < 1e6".

        Raises:
            SpecError: The text has another form.
        """
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
        """How far the value exceeds the bound, relative to the bound (absolute for a bound of 0).

        Positive if the constraint is violated, and 0 or negative if it is satisfied.
        """
        beyond = value - self.bound if "<" in self.sense else self.bound - value
        relative = beyond / (abs(self.bound) or 1.0)
        violated = beyond > 0 or (beyond == 0 and "=" not in self.sense)
        return max(relative, _SMALLEST_EXCESS) if violated else relative

    def excess(self, value: float) -> float:
        """Like `beyond`, but 0 if the constraint is satisfied."""
        return max(0.0, self.beyond(value))

    def __str__(self) -> str:
        short = f"{self.bound:g}"
        return f"{self.metric} {self.sense} {short if float(short) == self.bound else self.bound}"


class ObjectiveVector(NamedTuple):
    """What a trial is ranked by. With one goal, the lower of two vectors is the better one.

    Attributes:
        violation: The total excess over the outcome constraints; 0 for a feasible trial.
        losses: The loss for each goal: its value, negated if it is maximized.
    """

    violation: float
    losses: tuple[float, ...]

    def weakly_dominates(self, other: ObjectiveVector) -> bool:
        """Whether this vector is at least as good as the other one in its violation and in every loss."""
        return self.violation <= other.violation and all(map(le, self.losses, other.losses))


def ranks(vectors: Sequence[ObjectiveVector]) -> list[int]:
    """Rank vectors by constrained non-domination.

    Feasible vectors come first. With several goals, rank 0 is the Pareto front, rank 1 the front of the remaining
    vectors, and so on. Infeasible vectors follow, ordered by their violation (Deb et al. 2002, "A Fast and Elitist
    Multiobjective Genetic Algorithm: NSGA-II", sections III.A and VI).

    Args:
        vectors: The vectors of trials of one study.

    Returns:
        The rank of each vector, from 0 for the best. Vectors of which none is better share a rank.
    """
    keys = _keys(vectors)
    rank_of = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return [rank_of[key] for key in keys]


def best_first(vectors: Sequence[ObjectiveVector]) -> list[int]:
    """Sort vectors by rank and, with several goals, by decreasing crowding distance within a rank.

    The crowding distance is that of NSGA-II (Deb et al. 2002, section III.B). Ties keep the order of the input.

    Args:
        vectors: The vectors of trials of one study.

    Returns:
        The indices of the vectors, best first.
    """
    keys = _keys(vectors)
    ranked = sorted(range(len(vectors)), key=keys.__getitem__)
    if _one_goal(vectors):
        return ranked
    found: list[int] = []
    for _, members in groupby(ranked, key=keys.__getitem__):
        front = [*members]
        distances = _crowding([vectors[index].losses for index in front]) if len(front) > 1 else [0.0]
        found += [index for _, index in sorted(zip((-d for d in distances), front, strict=True))]
    return found


def _one_goal(vectors: Sequence[ObjectiveVector]) -> bool:
    return not vectors or len(vectors[0].losses) == 1


def _keys(vectors: Sequence[ObjectiveVector]) -> list[tuple[float, float]]:
    """The sort key of each vector: lower is better, and vectors of equal rank have equal keys."""
    if _one_goal(vectors):
        return [(vector.violation, 0.0 if vector.violation else vector.losses[0]) for vector in vectors]
    fronts = iter(_fronts([vector.losses for vector in vectors if not vector.violation]))
    return [(vector.violation, 0.0 if vector.violation else next(fronts)) for vector in vectors]


def hypervolume(losses: NDArray[np.float64]) -> float:
    """The hypervolume that the losses dominate, relative to the reference point (1, …, 1).

    Zitzler and Thiele 1998, "Multiobjective Optimization Using Evolutionary Algorithms: A Comparative Case Study",
    where it is called the size of the space covered.

    Args:
        losses: (trials, goals), each scaled to 0 … 1.

    Returns:
        The dominated share of the unit cube, 0 … 1.
    """
    import moocore  # type: ignore[import-untyped]  # it has no types; imported here, as studies with one goal need none

    return float(moocore.hypervolume(losses, ref=np.ones(losses.shape[1])))


def _fronts(losses: Sequence[tuple[float, ...]]) -> list[float]:
    """The number of the front that each vector of losses belongs to, from 0."""
    import moocore

    return [float(front) for front in moocore.pareto_rank(np.array(losses))] if losses else []


def _crowding(losses: Sequence[tuple[float, ...]]) -> list[float]:
    """The crowding distance of each member of a front: infinite for the best and the worst in any of the goals."""
    distances = np.zeros(len(losses))
    for column in np.array(losses).T:
        indices = np.argsort(column, kind="stable")
        span = column[indices[-1]] - column[indices[0]]
        if span > 0:
            distances[indices[1:-1]] += (column[indices[2:]] - column[indices[:-2]]) / span
            distances[indices[[0, -1]]] = math.inf
    return distances.tolist()
