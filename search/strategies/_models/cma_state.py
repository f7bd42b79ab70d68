"""The state of CMA-ES after a history; the only file of the strategies that imports cmaes.

The proposals record the points that were drawn, and which trials the distribution was updated with, in order. So the
state is rebuilt by repeating the updates, without drawing any random numbers.
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

_INITIAL_SIGMA = 1 / 6  # in the unit interval: three standard deviations reach from the middle to either end
_MAX_DRAWS = 100  # draws of an illegal or known configuration until it is repaired, and neighbours of the repaired one
_MAX_DISCRETE_VALUES = 10**6  # a domain of more values is treated as continuous
_MAX_GENERATIONS_LATE = 3  # older points lie too far outside of a distribution that has shrunk since


class CmaState:
    """The search distribution of CMA-ES, with its restarts.

    Args:
        history: The history of the study, for its space and the first mean.
        population: The number of trials per generation; None is the default of the library.

    Attributes:
        generation: The number of updates so far, over all restarts.
        start_trial: The trial around which the first distribution was centred; None if there was none.

    Raises:
        SpecError: The space has no parameter that CMA-ES can search.
    """

    def __init__(self, history: History, population: int | None) -> None:
        self.generation = 0
        self.start_trial = _start_trial(history)
        self._study = study = history.study
        self._columns = [parameter for parameter in study.space.free if _is_column(parameter.domain)]
        if not self._columns:
            raise SpecError(
                "CmaEs searches numeric parameters, and this space has only unordered choices; use TPE(), or set "
                "ordered=True for choices whose neighbouring values are similar"
            )
        self._told: list[Trial] = []
        self._worst = -np.inf  # the highest loss so far of a trial that satisfies the outcome constraints
        low, self._steps = np.transpose([_low_and_step(parameter.domain) for parameter in self._columns])
        self._bounds = np.stack([low, 1 - low], axis=1)  # (columns, 2)
        start = {} if self.start_trial is None else history.trials[self.start_trial].config
        self._restart(np.array([_initial_mean(parameter, start) for parameter in self._columns]), population)

    def follow(self, history: History) -> bool:
        """Repeat the updates that the proposals of the history record.

        Returns:
            False if the updates made so far are not the first of these. The state is then invalid; create a new one.
        """
        if history.study != self._study or _start_trial(history) != self.start_trial:
            return False
        numbers = [number for trial in _proposed_here(history) for number in trial.proposal.state.get("told", ())]
        recorded = [history.trials[number] for number in numbers]
        if recorded[: len(self._told)] != self._told:
            return False
        remaining = iter(recorded[len(self._told) :])
        while generation := list(islice(remaining, self._cma.population_size)):
            self._tell(history, generation)
        return True

    def advance(self, history: History) -> list[int]:
        """Update with every complete generation of trials that have ended since.

        Returns:
            The numbers of these trials, in the order of the updates.
        """
        before = len(self._told)
        while len(ready := self.ready_to_tell(history)) >= self._cma.population_size:
            self._tell(history, ready[: self._cma.population_size])
        return [trial.number for trial in self._told[before:]]

    def ready_to_tell(self, history: History) -> list[Trial]:
        """The trials that ended and have not been used in an update, by number; without those that are too old."""
        told = {trial.number for trial in self._told}
        oldest = max(self._first, self.generation - _MAX_GENERATIONS_LATE)
        ended = (trial for trial in _proposed_here(history) if trial.outcome is not None and trial.number not in told)
        return [trial for trial in ended if trial.proposal.state["generation"] >= oldest]

    def draw(self, tried: Sequence[Config], rng: np.random.Generator) -> tuple[Config, list[float]]:
        """Draw a legal configuration.

        Args:
            tried: Configurations that are not drawn again while there is another.
            rng: The random numbers to use.

        Returns:
            The configuration, and the point that it counts as, (columns,). The coordinate of a value that was repaired
            is that of the repaired value.
        """
        space = self._study.space
        self._cma.reseed_rng(int(rng.integers(2**32)))
        for _ in range(_MAX_DRAWS):
            encoded, point = self._cma.ask()
            config = self._config(space, encoded, rng)
            if not space.violated(config) and is_new(space, tried, config):
                return config, point.tolist()
        legal = repair(space, config, rng)
        repaired = untried(space, tried, (legal, *(neighbour(space, legal, rng) for _ in range(_MAX_DRAWS))))
        for column, parameter in enumerate(self._columns):
            if parameter.name in repaired and repaired[parameter.name] != config.get(parameter.name):
                point[column] = parameter.domain.to_unit(repaired[parameter.name])
        return repaired, point.tolist()

    def _restart(self, mean: NDArray[np.float64], population: int | None) -> None:
        """Start a new distribution with this mean, (columns,)."""
        self._first = self.generation
        self._cma = CMAwM(
            mean=mean.clip(self._bounds[:, 0], self._bounds[:, 1]),
            sigma=_INITIAL_SIGMA,
            bounds=self._bounds,
            steps=self._steps,
            population_size=population,
            seed=0,  # not used: every draw sets its own seed
        )

    def _tell(self, history: History, trials: Sequence[Trial]) -> None:
        """Update the distribution with one generation."""
        points = {
            t.number: point for t in trials if t.state != "failed" and (point := history.objectives(t)) is not None
        }
        losses = {number: point.losses[0] for number, point in points.items() if not point.violation}
        self._worst = max([self._worst, *losses.values()])
        worst = self._worst if np.isfinite(self._worst) else 0.0
        infeasible = {number: worst + point.violation for number, point in points.items() if point.violation}
        # cmaes sorts stably: in this order, trials that violate a constraint rank behind others of the same loss, and
        # failed trials behind both.
        ranked = sorted(trials, key=lambda trial: (trial.number not in points, trial.number not in losses))
        values, failed = losses | infeasible, max([worst, *infeasible.values()])
        self._cma.tell([(np.array(t.proposal.state["drawn"]), values.get(t.number, failed)) for t in ranked])
        self._told += trials
        self.generation += 1
        if self._cma.should_stop():
            rng = np.random.default_rng(np.random.SeedSequence(self._study.seed, spawn_key=(self.generation,)))
            self._restart(rng.random(len(self._columns)), 2 * self._cma.population_size)

    def _config(self, space: Space, encoded: NDArray[np.float64], rng: np.random.Generator) -> Config:
        """The configuration at this point, (columns,); the parameters that CMA-ES does not search are drawn."""
        units = dict(zip((parameter.name for parameter in self._columns), encoded.tolist(), strict=True))

        def choose(parameter: Parameter) -> Value:
            domain = parameter.domain
            return domain.from_unit(units[parameter.name]) if parameter.name in units else domain.sample(rng)

        return space.walk(choose)


def _proposed_here(history: History) -> list[Trial]:
    """The trials that CMA-ES proposed, by number."""
    return [trial for trial in history.trials if trial.proposal.proposer == "cmaes"]


def _start_trial(history: History) -> int | None:
    """The number of the trial that the first distribution is centred on: the best one before the first draw."""
    first = next(iter(_proposed_here(history)), None)
    if first is not None:
        return first.proposal.state.get("around")
    return history.best_number


def _is_column(domain: Domain) -> bool:
    """Whether CMA-ES searches this domain."""
    return not isinstance(domain, Choice) or domain.ordered or domain.size() == 2


def _low_and_step(domain: Domain) -> tuple[float, float]:
    """The position of the domain's first value in the unit interval, and the distance to the next; 0, 0 if continuous.

    A log Int is treated as continuous because its values are not evenly spaced, and a domain of very many values
    because the midpoints between them could not be distinguished.
    """
    size = domain.size()
    continuous = size > _MAX_DISCRETE_VALUES or (isinstance(domain, Int) and domain.log)
    return (0.0, 0.0) if continuous else (0.5 / size, 1 / size)


def _initial_mean(parameter: Parameter, start: Config) -> float:
    """The value in the start configuration, otherwise that of the prior, otherwise the middle of the domain."""
    domain = parameter.domain
    if parameter.name in start:
        return domain.to_unit(start[parameter.name])
    return 0.5 if isinstance(domain, Choice) or domain.prior is None else domain.to_unit(domain.prior.value)
