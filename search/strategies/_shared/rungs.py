"""What the strategies that pause and promote have in common: their rungs, and what the one that they wrap is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archsearch.search.protocols import Strategy
from archsearch.spaces import SpecError
from archsearch.studies.goals import best_first
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Pruned, State, Trial

GOING: tuple[State, ...] = ("waiting", "running")


def rungs(budget: int | None, min_steps: int, eta: int) -> list[int]:
    """min_steps * eta**k as long as they are below the budget, and the budget. Raises SpecError without a budget."""
    if budget is None:
        raise SpecError("rungs need to know a full trial's reports; give Study a budget, e.g. budget=27 (epochs)")
    steps = [min_steps]
    while steps[-1] * eta < budget:
        steps.append(steps[-1] * eta)
    return [*(step for step in steps if step < budget), budget]


def check_rung(strategy: Strategy, name: str, budget: int | None) -> None:
    """Raises SpecError where the first rung is not below the budget, so that nobody would ever pause."""
    first = getattr(strategy, name)
    if budget is not None and first >= budget:
        raise SpecError(
            f"{type(strategy).__name__} {name} is {first}, and nobody pauses below the study's budget of {budget}; "
            "lower it, or take the wrapped strategy by itself"
        )


def ranked_at(history: History, step: int, trials: Iterable[Trial]) -> list[Trial]:
    """Those of the trials with a value at this step, the best first, by `studies.goals.order`; the older of equals."""
    oldest_first = sorted(trials, key=lambda trial: trial.number)
    came = [(trial, point) for trial in oldest_first if (point := history.objectives_at(trial, step)) is not None]
    return [came[place][0] for place in best_first([point for _, point in came])]


def promoted(trials: Iterable[Trial], step: int, budget: int) -> list[Extension]:
    """Those of the trials that hold at this step go on to the budget."""
    holding = (trial for trial in trials if trial.state == "paused" and trial.proposal.budget == step)
    return [Extension(trial.number, budget, f"among the best at step {step}") for trial in holding]


def no_more_come(history: History) -> bool:
    """Has the study as many trials as this session may begin?"""
    wanted = None if history.session_started is None else history.session_started.stopping.trials
    return wanted is not None and len(history.trials) >= wanted


def as_pruned(history: History, steps: list[int]) -> History:
    """The history in which a trial that has paused was pruned there, until it has ended.

    So whatever a strategy makes of pruned trials, it makes of those that hold, and of those that have gone on: a model
    learns from the first rung, and takes nobody for pending who has told his value.
    """
    shown = {number: _held(history.trials[number], steps) for number in history.unfinished}
    trials = list(history.trials)
    for number, trial in shown.items():
        trials[number] = trial
    open_ones = tuple(number for number, trial in shown.items() if trial.outcome is None)
    return replace(history, trials=tuple(trials), unfinished=open_ones)


def _held(trial: Trial, steps: list[int]) -> Trial:
    held = max((step for step in steps if step < (trial.proposal.budget or 0)), default=0)
    if trial.state == "paused":
        held = trial.step
    if not held or trial.step < held:  # it has gone on without a checkpoint, and has no value to tell for now
        return trial
    reports = tuple(report for report in trial.reports if report.step <= held)
    return replace(trial, state="pruned", outcome=Pruned(f"holds at step {held}"), reports=reports, repeats=())


def check_wrapped(strategy: Strategy) -> None:
    """Raises SpecError for a wrapped strategy that is none, or pauses trials itself."""
    who, inner = type(strategy).__name__, getattr(strategy, "strategy", None)
    if not isinstance(inner, Strategy) or type(inner).promote is not Strategy.promote:
        raise SpecError(f"{who} wraps a strategy that does not pause trials itself, got {inner!r}; write {who}(TPE())")
