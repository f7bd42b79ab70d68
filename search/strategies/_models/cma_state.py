"""The distribution of CMA-ES as a history made it; the only file of the strategies that imports cmaes.

What was told, and in which order, stands in the notes of the proposals, and so do the points that were drawn. So the
distribution is made again by telling, without drawing anything anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from cmaes import CMAwM
from numpy.typing import NDArray

from archsearch.spaces import Choice, Config, Domain, Int, Parameter, Space, SpecError, Value, neighbour, repair
from archsearch.spaces.deduplication import is_new, untried
from archsearch.studies.history import History
from archsearch.studies.records import Trial

_WIDTH = 1 / 6  # the first deviation, in unit intervals: three of them reach from the middle to either end
_TRIES = 100  # draws until one that breaks a constraint or is known is repaired, and then so many neighbours of it
_FINE = 10**6  # values; more are a continuum
_LATE = 3  # generations; what was drawn longer ago lies too far outside of a distribution that has shrunk since


class Generations:
    """One distribution after the other; `number` counts the generations that were told, over all of them.

    The first begins around the trial `around`; None: there was none yet.
    """

    def __init__(self, history: History, population: int | None) -> None:
        self.number = 0
        self.around = _around(history)
        self._study = study = history.study
        self._columns = [parameter for parameter in study.space.free if _is_column(parameter.domain)]
        if not self._columns:
            raise SpecError(
                "CmaEs searches numbers, and this space has none but choices without order; use TPE(), or say "
                "ordered=True where neighbours are alike"
            )
        self._told: list[Trial] = []
        self._worst = -np.inf  # the highest loss told of a trial that keeps the outcome constraints
        low, self._steps = np.transpose([_low_and_step(parameter.domain) for parameter in self._columns])
        self._bounds = np.stack([low, 1 - low], axis=1)  # (columns, 2)
        known = {} if self.around is None else history.trials[self.around].config
        self._begin(np.array([_expected(parameter, known) for parameter in self._columns]), population)

    def follow(self, history: History) -> bool:
        """Tell what the history's notes say was told. False when what was told here is not the beginning of that.

        After False it is of no use; make another.
        """
        if history.study != self._study or _around(history) != self.around:
            return False
        numbers = [number for trial in _drawn(history) for number in trial.proposal.state.get("told", ())]
        said = [history.trials[number] for number in numbers]
        if said[: len(self._told)] != self._told:
            return False
        left = iter(said[len(self._told) :])
        while generation := list(islice(left, self._cma.population_size)):
            self._tell(history, generation)
        return True

    def advance(self, history: History) -> list[int]:
        """Tell whole generations of what has ended since; the numbers of these trials, in the order of telling."""
        before = len(self._told)
        while len(untold := self.untold(history)) >= self._cma.population_size:
            self._tell(history, untold[: self._cma.population_size])
        return [trial.number for trial in self._told[before:]]

    def untold(self, history: History) -> list[Trial]:
        """The trials that ended, may be told, and were not; by number."""
        told = {trial.number for trial in self._told}
        oldest = max(self._first, self.number - _LATE)
        ended = (trial for trial in _drawn(history) if trial.outcome is not None and trial.number not in told)
        return [trial for trial in ended if trial.proposal.state["generation"] >= oldest]

    def draw(self, tried: Sequence[Config], rng: np.random.Generator) -> tuple[Config, list[float]]:
        """A legal config, and where it was drawn, (columns,); a repaired value counts as drawn where it is now.

        None of the tried configs while there is another.
        """
        space = self._study.space
        self._cma.reseed_rng(int(rng.integers(2**32)))
        for _ in range(_TRIES):
            encoded, place = self._cma.ask()
            config = self._config(space, encoded, rng)
            if not space.broken(config) and is_new(space, tried, config):
                return config, place.tolist()
        legal = repair(space, config, rng)
        mended = untried(space, tried, (legal, *(neighbour(space, legal, rng) for _ in range(_TRIES))))
        for column, parameter in enumerate(self._columns):
            if parameter.name in mended and mended[parameter.name] != config.get(parameter.name):
                place[column] = parameter.domain.to_unit(mended[parameter.name])
        return mended, place.tolist()

    def _begin(self, mean: NDArray[np.float64], population: int | None) -> None:
        """A new distribution around this point of (columns,)."""
        self._first = self.number
        self._cma = CMAwM(
            mean=mean.clip(self._bounds[:, 0], self._bounds[:, 1]),
            sigma=_WIDTH,
            bounds=self._bounds,
            steps=self._steps,
            population_size=population,
            seed=0,  # of no consequence: every draw is seeded anew
        )

    def _tell(self, history: History, trials: Sequence[Trial]) -> None:
        """One generation."""
        points = {
            t.number: point for t in trials if t.state != "failed" and (point := history.objectives(t)) is not None
        }
        losses = {number: point.losses[0] for number, point in points.items() if not point.violation}
        self._worst = max([self._worst, *losses.values()])
        worst = self._worst if np.isfinite(self._worst) else 0.0
        broken = {number: worst + point.violation for number, point in points.items() if point.violation}
        # What failed stands last, and what breaks a constraint before it; so each ranks behind its equals: cmaes sorts
        # in place, and stably.
        ranked = sorted(trials, key=lambda trial: (trial.number not in points, trial.number not in losses))
        told, failed = losses | broken, max([worst, *broken.values()])
        self._cma.tell([(np.array(t.proposal.state["drawn"]), told.get(t.number, failed)) for t in ranked])
        self._told += trials
        self.number += 1
        if self._cma.should_stop():
            rng = np.random.default_rng(np.random.SeedSequence(self._study.seed, spawn_key=(self.number,)))
            self._begin(rng.random(len(self._columns)), 2 * self._cma.population_size)

    def _config(self, space: Space, encoded: NDArray[np.float64], rng: np.random.Generator) -> Config:
        units = dict(zip((parameter.name for parameter in self._columns), encoded.tolist(), strict=True))

        def choose(parameter: Parameter) -> Value:
            domain = parameter.domain
            return domain.from_unit(units[parameter.name]) if parameter.name in units else domain.sample(rng)

        return space.walk(choose)


def _drawn(history: History) -> list[Trial]:
    """The trials that CMA-ES proposed, by number; there may be others."""
    return [trial for trial in history.trials if trial.proposal.proposer == "cmaes"]


def _around(history: History) -> int | None:
    """The trial around which the first distribution begins: the best one when the first draw was made."""
    first = next(iter(_drawn(history)), None)
    if first is not None:
        return first.proposal.state.get("around")
    return history.best_number


def _is_column(domain: Domain) -> bool:
    return not isinstance(domain, Choice) or domain.ordered or domain.size() == 2


def _low_and_step(domain: Domain) -> tuple[float, float]:
    """Where the domain's first value lies in the unit interval, and how far the next one is; 0, 0 for a continuum.

    A log Int counts as one, because its values are not evenly apart, and so does what has too many values to tell the
    middles between them apart.
    """
    size = domain.size()
    continuous = size > _FINE or (isinstance(domain, Int) and domain.log)
    return (0.0, 0.0) if continuous else (0.5 / size, 1 / size)


def _expected(parameter: Parameter, known: Config) -> float:
    """The known value, or the prior's, or the middle."""
    domain = parameter.domain
    if parameter.name in known:
        return domain.to_unit(known[parameter.name])
    return 0.5 if isinstance(domain, Choice) or domain.prior is None else domain.to_unit(domain.prior.value)
