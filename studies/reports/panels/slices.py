"""Slices: the value by each single parameter, coloured by trial number to show how the search moved."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from archsearch.spaces import Choice, Domain, Int, Parameter
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import first_goal_note, shown_state
from archsearch.studies.reports.scales import ends, position, ticks
from archsearch.studies.reports.theme import SCALE, STATE_SYMBOL, axis, figure, short, text, value_axis

MAX_SLICES = 24
COLUMNS = 3
FEW = 12  # integer parameters with at most this many values are treated as categories
MAX_SVG_POINTS = 6_000  # of more points, WebGL is used; page.js falls back to SVG if the browser lacks it


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    free = history.study.space.free
    infeasible = ", triangles are infeasible" if "infeasible" in made.column("state") else ""
    notes = [
        f"Circles are finished trials, squares are paused, crosses are pruned{infeasible}. Points with the same value "
        "of a parameter are spread horizontally."
    ]
    if len(free) > MAX_SLICES:
        notes.append(f"The first {MAX_SLICES} of {len(free)} parameters are shown.")
    y_axis, outlier_notes = value_axis(history.study.goal, made.column("value"))
    return Content(
        (*first_goal_note(history.study), *notes, *outlier_notes),
        _figure(made, free[:MAX_SLICES], text(history.study.goal.metric, 22), y_axis),
    )


def table(history: History) -> Table | Missing:
    """One row for each active parameter of each finished, paused or pruned trial, with its position on the axis."""
    if not history.study.space.free:
        return Missing("The space has no free parameter.")
    rows = tuple(
        (p.name, trial.number, state, str(trial.config[p.name]), position(p.domain, trial.config[p.name]), value)
        for trial in history.in_state("finished", "paused", "pruned")
        if (value := history.value(trial)) is not None and math.isfinite(value)
        for state in [shown_state(history, trial)]
        for p in history.study.space.free
        if p.name in trial.config
    )
    if not rows:
        return Missing("No trial has finished yet, or was paused or pruned after reporting a value.")
    return Table("Value by parameter", ("parameter", "trial", "state", "setting", "position", "value"), rows)


def _figure(made: Table, drawn: tuple[Parameter, ...], metric: str, y_axis: dict[str, Any]) -> Any:
    columns = min(COLUMNS, len(drawn))
    lines = math.ceil(len(drawn) / columns)
    height = 230 * lines + 90
    gap = 64 / height if lines > 1 else 0
    grid = make_subplots(rows=lines, cols=columns, shared_yaxes=True, horizontal_spacing=0.035, vertical_spacing=gap)
    trace_type = go.Scatter if len(made.rows) <= MAX_SVG_POINTS else go.Scattergl
    for i, parameter in enumerate(drawn):
        row, column = i // columns + 1, i % columns + 1
        grid.add_trace(_points(made.where("parameter", parameter.name), parameter, trace_type), row=row, col=column)
        grid.update_xaxes(**_x_axis(parameter), row=row, col=column)
        grid.update_yaxes(**{**y_axis, "title": {"text": metric if column == 1 else ""}}, row=row, col=column)
    layout = {"showlegend": False, "margin": {"l": 64, "r": 24, "t": 16, "b": 48}, "coloraxis": _colours()}
    return figure(grid.data, height, **grid.layout.to_plotly_json(), **layout)


def _points(made: Table, parameter: Parameter, trace_type: Any) -> Any:
    numbers, states, places = made.column("trial"), made.column("state"), made.column("position")
    if width := _width(parameter.domain):
        # Multiples of the golden ratio are evenly distributed, and the position of a trial never changes.
        places = [place + 0.5 * width * ((n * 0.618034) % 1 - 0.5) for place, n in zip(places, numbers, strict=True)]
    elif _log(parameter.domain):
        places = [10**place for place in places]
    return trace_type(
        x=places,
        y=made.column("value"),
        customdata=[[n, text(setting)] for n, setting in zip(numbers, made.column("setting"), strict=True)],
        mode="markers",
        marker={
            "color": numbers,
            "coloraxis": "coloraxis",
            "size": 6,
            "opacity": 0.75,
            "symbol": [STATE_SYMBOL[state] for state in states],
        },
        meta=[text(parameter.name)],  # not in the template, as a name may contain template syntax
        hovertemplate="trial %{customdata[0]}: %{y}<br>%{meta[0]} = %{customdata[1]}<extra></extra>",
    )


def _width(domain: Domain) -> float:
    """The distance between the values of a domain with few values, within which points are spread; otherwise 0."""
    match domain:
        case Choice():
            return 1.0
        case Int(log=False, step=step) if domain.size() <= FEW:
            return float(step)
        case _:
            return 0.0


def _log(domain: Domain) -> bool:
    return not isinstance(domain, Choice) and domain.log


def _x_axis(parameter: Parameter) -> dict[str, Any]:
    domain = parameter.domain
    title = parameter.name if parameter.condition is None else f"{short(parameter.name, 24)} (where active)"
    low, high = ends(domain)
    marks = ticks(domain)
    labels = [text(label, 14) for _, label in marks]
    if width := _width(domain):
        span = [low - 0.6 * width, high + 0.6 * width]
        return axis(title, range=span, showgrid=False, tickvals=[place for place, _ in marks], ticktext=labels)
    span = [low - 0.04 * (high - low), high + 0.04 * (high - low)]
    if not _log(domain):
        return axis(title, range=span)
    return axis(title, type="log", range=span, tickvals=[10**place for place, _ in marks], ticktext=labels)


def _colours() -> dict[str, Any]:
    bar = {"title": {"text": "trial", "side": "top"}, "thickness": 12, "len": 160, "lenmode": "pixels"}
    return {"colorscale": SCALE, "colorbar": {**bar, "y": 1, "yanchor": "top"}}
