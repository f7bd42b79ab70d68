"""Quasi-random search: the points of a scrambled Sobol sequence, which leave no gaps and no heaps as random ones do.

As good as random search without its bad luck, for the same reasons and at the same price: in Bergstra & Bengio 2012
("Random Search for Hyper-Parameter Optimization", section 4) a Sobol sequence was the best of the designs that do not
learn. The sequence is of Sobol 1967 ("On the distribution of points in a cube"), the scrambling of Owen 1998
("Scrambling Sobol' and Niederreiter-Xing points"), by scipy.
"""

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

_TRIES = 1000  # points in a row that break a constraint, after which a config is drawn at random
_REPEATS = 20  # points that are configs tried before, after which it is too


@dataclass(frozen=True, slots=True)
class QuasiRandom(Strategy):
    """The next point of a Sobol sequence that the study's seed has scrambled, as a configuration.

    Each free parameter has a dimension of its own, which goes unused where the parameter is not active; a prior leans
    it as it leans random draws. A point that breaks a constraint is skipped: those that are left are spread over the
    legal part as all are over the whole. After 1,000 such points in a row one config is drawn at random. A point that
    stands for a config tried before is skipped too; after 20 of these it is a random one of what is left.

    A proposal notes its `point`, its place in the sequence, and the next one goes on behind the last that the history
    holds; in a continuum without constraints that is the trial's number. 2, 4, 8, … trials are spread best.

    Asking raises SpecError for a space of more than 21,201 free parameters, for which there is no such sequence.
    """

    def propose(self, history: History, rng: np.random.Generator) -> Proposal:
        """The configuration at the next point of the sequence."""
        study = history.study
        if not study.space.free:
            return Random().propose(history, rng)
        tried = [trial.config for trial in history.trials]
        points = _sobol(study, 1 + max((trial.proposal.state.get("point", -1) for trial in history.trials), default=-1))
        repeats = 0
        for place, point in (next(points) for _ in range(_TRIES)):
            config = _config(study.space, point)
            if study.space.broken(config):
                continue
            if is_new(study.space, tried, config):
                return Proposal(config, state={"point": place})
            repeats += 1
            if repeats == _REPEATS:
                break
        return replace(Random().propose(history, rng), state={"point": place})


def _sobol(study: StudyRecord, start: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The sequence from this place on; each point is of (free parameters,), in [0, 1)."""
    # Here and not above: every worker imports the spec file, only the driver asks, and this takes a second.
    from scipy.stats import qmc

    dimensions = len(study.space.free)
    if dimensions > qmc.Sobol.MAXDIM:
        raise SpecError(
            f"QuasiRandom searches at most {qmc.Sobol.MAXDIM:,} free parameters, and this space has {dimensions:,}; "
            "use Random()"
        )
    # A child of the first trial's, since the trials' own generators are made of the seed and a number.
    scramble = study.generator(0).spawn(1)[0]
    sequence = qmc.Sobol(dimensions, scramble=True, rng=scramble)
    if start:
        sequence.fast_forward(start)
    place = start
    while True:
        yield place, sequence.random(1)[0]
        place += 1


def _config(space: Space, point: NDArray[np.float64]) -> Config:
    """The config at the point, which may break a constraint."""
    even = dict(zip((parameter.name for parameter in space.free), point.tolist(), strict=True))
    return space.walk(lambda parameter: parameter.domain.draw(even.get(parameter.name, 0.5)))
