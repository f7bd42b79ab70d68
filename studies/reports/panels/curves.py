"""Learning curves: the first goal's metric by step. Markers show where trials other than finished ones ended.

All curves of the same state are one trace with gaps, which is much faster than one trace per curve. They do not use
WebGL, because a browser allows about 16 WebGL contexts per page, too few for a page about several studies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import plotly.graph_objects as go

from archsearch.studies.history import History
from archsearch.studies.records import Trial
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import ShownState, first_goal_note, shown_state
from archsearch.studies.reports.theme import BEST, STATE_COLOUR, STATE_SYMBOL, figure, value_axis, whole_axis

MAX_CURVES = 240
MAX_POINTS = 200  # per curve
DASH: dict[ShownState, str] = {"pruned": "dot", "failed": "dash"}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    y_axis, notes = value_axis(history.study.goal, made.column("value"))
    notes = (*first_goal_note(history.study), *_thinned(history), *_first_runs(history), *notes)
    return Content(notes, _figure(made, history.best_number, y_axis))


def table(history: History) -> Table | Missing:
    """One row for each point of the drawn curves, trial by trial."""
    if not any(trial.reports for trial in history.trials):
        return Missing("No trial has reported yet.")
    curves = [(trial, _curve(history, trial)) for trial in drawn(history)]
    if all(len(curve) < 2 for _, curve in curves):
        return Missing("No trial has reported more than once, so there are no curves to draw.")
    rows = [(trial.number, shown_state(history, trial), *point) for trial, curve in curves for point in curve]
    return Table("Learning curves", ("trial", "state", "step", "value"), tuple(rows))


def drawn(history: History) -> list[Trial]:
    """The trials whose curves are drawn: all or, if there are too many, evenly spaced ones and the best."""
    with_curve = [trial for trial in history.trials if trial.reports]
    if len(with_curve) <= MAX_CURVES:
        return with_curve
    kept = set(_spaced(len(with_curve), MAX_CURVES))
    return [trial for i, trial in enumerate(with_curve) if i in kept or trial.number == history.best_number]


def _curve(history: History, trial: Trial) -> list[tuple[int, float]]:
    metric = history.study.goal.metric
    points = [(report.step, report.metrics[metric]) for report in trial.reports if metric in report.metrics]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    return points if len(points) <= MAX_POINTS else [points[i] for i in _spaced(len(points), MAX_POINTS)]


def _spaced(n: int, k: int) -> list[int]:
    """k evenly spaced integers from 0 to n - 1, including both."""
    return [round(i * (n - 1) / (k - 1)) for i in range(k)]


def _thinned(history: History) -> tuple[str, ...]:
    total, shown = sum(1 for trial in history.trials if trial.reports), len(drawn(history))
    if shown == total:
        return ()
    return (f"{shown:,} of {total:,} curves are shown, evenly spaced by trial number and including the best trial.",)


def _first_runs(history: History) -> tuple[str, ...]:
    if not any(trial.repeats for trial in history.trials):
        return ()
    return ("For trials with repeats, the curve of the first run is shown.",)


def _figure(made: Table, best: int | None, y_axis: dict[str, Any]) -> Any:
    traces = []
    for state in STATE_COLOUR:
        rows = made.where("state", state).rows
        if rows:
            traces += _lines(rows, state)
    if best is not None and best in made.column("trial"):
        traces.append(_best(made.where("trial", best)))
    return figure(traces, height=420, xaxis=whole_axis("step", max(made.column("step"))), yaxis=y_axis)


def _lines(rows: Sequence[tuple[Any, ...]], state: ShownState) -> list[Any]:
    points: list[tuple[Any, ...]] = []
    ends: list[tuple[Any, ...]] = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        curve = list(group)
        points += [*curve, (curve[-1][0], state, None, None)]  # the gap before the next curve
        if state != "finished" or len(curve) == 1:
            ends.append(curve[-1])
    many = len({row[0] for row in rows})
    line = _trace(points, state, "lines", f"{state} ({many:,})")
    width = 1.25 if many <= 60 else 0.7
    line.update(line={"color": STATE_COLOUR[state], "width": width, "dash": DASH.get(state, "solid")}, opacity=0.7)
    if not ends:
        return [line]
    end = _trace(ends, state, "markers", f"{state}, end")
    end.update(marker={"color": STATE_COLOUR[state], "symbol": STATE_SYMBOL[state], "size": 7 if many <= 60 else 5})
    end.update(showlegend=False)
    return [line, end]


def _best(made: Table) -> Any:
    line = _trace(made.rows, "finished", "lines+markers", "best trial")
    line.update(line={"color": BEST, "width": 3}, marker={"size": 5}, legendgroup="best")
    return line


def _trace(rows: Sequence[tuple[Any, ...]], state: ShownState, mode: str, name: str) -> Any:
    return go.Scatter(
        x=[row[2] for row in rows],
        y=[row[3] for row in rows],
        customdata=[row[0] for row in rows],
        mode=mode,
        name=name,
        legendgroup=state,
        hovertemplate=f"trial %{{customdata}} ({state})<br>step %{{x}}: %{{y}}<extra></extra>",
    )
