"""Who ranks before whom among trials that came differently far: what is made of pruned trials by those who rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from archsearch.studies.goals import ObjectiveVector, best_first
from archsearch.studies.history import History
from archsearch.studies.records import Trial


def ranked(history: History, trials: Iterable[Trial]) -> list[Trial]:
    """Those of the trials that finished or were pruned, and have a value; the best first.

    The finished ones stand first. Of the pruned ones, whose values are of smaller budgets, those that came further
    come before the others. Among trials of one kind by `studies.goals.order`: by Pareto fronts where there are several
    goals, what breaks an outcome constraint behind the rest, and the older one of equals.
    """
    kinds: dict[tuple[bool, int], list[tuple[Trial, ObjectiveVector]]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state in ("finished", "pruned") and (point := history.objectives(trial)) is not None:
            pruned = trial.state == "pruned"
            kinds[pruned, -trial.step if pruned else 0].append((trial, point))
    return [
        members[place][0]
        for _, members in sorted(kinds.items())
        for place in best_first([point for _, point in members])
    ]
