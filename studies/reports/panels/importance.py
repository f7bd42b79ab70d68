"""Parameter importance, with a warning if the forest is inaccurate; see `archsearch.studies.importance`."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from archsearch.studies.formatting import count, number, percent
from archsearch.studies.history import History
from archsearch.studies.importance import Importances, NotYet, importances
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import first_goal_note
from archsearch.studies.reports.theme import STUDIES, axis, figure, text

TRUSTED = 0.3  # the panel shows a warning if the out-of-bag R² is lower
MAX_BARS = 25


def panel(history: History) -> Content | Missing:
    match importances(history):
        case NotYet(reason):
            return Missing(reason)
        case found:
            made = table(found)
            weak = found.explained < TRUSTED
            warning = (
                f"The random forest explains the values poorly (out-of-bag R² {found.explained:.2f}, below {TRUSTED}), "
                "so these importances are unreliable."
            )
            notes = (*first_goal_note(history.study), *_notes(found))
            if history.study.outcome_constraints:
                notes += ("Infeasible trials are treated like feasible ones.",)
            return Content(notes, _figure(made, weak), (made,), warning if weak else "")


def table(found: Importances) -> Table:
    """One row for each parameter, the most important first."""
    rows = tuple((part.parameter, part.share, part.drop, part.spread) for part in found.parameters)
    return Table("Importance of each parameter", ("parameter", "share", "drop in R²", "std. dev."), rows)


def _notes(found: Importances) -> tuple[str, ...]:
    sample = "" if found.trials == found.of else f"{found.trials:,} of "
    notes = [
        f"A random forest was trained on {sample}{count(found.of, 'trial')}; its out-of-bag R² is "
        f"{found.explained:.2f} (1 is a perfect fit, 0 is no better than the mean). A bar is the share of a parameter "
        "in the loss of R² when parameters are shuffled one at a time. Pruned and paused trials are included with "
        "their last value, failed trials are not. Outliers are clipped. “Inactive” is treated as an additional value "
        "of a parameter."
    ]
    if len(found.parameters) > MAX_BARS:
        notes.append(f"The {MAX_BARS} most important of {len(found.parameters)} parameters are shown.")
    return tuple(notes)


def _figure(made: Table, weak: bool) -> Any:
    names, shares = made.column("parameter")[:MAX_BARS], made.column("share")[:MAX_BARS]
    places = list(range(len(names)))
    bars = go.Bar(
        x=shares,
        y=places,
        orientation="h",
        text=[percent(share) for share in shares],
        textposition="outside",
        cliponaxis=False,
        customdata=[[text(name), number(drop)] for name, drop in zip(names, made.column("drop in R²"), strict=False)],
        marker={"color": STUDIES[0], "opacity": 0.35 if weak else 1.0},
        hovertemplate="%{customdata[0]}: %{x:.1%}<br>drop in R² %{customdata[1]}<extra></extra>",
    )
    labels = {"tickvals": places, "ticktext": [text(name, 32) for name in names]}
    return figure(
        [bars],
        height=90 + 26 * len(names),
        xaxis=axis("share of importance", tickformat=".0%", range=[0, max([*shares, 0.1]) * 1.12]),
        yaxis=axis("", autorange="reversed", showgrid=False, **labels),
    )
