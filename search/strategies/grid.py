"""Grid search: every configuration of a grid over the space, once."""

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

_MAX_CONFIGS = 100_000  # the grid is listed in memory: this many take about 0.4 s and 30 MB


@dataclass(slots=True)
class _Cache:
    """The shuffled grid of the last study."""

    study: StudyRecord | None = None
    configs: dict[bytes, Config] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grid(Strategy):
    """Grid search: every legal configuration of a grid once, in an order shuffled by the study's seed.

    Use it for a few parameters with a few values each, if the table of all combinations is wanted; the study ends with
    the last one. To find a good configuration among many, random search makes better use of the same number of trials
    (Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 3).

    The order is shuffled so that a study that ends early has covered all parts of the space: its trials are a random
    sample of the grid without repetition. A configuration of the grid that the history contains, whoever proposed it
    and whether or not it failed, is not proposed again.

    Args:
        points: How many values of an Int or Float with more values than that are taken, evenly spaced on its (linear or
            log) scale, both ends included; a Choice keeps all its values. None, the default, takes every value, which
            requires a `step` for each Float.

    Raises:
        SpecError: `points` is invalid; or by `ask`, if the grid is infinite, has more than 100,000 configurations
            before constraints, or no legal one.
    """

    points: int | None = None
    _cache: _Cache = field(default_factory=_Cache, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_int(self, "points", least=2, allow_none=True)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return up to `n` proposals; fewer, and finally none, when the grid is exhausted."""
        study = history.study
        if self._cache.study is not study:
            self._cache.configs, self._cache.study = self._shuffled(study, rng), study
        tried = set(_keys(study.space, (trial.config for trial in history.trials)))
        left = (config for key, config in self._cache.configs.items() if key not in tried)
        return [Proposal(config, proposer="grid") for config in islice(left, n)]

    def _shuffled(self, study: StudyRecord, rng: np.random.Generator) -> dict[bytes, Config]:
        space = study.space
        size = space.size(self.points)
        if size > _MAX_CONFIGS:
            infinite = [parameter.name for parameter in space.free if math.isinf(parameter.domain.size())]
            what = f"infinitely many values of '{infinite[0]}'" if math.isinf(size) else f"{size:,.0f} configs"
            raise SpecError(
                f"the grid of this space has {what}, and Grid lists at most {_MAX_CONFIGS:,} configs; give its Floats "
                "a step, take fewer values of each number, as Grid(points=3) does, or use QuasiRandom()"
            )
        configs = list(space.grid(self.points))
        if not configs:
            space.sample(rng)  # raises if not only the grid but the whole space has no legal configuration
            raise SpecError(
                "no config of the grid satisfies the space's constraints; take more points, or use Random()"
            )
        order = np.random.default_rng(study.seed).permutation(len(configs))
        shuffled = [configs[place] for place in order]
        return dict(zip(_keys(space, shuffled), shuffled, strict=True))

    # Pickled without the cache.
    def __reduce__(self) -> tuple[Any, ...]:
        return Grid, (self.points,)


def _keys(space: Space, configs: Iterable[Config]) -> list[bytes]:
    """A key for each configuration; keys are equal if and only if the configurations are."""
    return [row.tobytes() for row in Encoding(space, fill=-1.0).encode(configs)]
