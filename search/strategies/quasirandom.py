"""Quasi-random search: the points of a scrambled Sobol sequence, which cover a space more evenly than random draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archsearch.search.protocols import Strategy
from archsearch.search.strategies.random import Random
from archsearch.spaces import Config, Space, SpecError
from archsearch.spaces.deduplication import is_new
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, StudyRecord

_MAX_POINTS = 1000  # points that are skipped at most before a configuration is drawn at random
_MAX_REPEATS = 20  # the same, for points whose configuration was tried before


@dataclass(frozen=True, slots=True)
class QuasiRandom(Strategy):
    """Quasi-random search with a Sobol sequence, scrambled by the study's seed.

    Use it in place of random search where results must not influence the choice: it costs the same and avoids the gaps
    and clusters of random draws. In Bergstra & Bengio 2012, section 4, a Sobol sequence was the best of the designs
    that do not learn. The coverage is best after 2, 4, 8, … trials.

    Each free parameter has its own dimension, which is ignored if the parameter is not active; a prior transforms it as
    it does random draws. A point that violates a constraint is skipped, so that the remaining points are spread over
    the legal part of the space; after 1,000 points one configuration is drawn at random. A point whose
    configuration was tried before is also skipped; after 20 of these, a random configuration that was not tried is
    proposed.

    A proposal records its `point`, the index in the sequence, in its state. The next proposal continues after the
    highest index in the history; in a continuous space without constraints the index is the trial's number.

    References:
        Bergstra & Bengio 2012, "Random Search for Hyper-Parameter Optimization", section 4.
        Sobol 1967, "On the distribution of points in a cube", for the sequence.
        Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points", for the scrambling, as implemented by scipy.

    Raises:
        SpecError: By `propose`, if the space has more than 21,201 free parameters, for which there is no sequence.
    """

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """Return the configuration at the next point of the sequence."""
        study = history.study
        if not study.space.free:
            return Random().propose(history, rng)
        tried = [trial.config for trial in history.trials]
        points = _sobol(study, 1 + max((trial.proposal.state.get("point", -1) for trial in history.trials), default=-1))
        repeats = 0
        for place, point in (next(points) for _ in range(_MAX_POINTS)):
            config = _config(study.space, point)
            if study.space.violated(config):
                continue
            if is_new(study.space, tried, config):
                return Proposal(config, state={"point": place})
            repeats += 1
            if repeats == _MAX_REPEATS:
                break
        return replace(Random().propose(history, rng), state={"point": place})


def _sobol(study: StudyRecord, start: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The sequence from this index on, as pairs of index and point, (free parameters,), in [0, 1)."""
    # Imported here because it takes a second: every worker imports the spec file, but only the driver asks.
    from scipy.stats import qmc

    dimensions = len(study.space.free)
    if dimensions > qmc.Sobol.MAXDIM:
        raise SpecError(
            f"QuasiRandom supports at most {qmc.Sobol.MAXDIM:,} free parameters, and this space has {dimensions:,}; "
            "use Random()"
        )
    # Spawned from the first trial's generator, so that it differs from the generator of every trial.
    scramble = study.generator(0).spawn(1)[0]
    sequence = qmc.Sobol(dimensions, scramble=True, rng=scramble)
    if start:
        sequence.fast_forward(start)
    place = start
    while True:
        yield place, sequence.random(1)[0]
        place += 1


def _config(space: Space, point: NDArray[np.float64]) -> Config:
    """The configuration at this point; it may violate a constraint."""
    units = dict(zip((parameter.name for parameter in space.free), point.tolist(), strict=True))
    return space.walk(lambda parameter: parameter.domain.draw(units.get(parameter.name, 0.5)))
