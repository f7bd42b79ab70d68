"""Ranking of finished and pruned trials, for strategies that compare trials by rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from archsearch.studies.goals import ObjectiveVector, best_first
from archsearch.studies.history import History
from archsearch.studies.records import Trial


def ranked(history: History, trials: Iterable[Trial]) -> list[Trial]:
    """Sort the finished and pruned trials that have a value, the best first.

    Finished trials come first. Pruned trials, whose values belong to smaller budgets, follow in the order of the steps
    that they reached. Within each of these groups `studies.goals.order` decides: by Pareto fronts if there are several
    goals, with trials that violate an outcome constraint last, and the older trial first among equals.

    Args:
        history: The history of the trials.
        trials: The trials to rank; those that neither finished nor were pruned, or have no value, are left out.
    """
    groups: dict[tuple[bool, int], list[tuple[Trial, ObjectiveVector]]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: trial.number):
        if trial.state in ("finished", "pruned") and (point := history.objectives(trial)) is not None:
            pruned = trial.state == "pruned"
            groups[pruned, -trial.step if pruned else 0].append((trial, point))
    return [
        members[place][0]
        for _, members in sorted(groups.items())
        for place in best_first([point for _, point in members])
    ]
