"""Hypervolume of a study with several goals: the dominated share of the box between the worst and the best values."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from archsearch.studies.formatting import number
from archsearch.studies.goals import Goal, hypervolume
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import feasible
from archsearch.studies.reports.theme import BEST, axis, figure, whole_axis

MAX_GOALS = 5  # with more goals and a long front, the exact volume takes minutes


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    losses = _losses(history)
    worst, best = _ends(history.study.goals, losses.max(axis=0)), _ends(history.study.goals, losses.min(axis=0))
    note = (
        "The share of the box between the worst and the best value of each goal that the trials up to each number "
        f"dominate. The box is that of this study's feasible finished trials, from {worst} to {best}, so hypervolumes "
        "of different studies cannot be compared."
    )
    return Content((note,), _figure(made, len(history.trials) - 1))


def table(history: History) -> Table | Missing:
    """One row for each trial that increased the hypervolume."""
    if len(history.study.goals) > MAX_GOALS:
        return Missing(f"The hypervolume is not computed for more than {MAX_GOALS} goals, as it would take too long.")
    losses = _losses(history)  # (trials, goals)
    spans = np.ptp(losses, axis=0) if len(losses) else np.zeros(1)
    if not spans.all():
        return Missing("The hypervolume needs feasible finished trials that differ in the value of each goal.")
    scaled = (losses - losses.min(axis=0)) / spans  # (trials, goals), 0 … 1
    rows: list[tuple[int, float]] = []
    front = scaled[:0]
    for (trial, _), row in zip(feasible(history), scaled, strict=True):
        if (front <= row).all(axis=1).any():
            continue
        front = np.vstack([front[~(front >= row).all(axis=1)], row])
        rows.append((trial.number, hypervolume(front)))
    return Table("Hypervolume by trial", ("trial", "hypervolume"), tuple(rows))


def _losses(history: History) -> NDArray[np.float64]:
    """The losses of the feasible finished trials, (trials, goals)."""
    vectors = (history.objectives(trial) for trial, _ in feasible(history))
    return np.array([vector.losses for vector in vectors if vector is not None])


def _ends(goals: tuple[Goal, ...], losses: NDArray[np.float64]) -> str:
    return ", ".join(f"{goal.metric} {number(goal.loss(loss))}" for goal, loss in zip(goals, losses, strict=True))


def _figure(made: Table, last: int) -> Any:
    numbers, volumes = made.column("trial"), made.column("hypervolume")
    line = go.Scatter(
        x=[*numbers, last],
        y=[*volumes, volumes[-1]],
        mode="lines",
        line={"color": BEST, "width": 2.5, "shape": "hv"},
        hovertemplate="up to trial %{x}: %{y:.4f}<extra></extra>",
    )
    share = axis("hypervolume", range=[0, 1.02])
    return figure([line], 300, xaxis=whole_axis("trial", last), yaxis=share)
