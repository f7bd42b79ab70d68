"""Which parameters mattered, and whether the answer may be believed. The rules are those of studies.importance."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from archsearch.studies.formatting import count, number, percent
from archsearch.studies.history import History
from archsearch.studies.importance import Importances, NotYet, importances
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import by_first
from archsearch.studies.reports.theme import STUDIES, axis, figure, text

TRUSTED = 0.3  # out-of-bag R² below which the bars are not to be trusted
MAX_BARS = 25


def panel(history: History) -> Content | Missing:
    match importances(history):
        case NotYet(reason):
            return Missing(reason)
        case found:
            made = table(found)
            weak = found.explained < TRUSTED
            warning = (
                f"The forest explains little of what was seen (out-of-bag R² {found.explained:.2f}, below {TRUSTED}): "
                "do not trust these bars."
            )
            notes = (*by_first(history.study), *_told(found))
            if history.study.outcome_constraints:
                notes += ("Infeasible trials count like feasible ones, by their value.",)
            return Content(notes, _figure(made, weak), (made,), warning if weak else "")


def table(found: Importances) -> Table:
    rows = tuple((part.parameter, part.share, part.drop, part.spread) for part in found.parameters)
    return Table("Importance of each parameter", ("parameter", "share", "drop in R²", "± over shuffles"), rows)


def _told(found: Importances) -> tuple[str, ...]:
    seen = "" if found.trials == found.of else f"{found.trials:,} of "
    seen += count(found.of, "trial")
    told = [
        f"A random forest learned {seen}; its out-of-bag R² is {found.explained:.2f} (1 explains everything, 0 "
        "nothing). A bar is how much of that goes when one parameter is shuffled. Pruned and paused trials count with "
        "their last value, failed ones are left out, values far worse than most are cut, and not being active is a "
        "value of its own."
    ]
    if len(found.parameters) > MAX_BARS:
        told.append(f"The {MAX_BARS} most important of {len(found.parameters)} parameters are drawn.")
    return tuple(told)


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
