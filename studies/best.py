"""The ranking of a study's finished trials, what to say and do if there is no best one, and a one-line summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsearch.spaces import ArchsearchError
from archsearch.studies.formatting import number

if TYPE_CHECKING:
    from pathlib import Path

    from archsearch.studies.history import History
    from archsearch.studies.records import Trial


def ranked(history: History) -> list[Trial]:
    """The finished trials, best first.

    Infeasible trials come last, sorted by their violation of the outcome constraints. With several goals, the first
    goal decides, and the following ones break ties. Equal trials are sorted by number.
    """
    finished = [(history.objectives(trial), trial) for trial in history.in_state("finished")]
    valued = [(vector, trial) for vector, trial in finished if vector is not None]
    return [trial for _, trial in sorted(valued, key=lambda each: (each[0], each[1].number))]


def without_best(history: History) -> str:
    """Why the study has no best trial, as a clause for a message."""
    if finished := len(history.in_state("finished")):
        constraints = " and ".join(map(str, history.study.outcome_constraints))
        if finished == 1:
            return f"the only finished trial does not satisfy {constraints}"
        return f"none of the {finished:,} finished trials satisfies {constraints}"
    failed = history.in_state("failed")
    if failed and len(failed) == len(history.trials):
        trials = "its only trial" if len(failed) == 1 else f"all {len(failed):,} trials"
        same_error = len({trial.reason for trial in failed}) == 1
        return f"{trials} failed{'' if same_error else ', the last one'} with: {failed[-1].reason}"
    return "no trial has finished yet"


def hint_if_all_failed(history: History, store: Path) -> str:
    """What to do about a store whose trials all failed; empty if any trial has succeeded, or if none has ended."""
    if not history.in_state("failed") or history.in_state("finished", "pruned", "paused"):
        return ""
    return (
        f"before you run a corrected spec, delete {store} or choose another store, since no trial in it has finished "
        "(archsearch resume runs the stored spec)"
    )


def best_of(history: History, where: str) -> Trial:
    """The best trial.

    Args:
        history: The study.
        where: What the message calls it, such as the path of its store.

    Raises:
        ArchsearchError: There is no best trial; the message says why.
    """
    if history.best is None:
        raise ArchsearchError(f"{where} has no best trial: {without_best(history)}")
    return history.best


def value_of_best(history: History, where: str) -> float:
    """The value of the best trial for the first goal; raises like `best_of`."""
    return float(history.value(best_of(history, where)))  # type: ignore[arg-type]  # the best trial has a value


def summary(history: History) -> str:
    """The study in one line: `wine, maximize val_accuracy: 12 finished, 3 pruned; best 0.97222 (trial 7)`."""
    counts = ", ".join(f"{n:,} {state}" for state, n in history.counts().items()) or "no trials"
    best = history.best
    found = "" if best is None else f"; best {number(history.value(best))} (trial {best.number})"
    return f"{history.study.name}, {history.study.aim}: {counts}{found}"
