"""How the report looks, in one place: colours, axes, and the escaping that figures and scripts need.

Colours are middle tones, legible on the light page and on the dark one. Fonts, grid and background are no business of
Python's: page.js takes them from the style sheet when it draws.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from archsearch.studies.goals import Goal
from archsearch.studies.reports.feasibility import Feasibility

STATE_COLOUR: dict[Feasibility, str] = {
    "finished": "#3b82c4",
    "infeasible": "#c2578f",
    "pruned": "#b08526",
    "failed": "#d64550",
    "running": "#2a9d6f",
    "paused": "#8a63b8",
    "waiting": "#868e96",
}
STATE_SYMBOL: dict[Feasibility, str] = {
    "finished": "circle",
    "infeasible": "triangle-down",
    "pruned": "x",
    "failed": "diamond",
    "running": "circle-open",
    "paused": "square-open",
    "waiting": "square-open",
}
BEST = "#e8590c"
STUDIES = ("#3b82c4", "#e8590c", "#2a9d6f", "#8a63b8", "#b08526", "#d64550", "#1098ad", "#c2578f")
DASHES = ("solid", "dash", "dot", "dashdot")
# From the dull to the interesting: old to new, worst to best.
SCALE = ((0.0, "#a3adb8"), (0.5, "#3b82c4"), (1.0, "#e8590c"))


def figure(traces: Sequence[Any], height: int = 380, **layout: Any) -> Any:
    """A plotly Figure without plotly's default template, which is 7 kB of colours that page.js would replace."""
    quiet = {"template": go.layout.Template(), "margin": {"l": 64, "r": 24, "t": 24, "b": 48}, "hovermode": "closest"}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return go.Figure(data=list(traces), layout={**quiet, "legend": legend, "height": height, **layout})


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title, which is a study's text and so is escaped here."""
    return {"title": {"text": text(title, 44), "standoff": 10}, "automargin": True, "zeroline": False, **more}


def whole_axis(title: str, last: float) -> dict[str, Any]:
    """An axis of whole numbers up to `last`, without a tick at 2.5."""
    return axis(title, dtick=1) if last <= 12 else axis(title)


def text(raw: object, width: int = 40) -> str:
    """Anything as one line for a figure: shortened, and escaped, for plotly reads texts as a small HTML."""
    return html.escape(short(raw, width), quote=False)


def short(raw: object, width: int = 40) -> str:
    """One line of at most `width`, cut in the middle: long names tend to differ at their ends."""
    line = " ".join(str(raw).split())
    tail = width // 3
    return line if len(line) <= width else f"{line[: width - 1 - tail]}…{line[-tail:]}"


def script_json(json_text: str) -> Markup:
    """JSON that may stand inside a script element as it is: nothing in it can end the element or a line."""
    for char in "<>&\u2028\u2029":
        json_text = json_text.replace(char, f"\\u{ord(char):04x}")
    return Markup(json_text)  # an entity would not be read as one there, so jinja2 must leave it alone


def value_axis(
    goal: Goal, values: Sequence[float], keep: Sequence[float] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The axis of the goal's metric, and what to say of it.

    Where some values are far worse than most (beyond the upper quartile by three times the distance between the
    quartiles), the axis opens without them, so that one diverged run does not flatten the rest.
    `keep`: values that stay in view whatever they are.
    """
    losses = np.array([goal.loss(value) for value in values])
    losses = losses[np.isfinite(losses)]
    if len(losses) < 8:
        return axis(goal.metric), ()
    q1, q3 = np.quantile(losses, [0.25, 0.75])
    fence = max([q3 + 3 * (q3 - q1), *map(goal.loss, keep)])
    hidden = int((losses > fence).sum())
    if not hidden or q1 == q3:
        return axis(goal.metric), ()
    best, worst = float(losses.min()), float(losses[losses <= fence].max())
    pad = 0.06 * (worst - best)
    ends = sorted((goal.loss(best - pad), goal.loss(worst + pad)))
    far = "value lies" if hidden == 1 else "values lie"
    note = f"{hidden:,} {far} far beyond the rest and outside the plot as it opens; double-click it to see all."
    return axis(goal.metric, range=ends), (note,)
