"""Auto, the default: no single method is best, so it looks at the study, and hands each trial to the one that fits.

What fits was measured on the problems of benchmarks/quality.py. The rule is short enough to be read: `_fit` is all of
it. It decides by the space, by what has ended and how, and by the workers; never by a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from archsearch.search.protocols import Strategy
from archsearch.search.strategies.bayes import Bayes
from archsearch.search.strategies.cma_es import CmaEs
from archsearch.search.strategies.evolution import Evolution
from archsearch.search.strategies.gp import GP
from archsearch.search.strategies.nsga2 import NSGA2
from archsearch.search.strategies.random import Random
from archsearch.search.strategies.tpe import TPE
from archsearch.spaces import Choice, Space
from archsearch.studies.history import History
from archsearch.studies.records import Proposal, Trial

_START = 10  # trials with a value before a model is asked, as each model has it by itself
_FEW = 200  # trials that ended; on more, a Gaussian process takes seconds an ask: its fit is cubic
_WIDE = 40  # parameters; with more, hardly two configs are near each other, and distances say nothing
_REPEATS = 3  # trials in a row that were nothing new; fewer are chance where values are coarse
_PARALLEL = 32  # workers; with more of them, they would wait for the asks of a Gaussian process


class _Fit(NamedTuple):
    """The strategies that take turns, and why these."""

    strategies: tuple[Strategy, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Auto(Strategy):
    """Chooses among the other strategies, with their defaults, and switches as the study goes on. For any study.

    The first that applies:

    - Fewer than 10 trials have a value, or fewer than there are workers: `Random`.
    - The study has several goals: `TPE` and `NSGA2` in turns.
    - Few trials (up to 200 that ended, of up to 40 free parameters, for up to 32 workers), no conditions: `GP`.
    - Not few, and all free parameters are numbers: `CmaEs`, which is cheap, and begins around the best so far.
    - Few trials, with conditions: `Bayes` and `Evolution` in turns.
    - Else: `TPE` and `Evolution` in turns, which cost little.

    In the last two cases `Random` has a turn too while each of the last three trials that it did not choose reported
    what another had, to the last digit. Where the loss has plateaus, what ranks trials proposes the best one again and
    again; a repeat teaches nothing, a trial elsewhere does.

    `GP`, `CmaEs` and `Bayes` take a pruned trial's value for a finished one's. So where more were pruned than finished,
    `TPE` and `Evolution` are asked instead, which rank a pruned trial by how far it came.

    Turns go by the trial's number; those of `Evolution` are random until it has its population. Each proposal
    names its `proposer` and the `reason`, and the report shows both.
    """

    _random: Random = field(default_factory=Random, init=False, repr=False, compare=False)
    _gp: GP = field(default_factory=GP, init=False, repr=False, compare=False)
    _bayes: Bayes = field(default_factory=Bayes, init=False, repr=False, compare=False)
    _tpe: TPE = field(default_factory=TPE, init=False, repr=False, compare=False)
    _cma_es: CmaEs = field(default_factory=CmaEs, init=False, repr=False, compare=False)
    _nsga2: NSGA2 = field(default_factory=NSGA2, init=False, repr=False, compare=False)
    _evolution: Evolution = field(default_factory=Evolution, init=False, repr=False, compare=False)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Always `n` proposals; it never waits. Each strategy sees what the others propose in the same ask."""
        fit, first = self._fit(history), len(history.trials)
        turns = len(fit.strategies)
        generators = history.generators(n, rng)
        made: list[Proposal] = []
        while len(made) < n:
            asked, at_once = fit.strategies[(first + len(made)) % turns], n if turns == 1 else 1
            made += asked.ask(history.with_proposals(made), at_once, generators[len(made)])
        return [replace(proposal, reason=fit.why) for proposal in made]

    # What the strategies keep between two asks stays at home.
    def __reduce__(self) -> tuple[Any, ...]:
        return Auto, ()

    def _fit(self, history: History) -> _Fit:
        """The rule; see the class for its reasons."""
        space = history.study.space
        finished, pruned = history.in_state("finished"), history.in_state("pruned")
        losses = {t.number: loss for t in (*finished, *pruned) if (loss := history.loss(t)) is not None}
        workers = 1 if history.session_started is None else history.session_started.workers
        if not space.free:
            return _Fit((self._random,), "nothing varies")
        if len(losses) < max(_START, workers):
            return _Fit((self._random,), "too few values for a model yet: at random")
        if len(history.study.goals) > 1:
            return _Fit((self._tpe, self._nsga2), "several goals: TPE, in turns with NSGA-II")
        comparable, too_much = len(pruned) <= len(finished), _too_much(history, workers)
        conditional = any(parameter.condition for parameter in space.parameters)
        if comparable and not too_much and not conditional:
            return _Fit((self._gp,), "few trials of few parameters: a Gaussian process")
        if comparable and too_much and _numeric(space):
            return _Fit((self._cma_es,), f"{too_much}, all of numbers: CMA-ES, which is cheap")
        elsewhere = (self._random,) if _repeating([*finished, *pruned]) else ()
        turns = " and with chance, for the last trials went as others before" if elsewhere else ""
        if comparable and not too_much:
            why = f"few trials, with conditions: a model, in turns with evolution{turns}"
            return _Fit((*elsewhere, self._bayes, self._evolution), why)
        why = too_much if comparable else "most trials were pruned, and their values do not compare"
        return _Fit((*elsewhere, self._tpe, self._evolution), f"{why}: TPE, in turns with evolution{turns}")


def _too_much(history: History, workers: int) -> str:
    """What is too much for a Gaussian process, in words; empty when nothing is."""
    free = len(history.study.space.free)
    if history.ended > _FEW:
        return f"more than {_FEW} trials"
    if free > _WIDE:
        return f"{free} parameters"
    return f"{workers} workers" if workers > _PARALLEL else ""


def _numeric(space: Space) -> bool:
    """Is every free parameter a column to CMA-ES?"""
    domains = (parameter.domain for parameter in space.free)
    return all(not isinstance(domain, Choice) or domain.ordered or domain.size() == 2 for domain in domains)


def _repeating(ended: Sequence[Trial]) -> bool:
    """Did each of the last trials that a model chose report, to the last digit, what another had?

    All that it reported, and not its value alone: an accuracy on few samples comes again with quite another config.
    """
    by_number = sorted(ended, key=lambda trial: trial.number)
    latest = [place for place, trial in enumerate(by_number) if not trial.proposal.drawn_at_random][-_REPEATS:]
    return len(latest) == _REPEATS and all(
        any(_went_alike(by_number[place], other) for other in by_number[:place]) for place in latest
    )


def _went_alike(left: Trial, right: Trial) -> bool:
    if len(left.reports) != len(right.reports):
        return False
    return all(a.metrics == b.metrics for a, b in zip(left.reports, right.reports, strict=True))
