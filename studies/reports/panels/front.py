"""Pareto front of a study with several goals: the feasible finished trials that no other such trial dominates.

The first two goals are the axes, and the third goal, if there is one, is the colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from archsearch.studies.formatting import count, number
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Trial
from archsearch.studies.reports.cards import Cell, Content, Missing, Table
from archsearch.studies.reports.feasibility import shown_state
from archsearch.studies.reports.panels.headline import shown
from archsearch.studies.reports.theme import (
    BEST,
    SCALE,
    STATE_COLOUR,
    STATE_SYMBOL,
    axis,
    figure,
    text,
    value_axis,
)

SPREAD = 4.0  # an axis is logarithmic if the upper quartile is at least this many times the lower one
# In this order, so that the front is drawn on top.
LEGEND = {"infeasible": "infeasible", "finished": "dominated", "front": "Pareto front"}
MARKERS: dict[str, dict[str, Any]] = {
    "infeasible": {"color": STATE_COLOUR["infeasible"], "symbol": STATE_SYMBOL["infeasible"], "opacity": 0.6},
    "finished": {"color": STATE_COLOUR["finished"], "opacity": 0.6},
    "front": {"color": BEST, "size": 10, "line": {"color": BEST, "width": 1.5}},
}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    goals, total = history.study.goals, len(made.rows)
    front = f"{len(history.front):,} of {count(total, 'finished trial')}"
    notes = [f"The front consists of {front}; “Show as table” lists their configurations."]
    if not history.front:
        notes = ["No finished trial is feasible, so the front is empty."]
    if len(goals) > 2:
        infeasible = "; triangles are infeasible trials" if "infeasible" in made.column("state") else ""
        notes.append(
            f"The axes are the first two goals, and the colour is the third, {goals[2].metric}. Large points are on "
            f"the front{infeasible}. A point on the front may look dominated, as the plot shows two goals only."
        )
    if rest := ", ".join(goal.metric for goal in goals[3:]):
        notes.append(f"Goals in the table only: {rest}.")
    drawn, outliers = _figure(made, goals)
    if outliers:
        notes.append("Some outliers are outside the plot; double-click the plot to show all values.")
    return Content(tuple(notes), drawn, (members(history),) if history.front else ())


def table(history: History) -> Table | Missing:
    """One row for each finished trial with its state and its values, sorted by the first goal's value."""
    front = set(history.front_numbers)
    rows = []
    for trial in history.in_state("finished"):
        values = [value for goal in history.study.goals if (value := trial.value(goal.metric)) is not None]
        if len(values) == len(history.study.goals):
            state = "front" if trial.number in front else shown_state(history, trial)
            rows.append((trial.number, state, trial.proposal.proposer, *values))
    if not rows:
        return Missing("No trial has finished yet.")
    columns = (f"goal {place}" for place, _ in enumerate(history.study.goals))
    rows.sort(key=lambda row: (row[3], row[0]))
    return Table("Finished trials by goal", ("trial", "state", "by", *columns), tuple(rows))


def members(history: History) -> Table:
    """The trials of the front with their metrics and configurations, the best for the first goal first."""
    study = history.study
    names = tuple(parameter.name for parameter in study.space.free)

    def row(trial: Trial) -> tuple[Cell, ...]:
        config = (shown(trial.config[name]) if name in trial.config else None for name in names)
        return (trial.number, *map(trial.value, study.metrics), *config)

    front = sorted(history.front, key=lambda trial: (history.loss(trial), trial.number))
    return Table("The Pareto front", ("trial", *study.metrics, *names), tuple(map(row, front)), tools=True)


def _figure(made: Table, goals: Sequence[Goal]) -> tuple[Any, bool]:
    """The figure, and whether values are outside the plot."""
    front = made.where("state", "front")
    axes = [_axis(goal, made.column(f"goal {i}"), front.column(f"goal {i}")) for i, goal in enumerate(goals[:3])]
    (x_axis, x_notes), (y_axis, y_notes), *third = axes
    # With a colour axis, the legend would show all markers in black.
    layout: dict[str, Any] = {"xaxis": x_axis, "yaxis": y_axis, "showlegend": not third}
    for colours, _ in third:
        layout["coloraxis"] = _colours(goals[2], colours.get("range"))
    traces = [_points(made.where("state", state), state, goals) for state in LEGEND if state in made.column("state")]
    return figure(traces, 460, **layout), bool(x_notes or y_notes)


def _axis(goal: Goal, values: list[float], front: list[float]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Like `value_axis`, but always with the whole front, and logarithmic if the values spread widely, as sizes do."""
    least, q1, q3, most = np.quantile(values, [0, 0.25, 0.75, 1])
    if least > 0 and q3 >= SPREAD * q1:
        return axis(goal.metric, type="log", dtick="D2" if most < 1000 * least else 1), ()
    return value_axis(goal, values, keep=front)


def _points(made: Table, state: str, goals: Sequence[Goal]) -> Any:
    values = [made.column(f"goal {i}") for i in range(len(goals))]
    points = zip(made.column("trial"), made.column("by"), zip(*values, strict=True), strict=True)
    trace = go.Scatter(
        x=values[0],
        y=values[1],
        customdata=[(trial, text(name) or "?", *map(number, row)) for trial, name, row in points],
        name=LEGEND[state],
        mode="markers",
        marker=MARKERS[state],
        meta=[text(goal.metric) for goal in goals],  # not in the template, as a name may contain template syntax
        hovertemplate="trial %{customdata[0]}, proposed by %{customdata[1]}"
        + "".join(f"<br>%{{meta[{i}]}} %{{customdata[{i + 2}]}}" for i in range(len(goals)))
        + "<extra></extra>",
    )
    if len(goals) > 2 and state != "infeasible":
        trace.marker.update(color=values[2], coloraxis="coloraxis")
    elif state == "front":
        # The line is the boundary of the dominated region, so each step goes through the worse x or y of two points.
        line = {"color": BEST, "width": 2, "shape": "vh" if goals[0].maximize else "hv"}
        trace.update(mode="lines+markers", line=line)
    return trace


def _colours(goal: Goal, span: tuple[float, float] | None) -> dict[str, Any]:
    """The colour axis of a goal, from the worst to the best; `span` limits it if there are outliers."""
    bar = {"title": {"text": text(goal.metric, 24), "side": "top"}, "thickness": 12, "len": 0.7}
    ends = {} if span is None else {"cmin": span[0], "cmax": span[1]}
    return {"colorscale": SCALE, "reversescale": not goal.maximize, "colorbar": bar, **ends}
