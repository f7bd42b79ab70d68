"""All trials, one row per trial, in a table that can be sorted and filtered."""

from __future__ import annotations

from archsearch.studies.dataframe import duration_s
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.panels.headline import shown


def panel(history: History) -> Content | Missing:
    made = table(history)
    return made if isinstance(made, Missing) else Content(tables=(made,))


def table(history: History) -> Table | Missing:
    """One row for each trial. Cells of inactive parameters are empty, and constant parameters are omitted.

    For trials with repeats, the values are means over the complete runs.
    """
    if not history.trials:
        return Missing("No trial has been proposed yet.")
    study = history.study
    names = tuple(parameter.name for parameter in study.space.free)
    metrics = study.metrics
    rows = tuple(
        (
            *(trial.number, trial.state, *map(trial.value, metrics)),
            *([len(trial.values(study.goal.metric))] if study.repeats > 1 else []),
            *(trial.step, duration_s(trial)),
            *(shown(trial.config[name]) if name in trial.config else None for name in names),
            *([", ".join(map(str, history.broken(trial)))] if study.outcome_constraints else []),
            *(trial.proposal.proposer, trial.reason),
        )
        for trial in history.trials
    )
    values = ("value",) if len(metrics) == 1 else metrics
    before = ("trial", "state", *values, *(["runs"] if study.repeats > 1 else []), "steps", "seconds")
    after = (*(["violates"] if study.outcome_constraints else []), "proposed by", "reason")
    return Table("All trials", (*before, *names, *after), rows, tools=True)
