"""Feasibility in the report, where finished trials that violate an outcome constraint have a state of their own."""

from __future__ import annotations

from typing import Literal

from archsearch.studies.history import History
from archsearch.studies.records import State, StudyRecord, Trial

ShownState = State | Literal["infeasible"]


def shown_state(history: History, trial: Trial) -> ShownState:
    """The trial's state as the report shows it: "infeasible" if it is finished but violates an outcome constraint."""
    return "infeasible" if trial.state == "finished" and history.broken(trial) else trial.state


def feasible(history: History) -> list[tuple[Trial, float]]:
    """The feasible finished trials, sorted by number, each with its value for the first goal."""
    finished = ((trial, history.value(trial), history.objectives(trial)) for trial in history.in_state("finished"))
    return [(t, value) for t, value, vector in finished if value is not None and vector and not vector.violation]


def first_goal_note(study: StudyRecord) -> tuple[str, ...]:
    """A note for panels that show the first goal only; empty if the study has one goal."""
    return () if len(study.goals) == 1 else (f"Only the first goal is considered here: {study.goal}.",)
