"""Failures: the failed trials, grouped by error message."""

from __future__ import annotations

from collections import defaultdict

from archsearch.studies.formatting import count
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table

NUMBERS = 12  # trials listed for each error


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    failed = sum(made.column("trials"))
    return Content((f"{failed:,} of {count(len(history.trials), 'trial')} failed.",), tables=(made,))


def table(history: History) -> Table | Missing:
    """One row for each error message, the most frequent first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for trial in history.in_state("failed"):
        groups[trial.reason.strip()].append(trial.number)
    if not groups:
        return Missing("No trial has failed.")
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[1][0]))
    rows = tuple((len(numbers), error, _listed(numbers)) for error, numbers in ranked)
    return Table("Failed trials by error", ("trials", "error", "numbers"), rows)


def _listed(numbers: list[int]) -> str:
    more = f" and {len(numbers) - NUMBERS:,} more" if len(numbers) > NUMBERS else ""
    return ", ".join(map(str, numbers[:NUMBERS])) + more
