"""Rungs and promotion, as shared by the strategies that pause trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archsearch.search.protocols import Strategy
from archsearch.search.validation import check_part
from archsearch.spaces import SpecError
from archsearch.studies.goals import best_first
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Pruned, State, Trial

ACTIVE: tuple[State, ...] = ("waiting", "running")


def rungs(budget: int | None, min_steps: int, eta: int) -> list[int]:
    """The rungs min_steps * eta**k below the budget, followed by the budget.

    Raises:
        SpecError: The study has no budget.
    """
    if budget is None:
        raise SpecError("rungs require the number of reports of a full trial; give Study a budget, e.g. budget=27")
    steps = [min_steps]
    while steps[-1] * eta < budget:
        steps.append(steps[-1] * eta)
    return [*(step for step in steps if step < budget), budget]


def check_rung(strategy: Strategy, name: str, budget: int | None) -> None:
    """Raise SpecError if the first rung is not below the budget, since no trial would ever pause.

    Args:
        strategy: The strategy.
        name: The attribute of the strategy that holds its first rung.
        budget: The study's budget; None is not checked.
    """
    first = getattr(strategy, name)
    if budget is not None and first >= budget:
        raise SpecError(
            f"{type(strategy).__name__} {name} is {first}, so no trial pauses before the study's budget of {budget}; "
            "lower it, or use the wrapped strategy without rungs"
        )


def ranked_at(history: History, step: int, trials: Iterable[Trial]) -> list[Trial]:
    """The trials that have a value at this step, the best first; the older trial first among equals."""
    oldest_first = sorted(trials, key=lambda trial: trial.number)
    reached = [(trial, point) for trial in oldest_first if (point := history.objectives_at(trial, step)) is not None]
    return [reached[place][0] for place in best_first([point for _, point in reached])]


def promote_paused(trials: Iterable[Trial], step: int, budget: int) -> list[Extension]:
    """Extend those of the trials that are paused at this step to the given budget."""
    paused = (trial for trial in trials if trial.state == "paused" and trial.proposal.budget == step)
    return [Extension(trial.number, budget, f"among the best at step {step}") for trial in paused]


def all_trials_proposed(history: History) -> bool:
    """Whether the study has reached its number of trials; False if it has no such limit."""
    wanted = None if history.session_started is None else history.session_started.stopping.trials
    return wanted is not None and len(history.trials) >= wanted


def paused_as_pruned(history: History, steps: list[int]) -> History:
    """The history in which every trial that has paused appears as pruned at its rung, until it ends.

    It is shown to the wrapped strategy, which then treats paused and promoted trials as it treats pruned ones: it
    learns from the first rung on, and does not count a trial as pending that has already reported a value.
    """
    shown = {number: _as_pruned(history.trials[number], steps) for number in history.unfinished}
    trials = list(history.trials)
    for number, trial in shown.items():
        trials[number] = trial
    unfinished = tuple(number for number, trial in shown.items() if trial.outcome is None)
    return replace(history, trials=tuple(trials), unfinished=unfinished)


def _as_pruned(trial: Trial, steps: list[int]) -> Trial:
    """The trial as pruned at the last rung at which it paused; unchanged if it never paused."""
    paused_at = max((step for step in steps if step < (trial.proposal.budget or 0)), default=0)
    if trial.state == "paused":
        paused_at = trial.step
    if not paused_at or trial.step < paused_at:  # it restarted without a checkpoint, and has no value yet
        return trial
    reports = tuple(report for report in trial.reports if report.step <= paused_at)
    return replace(trial, state="pruned", outcome=Pruned(f"paused at step {paused_at}"), reports=reports, repeats=())


def check_wrapped(strategy: Strategy) -> None:
    """Raise SpecError if the wrapped object is not a valid strategy, or is a strategy that pauses trials itself."""
    name, inner = type(strategy).__name__, getattr(strategy, "strategy", None)
    if not isinstance(inner, Strategy) or type(inner).promote is not Strategy.promote:
        raise SpecError(
            f"{name} wraps a strategy that does not pause trials itself, got {inner!r}; write {name}(TPE())"
        )
    check_part("strategy", inner, Strategy, required=("propose", "ask"), example="TPE()")
