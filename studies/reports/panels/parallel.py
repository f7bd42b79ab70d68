"""Parallel coordinates: one line per trial through the values of its parameters and of the first goal."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from archsearch.spaces import Parameter
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import first_goal_note
from archsearch.studies.reports.scales import ends, framed, position
from archsearch.studies.reports.theme import SCALE, figure, short, text, value_axis

MAX_AXES = 12
FEASIBLE = {"range": [0, 1], "tickvals": [0, 1], "ticktext": ["violated", "satisfied"]}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    goal, free = history.study.goal, history.study.space.free
    notes = ["Finished, paused and pruned trials. Drag along an axis to select lines; click the axis to reset it."]
    if len(free) > MAX_AXES:
        notes.append(f"The first {MAX_AXES} of {len(free)} parameters are shown.")
    if any(parameter.condition for parameter in free):
        notes.append("“Off” is the position of inactive parameters.")
    if history.study.outcome_constraints:
        notes.append("Infeasible trials have the colour of the worst value.")
    span, outliers = value_span(goal, made.column("value"))
    if outliers:
        notes.append("Outliers are drawn at the end of the last axis.")
    return Content((*first_goal_note(history.study), *notes), _figure(made, free[:MAX_AXES], goal, span))


def table(history: History) -> Table | Missing:
    """One row for each finished, paused or pruned trial: its positions on the axes (None if inactive), then its value.

    If the study has outcome constraints, the column before the value is 1 for feasible trials and 0 for others.
    """
    free, constraints = history.study.space.free, history.study.outcome_constraints
    if not free:
        return Missing("The space has no free parameter.")
    rows = tuple(
        (
            trial.number,
            *(position(p.domain, trial.config[p.name]) if p.name in trial.config else None for p in free),
            *([int(not history.broken(trial))] if constraints else []),
            value,
        )
        for trial in history.in_state("finished", "paused", "pruned")
        if (value := history.value(trial)) is not None and math.isfinite(value)
    )
    if not rows:
        return Missing("No trial has finished yet, or was paused or pruned after reporting a value.")
    feasible = ["feasible"] if constraints else []
    columns = ("trial", *(f"position of {p.name}" for p in free), *feasible, "value")
    return Table("Positions on the axes", columns, rows)


def value_span(goal: Goal, values: list[float]) -> tuple[tuple[float, float], bool]:
    """The range of the value's axis, and whether there are outliers beyond it."""
    y_axis, notes = value_axis(goal, values)
    if not notes:
        return (min(values), max(values)), False
    low, high = y_axis["range"]
    return (max(low, min(values)), min(high, max(values))), True


def _figure(made: Table, drawn: tuple[Parameter, ...], goal: Goal, span: tuple[float, float]) -> Any:
    low, high = span
    values = [min(max(value, low), high) for value in made.column("value")]
    axes = [_axis(parameter, made.column(f"position of {parameter.name}")) for parameter in drawn]
    if "feasible" in made.columns:
        axes.append({"label": "constraints", "values": made.column("feasible"), **FEASIBLE})
    last = {"label": text(goal.metric, 24), "values": values}
    lines = go.Parcoords(
        dimensions=[*axes, last],
        line={
            "color": _colours(made, [-goal.loss(value) for value in values]),
            "colorscale": SCALE,
        },
        labelangle=-18 if len(axes) > 6 else 0,
        labelside="top",
        rangefont={"color": "rgba(0, 0, 0, 0)"},  # the ticks include both ends
    )
    return figure([lines], height=440, margin={"l": 90, "r": 70, "t": 90 if len(axes) > 6 else 56, "b": 32})


def _colours(made: Table, merits: list[float]) -> list[float]:
    """The colour of each line: the higher, the later it is drawn. Infeasible trials get the lowest one."""
    if "feasible" not in made.columns:
        return merits
    return [merit if feasible else min(merits) for merit, feasible in zip(merits, made.column("feasible"), strict=True)]


def _axis(parameter: Parameter, positions: list[float | None]) -> dict[str, Any]:
    low, high = ends(parameter.domain)
    marks = framed(parameter.domain)
    off = low - 0.14 * (high - low)
    if any(place is None for place in positions):
        marks = [(off, "off"), *marks]
        low = off
    return {
        "label": text(parameter.name, 24),
        "values": [off if place is None else place for place in positions],
        "range": [low, high],
        "tickvals": [place for place, _ in marks],
        # Not escaped: plotly does not interpret HTML in these labels, unlike in all other text of a figure.
        "ticktext": [short(label, 16) for _, label in marks],
    }
