"""Rungs and promotion, as shared by the strategies that pause trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from archsearch.search.protocols import Strategy
from archsearch.search.validation import check_part
from archsearch.spaces import SpecError
from archsearch.studies.goals import ObjectiveVector, best_first
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


def at_rung(history: History, trial: Trial, rung: int) -> tuple[int, ObjectiveVector] | None:
    """The value of a trial at a rung, with its step.

    That is the latest value at the rung. If the trial has none, because its metric does not come with every report, it
    is the first value after it: see `without_value`.

    Args:
        history: The history of the trial.
        trial: The trial.
        rung: The rung, in reports.

    Returns:
        None if the trial has not reached the rung, or has no value yet.
    """
    found = history.objectives_at(trial, rung)
    return history.objectives_from(trial, rung) if found is None else (rung, found)


def ranked_at(history: History, rung: int, trials: Iterable[Trial]) -> list[Trial]:
    """The trials that have a value at this rung, the best first; the older trial first among equals."""
    oldest_first = sorted(trials, key=lambda trial: trial.number)
    reached = [(trial, found[1]) for trial in oldest_first if (found := at_rung(history, trial, rung)) is not None]
    return [reached[place][0] for place in best_first([point for _, point in reached])]


def promote_paused(trials: Iterable[Trial], rung: int, above: int) -> list[Extension]:
    """Extend those of the trials that are paused at or after this rung, and before the one above, to the one above."""
    paused = (trial for trial in trials if trial.state == "paused" and rung <= trial.step < above)
    return [Extension(trial.number, above, f"among the best at step {rung}") for trial in paused]


def without_value(history: History, rungs: Sequence[int]) -> list[Extension]:
    """Extend the paused trials that have no value yet, as their metric does not come with every report.

    They are extended to twice their steps, and at most to the next rung. So few steps are trained beyond the first
    value, and a trial without checkpoints is restarted only a few times.

    Args:
        history: The history of the study.
        rungs: The rungs, of which the last is the study's budget.
    """
    waiting = (trial for trial in history.open_trials("paused") if history.objectives(trial) is None)
    return [
        Extension(
            trial.number,
            min([2 * trial.step, *(rung for rung in rungs if rung > trial.step)]),
            f"has not reported {' and '.join(_unreported(history, trial))} by step {trial.step}",
        )
        for trial in waiting
    ]


def _unreported(history: History, trial: Trial) -> list[str]:
    return [goal.metric for goal in history.study.goals if trial.value(goal.metric) is None]


def all_trials_proposed(history: History) -> bool:
    """Whether the study has reached its number of trials; False if it has no such limit."""
    wanted = None if history.session_started is None else history.session_started.stopping.trials
    return wanted is not None and len(history.trials) >= wanted


def paused_as_pruned(history: History, steps: list[int]) -> History:
    """The history in which every trial that has paused appears as pruned at its rung, until it ends.

    It is shown to the wrapped strategy, which then treats paused and promoted trials as it treats pruned ones: it
    learns from the first rung on, and does not count a trial as pending that has already reported a value.
    """
    shown = {number: _as_pruned(history, history.trials[number], steps) for number in history.unfinished}
    trials = list(history.trials)
    for number, trial in shown.items():
        trials[number] = trial
    unfinished = tuple(number for number, trial in shown.items() if trial.outcome is None)
    return replace(history, trials=tuple(trials), unfinished=unfinished)


def _as_pruned(history: History, trial: Trial, steps: list[int]) -> Trial:
    """The trial as pruned at the last rung at which it paused; unchanged if it never paused, or has no value there."""
    paused_at = max((step for step in steps if step < (trial.proposal.budget or 0)), default=0)
    if trial.state == "paused":
        paused_at = trial.step
    # It has no value if it restarted without a checkpoint, or if its metric does not come with every report.
    if not paused_at or (found := at_rung(history, trial, paused_at)) is None:
        return trial
    reports = tuple(report for report in trial.reports if report.step <= found[0])
    return replace(trial, state="pruned", outcome=Pruned(f"paused at step {found[0]}"), reports=reports, repeats=())


def check_wrapped(strategy: Strategy) -> None:
    """Raise SpecError if the wrapped object is not a valid strategy, or is a strategy that pauses trials itself."""
    name, inner = type(strategy).__name__, getattr(strategy, "strategy", None)
    if not isinstance(inner, Strategy) or type(inner).promote is not Strategy.promote:
        raise SpecError(
            f"{name} wraps a strategy that does not pause trials itself, got {inner!r}; write {name}(TPE())"
        )
    check_part("strategy", inner, Strategy, required=("propose", "ask"), example="TPE()")
