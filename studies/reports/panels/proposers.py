"""Proposals by strategy and reason: one row for each pair of a proposer and a reason that it gave."""

from __future__ import annotations

from collections import defaultdict

from archsearch.studies.history import History
from archsearch.studies.records import Trial
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import shown_state


def panel(history: History) -> Content | Missing:
    made = table(history)
    return (
        made
        if isinstance(made, Missing)
        else Content((f"Strategy of the study: {history.study.strategy}.",), tables=(made,))
    )


def table(history: History) -> Table | Missing:
    """Rows are in the order of their first trials. `best` is that of their feasible finished trials, if any."""
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in history.trials:
        groups[trial.proposal.proposer, trial.proposal.reason].append(trial)
    if not groups:
        return Missing("No trial has been proposed yet.")
    rows = tuple(
        (name, reason, len(trials), trials[0].number, trials[-1].number, _best(history, trials))
        for (name, reason), trials in groups.items()
    )
    return Table("Proposals by strategy and reason", ("proposed by", "reason", "trials", "first", "last", "best"), rows)


def _best(history: History, trials: list[Trial]) -> float | None:
    values = [v for t in trials if shown_state(history, t) == "finished" and (v := history.value(t)) is not None]
    return (max if history.study.goal.maximize else min)(values, default=None)
