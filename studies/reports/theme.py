"""The appearance of the report's figures: colours, axes and the escaping of text.

The colours are legible on a light and on a dark page. Fonts, grid and background are not set here: page.js takes them
from the style sheet when it draws a figure.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup

from archsearch.studies.goals import Goal
from archsearch.studies.reports.feasibility import ShownState

STATE_COLOUR: dict[ShownState, str] = {
    "finished": "#3b82c4",
    "infeasible": "#c2578f",
    "pruned": "#b08526",
    "failed": "#d64550",
    "running": "#2a9d6f",
    "paused": "#8a63b8",
    "waiting": "#868e96",
}
STATE_SYMBOL: dict[ShownState, str] = {
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
# From old to new, or from worst to best.
SCALE = ((0.0, "#a3adb8"), (0.5, "#3b82c4"), (1.0, "#e8590c"))


def figure(traces: Sequence[Any], height: int = 380, **layout: Any) -> Any:
    """A plotly Figure without plotly's default template, which is 7 kB of colours that page.js would replace."""
    quiet = {"template": go.layout.Template(), "margin": {"l": 64, "r": 24, "t": 24, "b": 48}, "hovermode": "closest"}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return go.Figure(data=list(traces), layout={**quiet, "legend": legend, "height": height, **layout})


def axis(title: str, **more: Any) -> dict[str, Any]:
    """The layout of an axis. The title is escaped, as it may be text of the study."""
    return {"title": {"text": text(title, 44), "standoff": 10}, "automargin": True, "zeroline": False, **more}


def whole_axis(title: str, last: float) -> dict[str, Any]:
    """The layout of an axis of integers up to `last`, without ticks between integers."""
    return axis(title, dtick=1) if last <= 12 else axis(title)


def text(raw: object, width: int = 40) -> str:
    """Text for a figure: one line, shortened to `width` characters and escaped, as plotly interprets some HTML tags."""
    return html.escape(short(raw, width), quote=False)


def short(raw: object, width: int = 40) -> str:
    """One line of at most `width` characters, shortened in the middle, as long names often differ at the end."""
    line = " ".join(str(raw).split())
    tail = width // 3
    return line if len(line) <= width else f"{line[: width - 1 - tail]}…{line[-tail:]}"


def script_json(json_text: str) -> Markup:
    """JSON that is safe inside a script element: it cannot end the element or, as a JavaScript string, the line."""
    for char in "<>&\u2028\u2029":
        json_text = json_text.replace(char, f"\\u{ord(char):04x}")
    return Markup(json_text)  # entities are not decoded in scripts, so jinja2 must not escape it


def value_axis(
    goal: Goal, values: Sequence[float], keep: Sequence[float] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The axis of a goal's metric.

    Values beyond the upper quartile of the losses by more than three interquartile ranges are initially outside the
    plot, so that a single diverged run does not flatten the others.

    Args:
        goal: The goal.
        values: The values of its metric.
        keep: Values that are always inside the plot.

    Returns:
        The layout of the axis, and a note if values are outside the plot.
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
    outliers = "outlier is" if hidden == 1 else "outliers are"
    note = f"{hidden:,} {outliers} outside the plot; double-click the plot to show all values."
    return axis(goal.metric, range=ends), (note,)
