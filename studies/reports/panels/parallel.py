"""Parallel coordinates: one line for each trial, through its parameters to its value. Drag along an axis to filter."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from archsearch.spaces import Parameter
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import by_first
from archsearch.studies.reports.scales import ends, framed, position
from archsearch.studies.reports.theme import SCALE, figure, short, text, value_axis

MAX_AXES = 12
KEPT = {"range": [0, 1], "tickvals": [0, 1], "ticktext": ["broken", "kept"]}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    goal, free = history.study.goal, history.study.space.free
    notes = ["Finished, paused and pruned trials. Drag along an axis to keep the lines there; click it to free them."]
    if len(free) > MAX_AXES:
        notes.append(f"The first {MAX_AXES} of {len(free)} parameters are drawn.")
    if any(parameter.condition for parameter in free):
        notes.append("Lines pass an axis at “off” where the parameter was not active.")
    if history.study.outcome_constraints:
        notes.append("Trials that break a constraint on metrics have the colour of the worst.")
    span, far = value_span(goal, made.column("value"))
    if far:
        notes.append("Values far worse than most are drawn at the end of the value's axis.")
    return Content((*by_first(history.study), *notes), _figure(made, free[:MAX_AXES], goal, span))


def table(history: History) -> Table | Missing:
    """One row for each finished, paused or pruned trial: its places on the axes (None: not active), then its value.

    Before that, where the study has outcome constraints: does it keep them? 1 if it does, else 0.
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
        return Missing("No trial has finished yet, or paused or was pruned with a value.")
    kept = ["kept"] if constraints else []
    return Table("Places on the axes", ("trial", *(f"place of {p.name}" for p in free), *kept, "value"), rows)


def value_span(goal: Goal, values: list[float]) -> tuple[tuple[float, float], bool]:
    """The ends of the value's axis, and whether some values lie beyond them."""
    y_axis, notes = value_axis(goal, values)
    if not notes:
        return (min(values), max(values)), False
    low, high = y_axis["range"]
    return (max(low, min(values)), min(high, max(values))), True


def _figure(made: Table, drawn: tuple[Parameter, ...], goal: Goal, span: tuple[float, float]) -> Any:
    low, high = span
    values = [min(max(value, low), high) for value in made.column("value")]
    axes = [_axis(parameter, made.column(f"place of {parameter.name}")) for parameter in drawn]
    if "kept" in made.columns:
        axes.append({"label": "constraints", "values": made.column("kept"), **KEPT})
    last = {"label": text(goal.metric, 24), "values": values}
    lines = go.Parcoords(
        dimensions=[*axes, last],
        line={
            "color": _colours(made, [-goal.loss(value) for value in values]),
            "colorscale": SCALE,
        },
        labelangle=-18 if len(axes) > 6 else 0,
        labelside="top",
        rangefont={"color": "rgba(0, 0, 0, 0)"},  # the ends are among the ticks
    )
    return figure([lines], height=440, margin={"l": 90, "r": 70, "t": 90 if len(axes) > 6 else 56, "b": 32})


def _colours(made: Table, merits: list[float]) -> list[float]:
    """The best are drawn last, on top. What breaks a constraint is none of the best, whatever its value."""
    if "kept" not in made.columns:
        return merits
    return [merit if kept else min(merits) for merit, kept in zip(merits, made.column("kept"), strict=True)]


def _axis(parameter: Parameter, places: list[float | None]) -> dict[str, Any]:
    low, high = ends(parameter.domain)
    marks = framed(parameter.domain)
    off = low - 0.14 * (high - low)
    if any(place is None for place in places):
        marks = [(off, "off"), *marks]
        low = off
    return {
        "label": text(parameter.name, 24),
        "values": [off if place is None else place for place in places],
        "range": [low, high],
        "tickvals": [place for place, _ in marks],
        # Plotly escapes these itself: of all texts in a figure only these are not read as HTML.
        "ticktext": [short(label, 16) for _, label in marks],
    }
