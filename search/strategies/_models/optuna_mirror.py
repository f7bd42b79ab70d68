"""An in-memory Optuna study that mirrors a history, for suggestions by Optuna's TPE.

Trials are added to the Optuna study in the order of their numbers, as running, complete or pruned. A failed trial is
added as pruned without a value, because samplers ignore Optuna's own failed trials and would suggest configurations
near them again. The trials that `suggest` creates in Optuna are marked as failed before it returns, so that samplers
ignore them: only the history determines which proposals become trials. If the history is long, the storage shows the
sampler only a part of it.

With several goals Optuna ignores intermediate values, and with constraints it ranks trials that violate them behind
those that failed. In these cases the trials that did not finish within the constraints are ranked here, for each ask,
and shown to the sampler as violating a constraint by their rank: it prefers smaller violations.

An unordered choice is represented by the index of its value, and a continuous number by its position in the unit
interval (`to_unit`). Integers and ordered choices have discrete distributions as long as the history is short. Optuna
computes the mass of every bin of these one by one in Python, which dominates its time on long histories; there they are
represented by positions too, each in the middle of its share of the interval (docs/decisions/0004).
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

_MAX_SUGGESTIONS = 10  # suggestions until an illegal or known one is repaired; each costs an ask of Optuna
_NEIGHBOURS = 100  # neighbours of the last suggestion that are tried after that
_SHORT_HISTORY = 250  # up to this many trials that ended, discrete distributions are fast enough
_MAX_GOOD = 25  # TPESampler counts the best tenth of the trials as good, but at most this many


class _Entry(NamedTuple):
    """The state, values and last step of a trial in the Optuna study."""

    state: TrialState
    values: tuple[float, ...] = ()  # one per goal
    step: int = 0

    def rank(self, goal: Goal) -> tuple[int, int, float]:
        """The rank of the trial for TPESampler, with a single goal; lower is better."""
        if not self.values:
            return (2, 0, 0.0)
        if self.state is TrialState.COMPLETE:
            return (0, 0, goal.loss(self.values[0]))
        return (1, -self.step, goal.loss(self.values[0]))


class _Storage(optuna.storages.InMemoryStorage):
    """A storage that can hide trials from samplers, and show others as violating a constraint."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[FrozenTrial] | None = None
        self._created: list[int] = []

    @contextmanager
    def showing(self, trial_ids: Iterable[int], violations: Mapping[int, float]) -> Iterator[None]:
        """Restrict `get_all_trials` to some trials, and those created within the context.

        Trials that were created within the context and are still running fail at its end.

        Args:
            trial_ids: The trials to show.
            violations: By trial, how much it appears to violate a constraint.
        """
        self._shown = [
            _violating(self.get_trial(trial_id), violations[trial_id])
            if trial_id in violations
            else self.get_trial(trial_id)
            for trial_id in trial_ids
        ]
        self._created = []
        try:
            yield
        finally:
            self._shown = None
            for trial_id in self._created:
                if self.get_trial(trial_id).state is TrialState.RUNNING:
                    self.set_trial_state_values(trial_id, TrialState.FAIL)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._created.append(trial_id)
        return trial_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._shown is None:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = [*self._shown, *map(self.get_trial, self._created)]
        selected = trials if states is None else [trial for trial in trials if trial.state in states]
        return copy.deepcopy(selected) if deepcopy else selected


class StudyMirror:
    """An Optuna study that is kept equal to a history.

    Args:
        history: The history to mirror.

    Attributes:
        study: The Optuna study.
    """

    def __init__(self, history: History) -> None:
        study = history.study
        self._long = history.ended > _SHORT_HISTORY
        self._space, self._goals, self._constraints = study.space, study.goals, study.outcome_constraints
        self._several = len(self._goals) > 1 or bool(self._constraints)
        self._history = history
        most_values = 0 if self._long else math.inf
        self._domains = {
            parameter.name: OptunaDomain.from_domain(parameter.domain, most_values=most_values)
            for parameter in study.space.free
        }
        self._trials: list[Trial] = []  # as last mirrored, by number; also the next three lists
        self._configs: list[Config] = []
        self._entries: list[_Entry] = []
        self._ids: list[int] = []  # in Optuna's storage
        self._ranked: list[tuple[tuple[int, int, float], int]] = []  # that ended, best first; for one goal
        self._ended: list[int] = []  # that ended, by number
        self._open: tuple[int, ...] = ()
        self._storage = _Storage()
        with _quiet():
            self.study = optuna.create_study(
                storage=self._storage, directions=["maximize" if goal.maximize else "minimize" for goal in self._goals]
            )
        self._study_id = self._storage.get_study_id_from_name(self.study.study_name)
        self.follow(history)

    def follow(self, history: History) -> bool:
        """Update the study to a later state of the history.

        Returns:
            False if this is not a continuation of the mirrored history, or if the representation changes because the
            history has become long. The mirror is then invalid; create a new one.
        """
        study = history.study
        if (study.goals, study.outcome_constraints) != (self._goals, self._constraints):
            return False
        if study.space is not self._space and study.space != self._space:
            return False
        if len(history.trials) < len(self._trials) or self._long != (history.ended > _SHORT_HISTORY):
            return False
        self._history, self._open = history, history.unfinished
        # A trial that has not changed is the same object.
        changed = [trial for trial, seen in zip(history.trials, self._trials, strict=False) if trial is not seen]
        new = history.trials[len(self._trials) :]
        for trial in new:
            self._add(trial)
        return all(self._update(trial) for trial in (*changed, *new))

    def suggest(
        self, n: int, weighting: PriorWeighting, candidates: int, remembered: int, rng: np.random.Generator
    ) -> list[tuple[Config, bool]]:
        """Suggest legal configurations with a new TPE sampler; known ones only if there are no others.

        Args:
            n: How many configurations.
            weighting: The priors of the space.
            candidates: How many points the sampler draws for each.
            remembered: How many of the trials that ended the sampler is shown; see `TPE`.
            rng: The random numbers to use.

        Returns:
            The configurations, each with whether it differs from all suggestions of the sampler.
        """
        with _quiet():
            self.study.sampler = PriorWeightedTPE(
                {name: partial(self._log_weight, weighting, name) for name in weighting.names},
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
        with self._storage.showing([self._ids[number] for number in shown], self._violations(best_first, shown)):
            for _ in range(n):
                config, repaired = self._untried(known, rng)
                chosen.append((config, repaired))
                known.append(config)
                self._create_running(config)  # counts as running for the next suggestion
        return chosen

    def _untried(self, known: Sequence[Config], rng: np.random.Generator) -> tuple[Config, bool]:
        """The next suggestion that is legal and not known; after some, a configuration close to the last suggestion."""
        suggested: list[Config] = []

        def candidates() -> Iterator[Config]:
            for _ in range(_MAX_SUGGESTIONS):
                suggested.append(self._suggestion())
                if not self._space.violated(suggested[-1]):
                    yield suggested[-1]
            legal = repair(self._space, suggested[-1], rng)
            yield legal
            for _ in range(_NEIGHBOURS):
                yield neighbour(self._space, legal, rng)

        config = untried(self._space, known, candidates())
        return config, all(config is not each for each in suggested)

    def _suggestion(self) -> Config:
        """One suggestion of the sampler; it may violate constraints, which Optuna does not support."""
        trial = self.study.ask()
        config = self.config(trial)
        self.study.tell(trial, state=TrialState.FAIL)
        return config

    def config(self, trial: optuna.Trial) -> Config:
        """The configuration that Optuna suggests for this trial."""
        return self._space.walk(lambda parameter: self._choose(trial, parameter))

    def _choose(self, trial: optuna.Trial, parameter: Parameter) -> Value:
        """The value that Optuna suggests for this parameter."""
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

    def _log_weight(self, weighting: PriorWeighting, name: str, internal: float) -> float:
        """The log prior weight of a value in Optuna's representation."""
        return weighting.of_value(self._domains[name].domain, self._domains[name].from_optuna(internal))

    def _best_first(self) -> list[int]:
        """The numbers of the trials that ended, in the order of their ranks."""
        if not self._several:
            return [number for _, number in self._ranked]
        with_value = [trial.number for trial in ranked(self._history, map(self._trials.__getitem__, self._ended))]
        return [*with_value, *sorted({*self._ended}.difference(with_value))]

    def _violations(self, best_first: Sequence[int], shown: Iterable[int]) -> dict[int, float]:
        """By Optuna's id, the rank of each shown trial that ended, but did not finish within the constraints."""
        if not self._several:
            return {}
        ranks = {number: float(rank) for rank, number in enumerate(best_first, start=1)}
        return {self._ids[n]: ranks[n] for n in shown if n in ranks and not self._is_feasible(n)}

    def _is_feasible(self, number: int) -> bool:
        """Whether the trial finished within the constraints."""
        point = self._history.objectives(self._trials[number])
        return self._entries[number].state is TrialState.COMPLETE and point is not None and not point.violation

    def _remembered(self, best_first: Sequence[int], most: int) -> list[int]:
        """The numbers of the trials that the sampler is shown."""
        if len(best_first) <= most:
            return [*range(len(self._trials))]
        best = {*best_first[:_MAX_GOOD]}
        rest = [number for number in self._ended[-most:] if number not in best]
        return sorted([*best, *rest[len(best) - most :], *self._open])

    def _create_running(self, config: Config) -> int:
        """Create a running trial in Optuna, and return its id."""
        trial_id = self._storage.create_new_trial(self._study_id)
        for name, value in config.items():
            if name in self._domains:
                domain = self._domains[name]
                self._storage.set_trial_param(trial_id, name, domain.to_optuna(value), domain.distribution)
        return trial_id

    def _add(self, trial: Trial) -> None:
        """Add a trial as running."""
        self._ids.append(self._create_running(trial.config))
        self._trials.append(trial)
        self._configs.append(trial.config)
        self._entries.append(_Entry(TrialState.RUNNING))

    def _update(self, trial: Trial) -> bool:
        """Record the end of a trial, if it has ended. False if it contradicts what was mirrored before."""
        before, entry, now = self._trials[trial.number], self._entries[trial.number], self._entry(trial)
        if trial.config != before.config or (now != entry and entry.state is not TrialState.RUNNING):
            return False
        if now != entry:
            self._end(self._ids[trial.number], now)
            if not self._several:
                insort(self._ranked, (now.rank(self._goals[0]), trial.number))
            insort(self._ended, trial.number)
        self._trials[trial.number], self._entries[trial.number] = trial, now
        return True

    def _entry(self, trial: Trial) -> _Entry:
        """The entry that represents this trial."""
        found = [value for goal in self._goals if (value := trial.value(goal.metric)) is not None]
        values = tuple(found) if len(found) == len(self._goals) else ()
        match trial.state:
            case "finished" if values:
                return _Entry(TrialState.COMPLETE, values)
            case "pruned":
                return _Entry(TrialState.PRUNED, values, trial.step)
            case "finished" | "failed":
                return _Entry(TrialState.PRUNED)  # without a value, which Optuna ranks last
            case _:
                return _Entry(TrialState.RUNNING)

    def _end(self, trial_id: int, entry: _Entry) -> None:
        """End a trial in Optuna."""
        # Of the intermediate values of a pruned trial, TPE only reads the last.
        if entry.state is TrialState.PRUNED and entry.values and not self._several:
            self._storage.set_trial_intermediate_value(trial_id, entry.step, entry.values[0])
        values = entry.values if entry.state is TrialState.COMPLETE else None
        self._storage.set_trial_state_values(trial_id, entry.state, values)


def _violating(trial: FrozenTrial, violation: float) -> FrozenTrial:
    """A copy of the trial that violates a constraint by this amount."""
    violating = copy.copy(trial)
    violating.system_attrs = {}
    violating.set_constraint("rank", violation)
    return violating


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's message about the new study, and its warning that `group` is experimental."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
