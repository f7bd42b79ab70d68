"""Grid search: every configuration of a grid over the space, once, and then the study ends.

For a few parameters with a few values each, where the table of all combinations is wanted. To find a good
configuration among many, random search is the better use of as many trials (Bergstra & Bengio 2012, "Random Search for
Hyper-Parameter Optimization", section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.validation import check_int
from archsearch.spaces import Config, Encoding, Space, SpecError
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

_MOST = 100_000  # configs; they are listed in memory, some 0.4 s and 30 MB


@dataclass(slots=True)
class _Warm:
    """The last study's grid, which takes a moment to list."""

    study: StudyRecord | None = None
    configs: dict[bytes, Config] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grid(Strategy):
    """Every legal configuration of the space's grid once, in an order shuffled by the study's seed.

    - points: of an Int or a Float with more values than that, so many are taken, spread evenly in its measure, ends
      included; a Choice keeps all of its values. None, the default, keeps every value, and refuses a Float without
      `step`, which has no end of them.

    Shuffled, because a study that is cut short then still has seen all parts of the space: its trials are a sample of
    the grid without repetition, where a listing in order would have moved the last parameter alone. Which of the grid
    were tried is read from the history's configurations, whoever proposed them. A trial that failed is not repeated.

    Asking raises SpecError for a grid without end, of more than 100,000 configurations before constraints, or without a
    legal one.
    """

    points: int | None = None
    _warm: _Warm = field(default_factory=_Warm, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_int(self, "points", least=2, allow_none=True)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Up to `n` proposals; fewer, and then none, when the grid is used up. It never waits."""
        study = history.study
        if self._warm.study is not study:
            self._warm.configs, self._warm.study = self._shuffled(study, rng), study
        tried = set(_keys(study.space, (trial.config for trial in history.trials)))
        left = (config for key, config in self._warm.configs.items() if key not in tried)
        return [Proposal(config, proposer="grid") for config in islice(left, n)]

    def _shuffled(self, study: StudyRecord, rng: np.random.Generator) -> dict[bytes, Config]:
        space = study.space
        size = space.size(self.points)
        if size > _MOST:
            endless = [parameter.name for parameter in space.free if math.isinf(parameter.domain.size())]
            what = f"infinitely many values of '{endless[0]}'" if math.isinf(size) else f"{size:,.0f} configs"
            raise SpecError(
                f"the grid of this space has {what}, and Grid lists at most {_MOST:,} configs; give its Floats a step, "
                "take fewer values of each number, as Grid(points=3) does, or use QuasiRandom()"
            )
        configs = list(space.grid(self.points))
        if not configs:
            space.sample(rng)  # raises where it is not the grid's coarseness, but the space that has no legal config
            raise SpecError("no config of the grid keeps the space's constraints; take more points, or use Random()")
        order = np.random.default_rng(study.seed).permutation(len(configs))
        shuffled = [configs[place] for place in order]
        return dict(zip(_keys(space, shuffled), shuffled, strict=True))

    # The list stays at home.
    def __reduce__(self) -> tuple[Any, ...]:
        return Grid, (self.points,)


def _keys(space: Space, configs: Iterable[Config]) -> list[bytes]:
    """The same for equal configs alone."""
    return [row.tobytes() for row in Encoding(space, fill=-1.0).encode(configs)]
