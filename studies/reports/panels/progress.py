"""Optimization history: the value of each trial by its number, and the best value so far."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import ShownState, first_goal_note, shown_state
from archsearch.studies.reports.theme import BEST, STATE_COLOUR, STATE_SYMBOL, figure, text, value_axis, whole_axis


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    y_axis, notes = value_axis(history.study.goal, made.column("value"))
    note = "The last value of each trial; the line is the best value of the finished trials up to each number."
    return Content((note, *first_goal_note(history.study), *notes), _figure(made, y_axis))


def table(history: History) -> Table | Missing:
    """One row for each trial with a value; `best` is the best value of the feasible finished trials so far."""
    goal, best = history.study.goal, None
    rows = []
    for trial in history.trials:
        value = history.value(trial)
        if value is None:
            continue
        state = shown_state(history, trial)
        if state == "finished":
            best = better(goal, best, value)
        rows.append((trial.number, state, value, best, trial.proposal.proposer))
    if not rows:
        return Missing("No trial has reported yet.")
    return Table("Value by trial", ("trial", "state", "value", "best", "by"), tuple(rows))


def better(goal: Goal, best: float | None, value: float) -> float:
    """The better one of the best value so far, which may be None, and another value."""
    return value if best is None or goal.better(value, best) else best


def _figure(made: Table, y_axis: dict[str, Any]) -> Any:
    traces = [_points(made.where("state", state), state) for state in STATE_COLOUR if state in made.column("state")]
    line = go.Scatter(
        x=made.column("trial"),
        y=made.column("best"),
        name="best so far",
        mode="lines",
        line={"color": BEST, "width": 2, "shape": "hv"},
        hovertemplate="best up to trial %{x}: %{y}<extra></extra>",
    )
    return figure([*traces, line], xaxis=whole_axis("trial", max(made.column("trial"))), yaxis=y_axis)


def _points(made: Table, state: ShownState) -> Any:
    return go.Scatter(
        x=made.column("trial"),
        y=made.column("value"),
        customdata=[text(name) or "?" for name in made.column("by")],
        name=state,
        mode="markers",
        marker={"color": STATE_COLOUR[state], "symbol": STATE_SYMBOL[state], "size": 7, "opacity": 0.75},
        hovertemplate=f"trial %{{x}}: %{{y}}<br>{state}, proposed by %{{customdata}}<extra></extra>",
    )
