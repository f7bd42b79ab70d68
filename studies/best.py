"""The best trials of a study in order, and why there may be none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsearch.studies.formatting import count, number

if TYPE_CHECKING:
    from archsearch.studies.history import History
    from archsearch.studies.records import Trial


def ranked(history: History) -> list[Trial]:
    """The finished trials, best first.

    Those that break an outcome constraint come last, the nearest to keeping it first. With several goals, the first
    goal decides, and the next one among equals. Of equal trials the older one comes first.
    """
    finished = [(history.objectives(trial), trial) for trial in history.in_state("finished")]
    placed = [(point, trial) for point, trial in finished if point is not None]
    return [trial for _, trial in sorted(placed, key=lambda each: (each[0], each[1].number))]


def without_best(history: History) -> str:
    """Why the study has no best trial."""
    if finished := len(history.in_state("finished")):
        kept = ", ".join(map(str, history.study.outcome_constraints))
        return f"none of {count(finished, 'finished trial')} keeps {kept}"
    failed = history.in_state("failed")
    if failed and len(failed) == len(history.trials):
        them = "its only trial" if len(failed) == 1 else f"all {count(len(failed), 'trial')}"
        alike = len({trial.reason for trial in failed}) == 1
        return f"{them} failed{'' if alike else ', the last'} with: {failed[-1].reason}"
    return "no trial has finished yet"


def summary(history: History) -> str:
    """The study in one line: `wine, maximize val_accuracy: 12 finished, 3 pruned; best 0.97222 (trial 7)`."""
    counts = ", ".join(f"{n:,} {state}" for state, n in history.counts().items()) or "no trials"
    best = history.best
    found = "" if best is None else f"; best {number(history.value(best))} (trial {best.number})"
    return f"{history.study.name}, {history.study.aim}: {counts}{found}"
