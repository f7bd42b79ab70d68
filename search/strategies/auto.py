"""Auto, the default strategy: it selects another strategy for each trial, by properties of the study.

The whole rule is in `Auto._select`. It depends on the space, the trials that ended and the number of workers, but not
on time. It was chosen by measurements on the problems of benchmarks/quality.py.
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

_STARTUP_TRIALS = 10  # trials with a value before a model is used; the default of each of the models
_GP_MAX_TRIALS = 200  # the cost of a Gaussian process is cubic in the trials; with more, an ask takes seconds
_GP_MAX_PARAMETERS = 40  # with more, hardly any two configurations are close, and distances carry no information
_GP_MAX_WORKERS = 32  # with more, workers would wait for a Gaussian process
_PLATEAU_TRIALS = 3  # repeated results in a row; fewer happen by chance if values are coarse


class _Selection(NamedTuple):
    """The strategies that alternate, and the reason that is recorded with each proposal."""

    strategies: tuple[Strategy, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Auto(Strategy):
    """Selects among the other strategies, with their default settings, and switches as the study progresses.

    Use it for any study, unless you have a reason for another strategy: no single method is best on all problems. It
    has no settings. The first rule that applies selects the strategy:

    - Fewer than 10 trials have a value, or fewer than there are workers: `Random`.
    - The study has several goals: `TPE` and `NSGA2` alternate.
    - A small study (at most 200 trials that ended, 40 free parameters and 32 workers) without conditions: `GP`.
    - A larger study whose free parameters are all numeric: `CmaEs`, which is cheap and starts from the best trial.
    - A small study with conditions: `Bayes` and `Evolution` alternate.
    - Otherwise `TPE` and `Evolution` alternate, which are cheap.

    In the last two cases `Random` takes part as well while each of the last three trials that a model chose reported
    exactly the metrics of an earlier trial. If the loss has plateaus, strategies that rank trials propose variants of
    the best one over and over; a repeated result adds no information, while a trial elsewhere does.

    `GP`, `CmaEs` and `Bayes` treat the last value of a pruned trial like that of a finished one. If more trials were
    pruned than finished, `TPE` and `Evolution` are therefore used in their place, since they rank pruned trials by the
    step that they reached.

    The trial's number determines which of the alternating strategies is used. `Evolution` proposes at random until its
    population is complete. Each proposal records its `proposer` and the `reason` of the selection; the report shows
    both. The rules were chosen by measurements on the problems of benchmarks/quality.py (docs/quality.md).
    """

    _random: Random = field(default_factory=Random, init=False, repr=False, compare=False)
    _gp: GP = field(default_factory=GP, init=False, repr=False, compare=False)
    _bayes: Bayes = field(default_factory=Bayes, init=False, repr=False, compare=False)
    _tpe: TPE = field(default_factory=TPE, init=False, repr=False, compare=False)
    _cma_es: CmaEs = field(default_factory=CmaEs, init=False, repr=False, compare=False)
    _nsga2: NSGA2 = field(default_factory=NSGA2, init=False, repr=False, compare=False)
    _evolution: Evolution = field(default_factory=Evolution, init=False, repr=False, compare=False)

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        """Return exactly `n` proposals. Alternating strategies see each other's proposals of the same call."""
        selection, first = self._select(history), len(history.trials)
        alternating = len(selection.strategies)
        generators = history.generators(n, rng)
        proposals: list[Proposal] = []
        while len(proposals) < n:
            strategy = selection.strategies[(first + len(proposals)) % alternating]
            wanted = n if alternating == 1 else 1
            proposals += strategy.ask(history.with_proposals(proposals), wanted, generators[len(proposals)])
        return [replace(proposal, reason=selection.reason) for proposal in proposals]

    # Pickled without the caches of the strategies.
    def __reduce__(self) -> tuple[Any, ...]:
        return Auto, ()

    def _select(self, history: History) -> _Selection:
        """The rule; the class docstring gives its reasons."""
        space = history.study.space
        finished, pruned = history.in_state("finished"), history.in_state("pruned")
        losses = {t.number: loss for t in (*finished, *pruned) if (loss := history.loss(t)) is not None}
        workers = 1 if history.session_started is None else history.session_started.workers
        if not space.free:
            return _Selection((self._random,), "the space has no free parameters")
        if len(losses) < max(_STARTUP_TRIALS, workers):
            return _Selection((self._random,), "too few results to fit a model yet: random search")
        if len(history.study.goals) > 1:
            return _Selection((self._tpe, self._nsga2), "several goals: TPE, alternating with NSGA-II")
        comparable, too_large = len(pruned) <= len(finished), _too_large_for_gp(history, workers)
        conditional = any(parameter.condition for parameter in space.parameters)
        if comparable and not too_large and not conditional:
            return _Selection((self._gp,), "few trials and few parameters: Gaussian process")
        if comparable and too_large and _numeric(space):
            return _Selection((self._cma_es,), f"{too_large}, numeric parameters only: CMA-ES, which is cheap")
        exploration = (self._random,) if _on_plateau([*finished, *pruned]) else ()
        also = " and random search, since the last trials repeated earlier results" if exploration else ""
        if comparable and not too_large:
            reason = f"few trials, with conditions: Gaussian process, alternating with evolution{also}"
            return _Selection((*exploration, self._bayes, self._evolution), reason)
        why = too_large if comparable else "most trials were pruned, at values that are not comparable"
        return _Selection((*exploration, self._tpe, self._evolution), f"{why}: TPE, alternating with evolution{also}")


def _too_large_for_gp(history: History, workers: int) -> str:
    """Why the study is too large for a Gaussian process; empty if it is not."""
    free = len(history.study.space.free)
    if history.ended > _GP_MAX_TRIALS:
        return f"more than {_GP_MAX_TRIALS} trials"
    if free > _GP_MAX_PARAMETERS:
        return f"{free} parameters"
    return f"{workers} workers" if workers > _GP_MAX_WORKERS else ""


def _numeric(space: Space) -> bool:
    """Whether every free parameter is one that CMA-ES can search."""
    domains = (parameter.domain for parameter in space.free)
    return all(not isinstance(domain, Choice) or domain.ordered or domain.size() == 2 for domain in domains)


def _on_plateau(ended: Sequence[Trial]) -> bool:
    """Whether each of the last trials that a model chose reported exactly the metrics of an earlier trial.

    All reports are compared, not only the final value: an accuracy on few samples is often equal for quite different
    configurations.
    """
    by_number = sorted(ended, key=lambda trial: trial.number)
    latest = [place for place, trial in enumerate(by_number) if not trial.proposal.drawn_at_random][-_PLATEAU_TRIALS:]
    return len(latest) == _PLATEAU_TRIALS and all(
        any(_same_reports(by_number[place], other) for other in by_number[:place]) for place in latest
    )


def _same_reports(left: Trial, right: Trial) -> bool:
    if len(left.reports) != len(right.reports):
        return False
    return all(a.metrics == b.metrics for a, b in zip(left.reports, right.reports, strict=True))
