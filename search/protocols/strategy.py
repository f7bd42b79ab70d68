"""Strategy: chooses configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import ClassVar

import numpy as np

from archsearch.search.protocols.settings_repr import settings_repr
from archsearch.spaces import Config, SpecError, repair
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.completion import completed
from archsearch.spaces.deduplication import sure_to_be_new, untried
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, StudyRecord

_MAX_ATTEMPTS = 21  # calls of `propose` before an untried configuration is used instead


class Strategy(ArgumentHints):
    """Chooses configurations, as a function of the history. The base of every strategy.

    A subclass implements `propose`, which chooses one configuration; everything around it is done here:

        class Annealing(Strategy):
            def propose(self, history, rng):
                space, best = history.study.space, history.best
                return space.sample(rng) if best is None else mutate(space, best.config, rng)

    A strategy that chooses several configurations jointly overrides `ask` instead.

    A strategy is stateless: its proposals depend only on its settings, the history and `rng`. It may keep a cache
    between two calls, but a new instance with the same history must make the same proposals, so that a study can be
    resumed and every decision replayed. To remember something, put it into `Proposal.state` and read it from the
    history. A strategy must not keep a random generator, clock, file or store.

    `archsearch.search.testing.strategies.StrategyContract` tests all of this.
    """

    __slots__ = ()

    needs_budget: ClassVar[bool] = False  # True: a study without a budget is refused

    def propose(self, history: History, rng: np.random.Generator) -> Proposal | Config | None:
        """Choose one configuration.

        Values of NumPy are made plain, and parameters with only one value may be left out. A value outside of its
        domain is an error. A configuration that violates a constraint of the space is repaired. If it was tried before,
        `propose` is called again, up to 20 times, and then an untried configuration is used instead, as long as the
        space has one.

        Args:
            history: All trials so far, including waiting and running ones; trials proposed in the same call of `ask`
                are waiting.
            rng: The random numbers to use; seeded by the study's seed and the number of the trial.

        Returns:
            The configuration, or a `Proposal` with additional data to record; None if nothing is left to try.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement propose() or ask()")

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Propose at most `n` trials; by default, one after the other by `propose`.

        Args:
            history: All trials so far, including waiting and running ones.
            n: The number of free workers.
            rng: Seeded by the study's seed and the number of the first trial, `len(history.trials)`.

        Returns:
            The proposals. An empty list means "wait"; if no trial is running, it ends the study.
        """
        proposals: list[Proposal] = []
        for each in history.generators(n, rng):
            proposal = self._new(history, each)
            if proposal is None:
                break
            proposals.append(proposal)
            history = history.with_proposals([proposal])
        return proposals

    def promote(self, history: History, n: int) -> list[Extension]:
        """Choose at most `n` paused trials to continue. Called before each `ask`, which gets the remaining slots.

        A trial pauses if the budget of its proposal is below that of the study. By default, none continues.
        """
        return []

    def check_study(self, study: StudyRecord, trials: int | None) -> None:
        """Check that this strategy can be used in a study, before the store is created.

        Args:
            study: The declaration of the study.
            trials: Its total number of trials; None if another limit ends it.

        Raises:
            SpecError: It cannot be used; by default it always can.
        """

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warnings about settings that have no effect in this study; by default none.

        `archsearch check` and the start of a run show them.

        Args:
            study: The declaration of the study.
            trials: Its total number of trials; None if another limit ends it.
        """
        return []

    def __repr__(self) -> str:
        """The class and its settings: the arguments of its constructor, as attributes of the same names.

        It is recorded in the store, and compared when a study is continued.
        """
        return settings_repr(self)

    def _new(self, history: History, rng: np.random.Generator) -> Proposal | None:
        """A proposal with a legal and, if the space has one left, untried configuration; None if nothing is left."""
        space = history.study.space
        made: list[Proposal] = []

        def candidates() -> Iterator[Config]:
            while len(made) < _MAX_ATTEMPTS and (proposed := self.propose(history, rng)) is not None:
                if not isinstance(proposed, Proposal | Mapping):
                    raise SpecError(f"propose must return a config (a dict), a Proposal or None, got {proposed!r}")
                proposal = proposed if isinstance(proposed, Proposal) else Proposal(proposed)
                proposal = replace(proposal, config=completed(proposal.config, space))
                if space.violated(proposal.config):
                    proposal = replace(proposal, config=repair(space, proposal.config, rng))
                made.append(replace(proposal, proposer=proposal.proposer or type(self).__name__.lower()))
                yield proposal.config

        drawn = candidates()
        first = next(drawn, None)
        if first is None:
            return None
        if made[0].drawn_at_random and sure_to_be_new(space, first):
            return made[0]
        config = untried(space, [trial.config for trial in history.trials], chain([first], drawn))
        found = next((proposal for proposal in made if proposal.config is config), made[0])
        return replace(found, config=config)
