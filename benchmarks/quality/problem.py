"""What a benchmark problem is: a space, the curve of each configuration, and what a configuration is really worth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from archsearch import Config, Space

Curve = Callable[[Config, int], Iterable[tuple[float, float]]]  # of a config in a world: each step's seconds and loss

DRAWS = 1000  # random configurations, whose median score is a regret of 1


def drawing(world: int, part: int) -> np.random.Generator:
    """What a world's part is drawn from: no strategy's generator, which would know where the optimum is."""
    return np.random.default_rng([world, part, 2009])


@dataclass(frozen=True, slots=True)
class Problem:
    """A loss to be minimised over `space`. Everything may depend on the world, which is the number of the seed.

    So each seed shows another instance (an optimum elsewhere, another repeat of a noisy training), and the same to
    every strategy: results are compared in pairs, world by world.

    budget: reports of a full trial, of which the last one counts; a loss that is not finite fails the trial.
    score: what a configuration is worth without the noise that the strategy saw: a winner is judged by its mean, not by
        the repeat that made it win. best: the lowest score that there is.
    """

    name: str
    about: str
    space: Space
    budget: int
    curve: Curve
    score: Callable[[Config, int], float]
    best: Callable[[int], float]

    def final(self, config: Config, world: int) -> float | None:
        """The loss of a full trial; None when it fails."""
        losses = [loss for _, loss in self.curve(config, world)][: self.budget]
        return losses[-1] if all(map(math.isfinite, losses)) else None

    def typical(self, world: int) -> float:
        """The median score of random configurations, the same ones for every strategy."""
        rng = np.random.default_rng(0)
        return statistics.median(self.score(self.space.sample(rng), world) for _ in range(DRAWS))
