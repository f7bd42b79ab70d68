"""Learning curves: the goal's metric by step. Pruned and failed trials show where they ended.

All curves of one state are one trace with gaps, so a hundred curves cost no more than six. No WebGL: a browser grants
a page some sixteen WebGL contexts, which a page with several studies would use up.
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
from archsearch.studies.reports.feasibility import Feasibility, by_first, standing
from archsearch.studies.reports.theme import BEST, STATE_COLOUR, STATE_SYMBOL, figure, value_axis, whole_axis

MAX_CURVES = 240
MAX_POINTS = 200  # of one curve
DASH: dict[Feasibility, str] = {"pruned": "dot", "failed": "dash"}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    y_axis, notes = value_axis(history.study.goal, made.column("value"))
    told = (*by_first(history.study), *_thinned(history), *_first_runs(history), *notes)
    return Content(told, _figure(made, history.best_number, y_axis))


def table(history: History) -> Table | Missing:
    """One row for each point drawn, trial by trial."""
    if not any(trial.reports for trial in history.trials):
        return Missing("No trial has reported yet.")
    curves = [(trial, _curve(history, trial)) for trial in drawn(history)]
    if all(len(curve) < 2 for _, curve in curves):
        return Missing("Every trial reported once, so there is no curve to draw.")
    rows = [(trial.number, standing(history, trial), *point) for trial, curve in curves for point in curve]
    return Table("Learning curves", ("trial", "state", "step", "value"), tuple(rows))


def drawn(history: History) -> list[Trial]:
    """The trials whose curves are drawn: all, or evenly spaced ones when there are too many, always with the best."""
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
    """k of 0 … n-1, evenly, with both ends."""
    return [round(i * (n - 1) / (k - 1)) for i in range(k)]


def _thinned(history: History) -> tuple[str, ...]:
    total, shown = sum(1 for trial in history.trials if trial.reports), len(drawn(history))
    if shown == total:
        return ()
    return (f"{shown:,} of {total:,} curves are drawn, evenly spaced by number, the best one among them.",)


def _first_runs(history: History) -> tuple[str, ...]:
    if not any(trial.repeats for trial in history.trials):
        return ()
    return ("Of a trial with repeats, the curve of its first run.",)


def _figure(made: Table, best: int | None, y_axis: dict[str, Any]) -> Any:
    traces = []
    for state in STATE_COLOUR:
        rows = made.where("state", state).rows
        if rows:
            traces += _lines(rows, state)
    if best is not None and best in made.column("trial"):
        traces.append(_best(made.where("trial", best)))
    return figure(traces, height=420, xaxis=whole_axis("step", max(made.column("step"))), yaxis=y_axis)


def _lines(rows: Sequence[tuple[Any, ...]], state: Feasibility) -> list[Any]:
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


def _trace(rows: Sequence[tuple[Any, ...]], state: Feasibility, mode: str, name: str) -> Any:
    return go.Scatter(
        x=[row[2] for row in rows],
        y=[row[3] for row in rows],
        customdata=[row[0] for row in rows],
        mode=mode,
        name=name,
        legendgroup=state,
        hovertemplate=f"trial %{{customdata}} ({state})<br>step %{{x}}: %{{y}}<extra></extra>",
    )
