"""How a trial stands in a report: in its state, or apart where it finished and yet breaks an outcome constraint."""

from __future__ import annotations

from typing import Literal

from archsearch.studies.history import History
from archsearch.studies.records import State, StudyRecord, Trial

Feasibility = State | Literal["infeasible"]


def standing(history: History, trial: Trial) -> Feasibility:
    """The trial's state; "infeasible" where it finished and breaks an outcome constraint, so that it cannot be best."""
    return "infeasible" if trial.state == "finished" and history.broken(trial) else trial.state


def feasible(history: History) -> list[tuple[Trial, float]]:
    """The finished trials that keep the outcome constraints, by number, each with its value of the first goal."""
    finished = ((trial, history.value(trial), history.objectives(trial)) for trial in history.in_state("finished"))
    return [(t, value) for t, value, point in finished if value is not None and point and not point.violation]


def by_first(study: StudyRecord) -> tuple[str, ...]:
    """The note of a panel that is about one goal alone, where the study has several."""
    return () if len(study.goals) == 1 else (f"This is by the first goal alone, {study.goal}.",)
