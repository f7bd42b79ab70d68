"""A history as an in-memory Optuna study, kept up to date, and asked for what its TPE suggests.

Trials stand in the Optuna study in the order of their numbers, as running, complete or pruned; a failed one as pruned
without a value, because samplers do not see Optuna's own failed trials, and would go where they failed again and again.
What `suggest` asks Optuna for is marked as failed before it returns, which does hide it from every sampler: whether a
proposal becomes a trial is for the history to say. Of a long history a sampler is shown a part, by a storage that
leaves out the rest.

With several goals Optuna knows no intermediate values, and with constraints it takes what breaks them for worse than
what failed. So there we rank what did not finish within the constraints ourselves, anew for each ask, and the sampler
is shown each such trial as breaking a constraint by its place: to it the lower ones are the better ones.

An unordered choice enters as the index of its value, a continuous number as its place in the unit interval (`to_unit`).
Whole numbers and ordered choices are discrete distributions while the history is short. Of these Optuna computes every
bin's mass one by one in Python, which becomes most of its time; in a long history they too enter as their places, each
in the middle of its share of the interval (docs/decisions/0004).
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from bisect import insort
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from archsearch.search.strategies._models.optuna_domains import OptunaDomain
from archsearch.search.strategies._models.prior_weighted_tpe import PriorWeightedTPE
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies._shared.ranking import ranked
from archsearch.spaces import Config, Parameter, Value, neighbour, repair
from archsearch.spaces.deduplication import untried
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Trial

_TRIES = 10  # suggestions until what breaks a constraint, or is no news, is repaired; each costs an ask
_NEIGHBOURS = 100  # of the last suggestion, where all of them are no news
_SHORT = 250  # trials that ended: up to these an ask is quick, and whole numbers enter as such
_GOOD = 25  # the most trials that TPESampler counts as good: the best tenth, up to these


class _Entry(NamedTuple):
    """How a trial of the history stands in the Optuna study."""

    state: TrialState
    values: tuple[float, ...] = ()  # of the goals
    step: int = 0

    def rank(self, goal: Goal) -> tuple[int, int, float]:
        """The lower, the better, in the order in which TPESampler takes trials for good ones; for a goal alone."""
        if not self.values:
            return (2, 0, 0.0)
        if self.state is TrialState.COMPLETE:
            return (0, 0, goal.loss(self.values[0]))
        return (1, -self.step, goal.loss(self.values[0]))


class _Storage(optuna.storages.InMemoryStorage):
    """Within `showing`, samplers see some trials alone, and those created since, which fail at its end.

    Of the trials shown, some appear to break a constraint by so much.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[FrozenTrial] | None = None
        self._since: list[int] = []

    @contextmanager
    def showing(self, trial_ids: Iterable[int], broken: Mapping[int, float]) -> Iterator[None]:
        self._shown = [
            _breaking(self.get_trial(trial_id), broken[trial_id]) if trial_id in broken else self.get_trial(trial_id)
            for trial_id in trial_ids
        ]
        self._since = []
        try:
            yield
        finally:
            self._shown = None
            for trial_id in self._since:
                if self.get_trial(trial_id).state is TrialState.RUNNING:
                    self.set_trial_state_values(trial_id, TrialState.FAIL)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._since.append(trial_id)
        return trial_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = [*self._shown, *map(self.get_trial, self._since)]
        chosen = trials if states is None else [trial for trial in trials if trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen


class Mirror:
    """Keeps `study`, an Optuna study that says what a history says."""

    def __init__(self, history: History) -> None:
        study = history.study
        self._long = history.ended > _SHORT
        self._space, self._goals, self._constraints = study.space, study.goals, study.outcome_constraints
        self._several = len(self._goals) > 1 or bool(self._constraints)
        self._history = history
        most_values = 0 if self._long else math.inf
        self._domains = {
            parameter.name: OptunaDomain.from_domain(parameter.domain, most_values=most_values)
            for parameter in study.space.free
        }
        self._trials: list[Trial] = []  # as they were last seen, by number; so the next three
        self._configs: list[Config] = []
        self._entries: list[_Entry] = []
        self._ids: list[int] = []  # Optuna's
        self._ranked: list[tuple[tuple[int, int, float], int]] = []  # of those that ended, the best first, by one goal
        self._ended: list[int] = []  # the same, by number
        self._open: tuple[int, ...] = ()
        self._storage = _Storage()
        with _quiet():
            self.study = optuna.create_study(
                storage=self._storage, directions=["maximize" if goal.maximize else "minimize" for goal in self._goals]
            )
        self._study_id = self._storage.get_study_id_from_name(self.study.study_name)
        self.follow(history)

    def follow(self, history: History) -> bool:
        """Bring the study up to the history. False when that is no continuation of what was seen, or has become long.

        After False the mirror is of no use; make another.
        """
        study = history.study
        if (study.goals, study.outcome_constraints) != (self._goals, self._constraints):
            return False
        if study.space is not self._space and study.space != self._space:
            return False
        if len(history.trials) < len(self._trials) or self._long != (history.ended > _SHORT):
            return False
        self._history, self._open = history, history.unfinished
        # What has not changed is the same object.
        changed = [trial for trial, seen in zip(history.trials, self._trials, strict=False) if trial is not seen]
        new = history.trials[len(self._trials) :]
        for trial in new:
            self._enter(trial)
        return all(self._update(trial) for trial in (*changed, *new))

    def suggest(
        self, n: int, weighting: PriorWeighting, candidates: int, remembered: int, rng: np.random.Generator
    ) -> list[tuple[Config, bool]]:
        """`n` legal configs by a new TPE sampler, none of them known if there is a choice; each with whether it is
        another than was suggested.

        The sampler is shown no more ended trials than `remembered`, by the rule that TPE states, and all open ones.
        """
        with _quiet():
            self.study.sampler = PriorWeightedTPE(
                {name: partial(self._factor, weighting, name) for name in weighting.names},
                n_startup_trials=0,
                n_ei_candidates=candidates,
                seed=int(rng.integers(2**32)),
                multivariate=True,
                group=True,
                constant_liar=True,
            )
        known = [*self._configs]
        chosen: list[tuple[Config, bool]] = []
        best_first = self._best_first()
        shown = self._remembered(best_first, remembered)
        with self._storage.showing([self._ids[number] for number in shown], self._broken(best_first, shown)):
            for _ in range(n):
                config, repaired = self._untried(known, rng)
                chosen.append((config, repaired))
                known.append(config)
                self._created(config)  # as running, it keeps the next one apart
        return chosen

    def _untried(self, known: Sequence[Config], rng: np.random.Generator) -> tuple[Config, bool]:
        """The next suggestion that is legal and none of the known configs; after some, what is nearest to the last."""
        suggested: list[Config] = []

        def candidates() -> Iterator[Config]:
            for _ in range(_TRIES):
                suggested.append(self._suggestion())
                if not self._space.broken(suggested[-1]):
                    yield suggested[-1]
            legal = repair(self._space, suggested[-1], rng)
            yield legal
            for _ in range(_NEIGHBOURS):
                yield neighbour(self._space, legal, rng)

        config = untried(self._space, known, candidates())
        return config, all(config is not each for each in suggested)

    def _suggestion(self) -> Config:
        """What the sampler suggests; Optuna knows no constraints."""
        trial = self.study.ask()
        config = self.config(trial)
        self.study.tell(trial, state=TrialState.FAIL)
        return config

    def config(self, trial: optuna.Trial) -> Config:
        """The config that this trial of Optuna suggests."""
        return self._space.walk(lambda parameter: self._choose(trial, parameter))

    def _choose(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        domain, name = parameter.domain, parameter.name
        if parameter.fixed:
            return domain.from_unit(0.5)
        match self._domains[name].distribution:
            case CategoricalDistribution(choices=choices):
                return self._domains[name].from_optuna(choices.index(trial.suggest_categorical(name, choices)))
            case IntDistribution(low=low, high=high, log=log):
                return self._domains[name].from_optuna(trial.suggest_int(name, low, high, log=log))
            case _:
                return self._domains[name].from_optuna(trial.suggest_float(name, 0.0, 1.0))

    def _factor(self, weighting: PriorWeighting, name: str, internal: float) -> float:
        return weighting.of_value(self._domains[name].domain, self._domains[name].from_optuna(internal))

    def _best_first(self) -> list[int]:
        """The numbers of the trials that ended."""
        if not self._several:
            return [number for _, number in self._ranked]
        valued = [trial.number for trial in ranked(self._history, map(self._trials.__getitem__, self._ended))]
        return [*valued, *sorted({*self._ended}.difference(valued))]

    def _broken(self, best_first: Sequence[int], shown: Iterable[int]) -> dict[int, float]:
        """By Optuna's id, what stands behind the trials that finished within the constraints, by its place."""
        if not self._several:
            return {}
        places = {number: float(place) for place, number in enumerate(best_first, start=1)}
        return {self._ids[n]: places[n] for n in shown if n in places and not self._kept(n)}

    def _kept(self, number: int) -> bool:
        point = self._history.objectives(self._trials[number])
        return self._entries[number].state is TrialState.COMPLETE and point is not None and not point.violation

    def _remembered(self, best_first: Sequence[int], most: int) -> list[int]:
        """The numbers of the trials that the sampler is shown."""
        if len(best_first) <= most:
            return [*range(len(self._trials))]
        best = {*best_first[:_GOOD]}
        rest = [number for number in self._ended[-most:] if number not in best]
        return sorted([*best, *rest[len(best) - most :], *self._open])

    def _created(self, config: Config) -> int:
        """Optuna's id of a new trial, which is running."""
        trial_id = self._storage.create_new_trial(self._study_id)
        for name, value in config.items():
            if name in self._domains:
                domain = self._domains[name]
                self._storage.set_trial_param(trial_id, name, domain.to_optuna(value), domain.distribution)
        return trial_id

    def _enter(self, trial: Trial) -> None:
        self._ids.append(self._created(trial.config))
        self._trials.append(trial)
        self._configs.append(trial.config)
        self._entries.append(_Entry(TrialState.RUNNING))

    def _update(self, trial: Trial) -> bool:
        """Enter the trial's end. False when it contradicts what was seen."""
        seen, entry, now = self._trials[trial.number], self._entries[trial.number], self._entry(trial)
        if trial.config != seen.config or (now != entry and entry.state is not TrialState.RUNNING):
            return False
        if now != entry:
            self._end(self._ids[trial.number], now)
            if not self._several:
                insort(self._ranked, (now.rank(self._goals[0]), trial.number))
            insort(self._ended, trial.number)
        self._trials[trial.number], self._entries[trial.number] = trial, now
        return True

    def _entry(self, trial: Trial) -> _Entry:
        found = [value for goal in self._goals if (value := trial.value(goal.metric)) is not None]
        values = tuple(found) if len(found) == len(self._goals) else ()
        match trial.state:
            case "finished" if values:
                return _Entry(TrialState.COMPLETE, values)
            case "pruned":
                return _Entry(TrialState.PRUNED, values, trial.step)
            case "finished" | "failed":
                return _Entry(TrialState.PRUNED)  # without a value, which Optuna ranks last of all
            case _:
                return _Entry(TrialState.RUNNING)

    def _end(self, trial_id: int, entry: _Entry) -> None:
        # Of a pruned trial's curve, TPE reads the last step and its value, and nothing else.
        if entry.state is TrialState.PRUNED and entry.values and not self._several:
            self._storage.set_trial_intermediate_value(trial_id, entry.step, entry.values[0])
        values = entry.values if entry.state is TrialState.COMPLETE else None
        self._storage.set_trial_state_values(trial_id, entry.state, values)


def _breaking(trial: FrozenTrial, excess: float) -> FrozenTrial:
    """A copy of the trial that breaks a constraint by so much."""
    broken = copy.copy(trial)
    broken.system_attrs = {}
    broken.set_constraint("place", excess)
    return broken


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line about the new study, and its notice that `group` is experimental."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
