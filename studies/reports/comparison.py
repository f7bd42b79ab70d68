"""The comparison of several studies. Values are compared only between studies with the same goals and constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from archsearch.studies.formatting import duration, number
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import feasible, first_goal_note
from archsearch.studies.reports.panels.progress import better
from archsearch.studies.reports.theme import DASHES, STUDIES, axis, figure, text, value_axis


@dataclass(frozen=True, slots=True)
class Entrant:
    """A study in the comparison.

    Attributes:
        label: A label that no other study has.
        history: The study.
    """

    label: str
    history: History


def entrants(histories: Sequence[History]) -> tuple[Entrant, ...]:
    """The studies with unique labels: their names and, for equal names, the strategy, seed or position as well."""
    labels = [_label(i, histories) for i in range(len(histories))]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({place})" for place, label in enumerate(labels, start=1)]
    return tuple(Entrant(label, history) for label, history in zip(labels, histories, strict=True))


def _label(index: int, histories: Sequence[History]) -> str:
    mine = histories[index].study
    namesakes = [history.study for history in histories if history.study.name == mine.name]
    if len(namesakes) == 1:
        return mine.name
    for detail in (lambda s: s.strategy, lambda s: f"seed {s.seed}", lambda s: f"{s.strategy}, seed {s.seed}"):
        if len({detail(study) for study in namesakes}) == len(namesakes):
            return f"{mine.name}, {detail(mine)}"
    return mine.name


def groups(studies: Sequence[Entrant]) -> list[list[Entrant]]:
    """The studies grouped by goals and outcome constraints, in the order of the first study of each group."""
    found: dict[object, list[Entrant]] = {}
    for entrant in studies:
        study = entrant.history.study
        found.setdefault((study.goals, frozenset(study.outcome_constraints)), []).append(entrant)
    return list(found.values())


def _study(group: Sequence[Entrant]) -> StudyRecord:
    """The record of the first study, for what all studies of a group have in common."""
    return group[0].history.study


def overview(studies: Sequence[Entrant]) -> Content:
    """The table of the studies, with a warning if not all of them can be compared."""
    made = table_of_studies(studies)
    by_goals = groups(studies)
    if len(by_goals) == 1:
        return Content((f"All studies have the same goal: {_study(studies).aim}.",), tables=(made,))
    labels = "; ".join(f"{_study(group).aim}: {', '.join(e.label for e in group)}" for group in by_goals)
    warning = f"These studies have different goals; only studies with the same goals are compared below. {labels}."
    return Content(tables=(made,), warning=warning)


def table_of_studies(studies: Sequence[Entrant]) -> Table:
    """One row for each study."""
    columns = (
        "study",
        "goal",
        "strategy",
        "pruner",
        "trials",
        "finished",
        "best value",
        "best trial",
        "work time",
        "seed",
    )
    return Table("Studies", columns, tuple(_row(entrant) for entrant in studies))


def _row(entrant: Entrant) -> tuple[Any, ...]:
    history, best = entrant.history, entrant.history.best
    study = history.study
    return (
        *(entrant.label, study.aim, study.strategy, study.pruner),
        *(len(history.trials), history.counts().get("finished", 0)),
        *((history.value(best), best.number) if best else (None, None)),
        *(duration(history.elapsed_s), study.seed),
    )


def by_trial(studies: Sequence[Entrant]) -> Content | Missing:
    """The best value so far by trial number."""
    made = table_by_trial(studies)
    return _lines(studies, made, "trial", "The best value of the finished trials up to each number.")


def table_by_trial(studies: Sequence[Entrant]) -> Table:
    """One row for each improvement, and one for the last trial of each study."""
    rows: list[tuple[Any, ...]] = []
    for entrant in studies:
        history = entrant.history
        finished = [(trial.number, value) for trial, value in feasible(history)]
        rows += _improvements(entrant, finished, len(history.trials) - 1)
    return Table("Best so far by trial", ("study", "trial", "best"), tuple(rows))


def by_time(studies: Sequence[Entrant]) -> Content | Missing:
    """The best value so far by the time that each study was worked on."""
    made = table_by_time(studies)
    note = "The best value of the finished trials by seconds of work, without the gaps between sessions."
    if resumed := [entrant.label for entrant in studies if entrant.history.worked_s > 0]:
        note += (
            f" Resumed in a later session: {', '.join(resumed)}. Only the total length of earlier sessions is known, "
            "so times in them may be too late."
        )
    return _lines(studies, made, "seconds", note)


def table_by_time(studies: Sequence[Entrant]) -> Table:
    """One row for each improvement, and one for the end of each study."""
    rows: list[tuple[Any, ...]] = []
    for entrant in studies:
        history = entrant.history
        finished = sorted(
            (worked_at(history, trial.ended_at), value)
            for trial, value in feasible(history)
            if trial.ended_at is not None
        )
        rows += _improvements(entrant, finished, history.elapsed_s)
    return Table("Best so far by seconds of work", ("study", "seconds", "best"), tuple(rows))


def worked_at(history: History, at: float) -> float:
    """The time in seconds that the study had been worked on at a moment, `at` in seconds since the epoch.

    It is exact for the latest session. Of earlier sessions, only the total is known: for moments in them, it is the
    time since the first proposal, including gaps, limited to that total.
    """
    if history.session_started is not None and at >= history.session_started.at:
        return history.worked_s + at - history.session_started.at
    since_first = at - history.trials[0].proposed_at
    return min(since_first, history.worked_s) if history.session_started is not None else since_first


def best_values(studies: Sequence[Entrant]) -> Content | Missing:
    """A bar for the best value of each study."""
    made = Table(
        "Best values",
        ("study", "best", "trial"),
        tuple(
            (entrant.label, value, best.number)
            for entrant in studies
            if (best := entrant.history.best) is not None and (value := entrant.history.value(best)) is not None
        ),
    )
    if not made.rows:
        return Missing("None of these studies has a finished trial yet.")
    goal = _study(studies).goal
    lane_of = {entrant.label: lane for lane, entrant in enumerate(studies)}
    lanes = [lane_of[label] for label in made.column("study")]
    bars = go.Bar(
        x=made.column("best"),
        y=lanes,
        orientation="h",
        marker={"color": [STUDIES[lane % len(STUDIES)] for lane in lanes]},
        text=[number(value) for value in made.column("best")],
        textposition="outside",
        cliponaxis=False,
        customdata=[[text(row[0], 80), row[2]] for row in made.rows],
        hovertemplate="%{customdata[0]}<br>%{x}, trial %{customdata[1]}<extra></extra>",
    )
    labels = {"tickvals": list(lane_of.values()), "ticktext": [text(label, 44) for label in lane_of]}
    y_axis = axis("", autorange="reversed", showgrid=False, **labels)
    drawn = figure(
        [bars],
        height=100 + 36 * len(studies),
        margin={"l": 64, "r": 72, "t": 16, "b": 48},
        xaxis=axis(f"best {goal.metric}"),
        yaxis=y_axis,
    )
    return Content(first_goal_note(_study(studies)) or (f"Goal: {_study(studies).aim}.",), drawn)


def _improvements(entrant: Entrant, points: Sequence[tuple[float, float]], end: float) -> list[tuple[Any, ...]]:
    goal, best = entrant.history.study.goal, None
    rows: list[tuple[Any, ...]] = []
    for place, value in points:
        if better(goal, best, value) != best:
            best = value
            rows.append((entrant.label, place, best))
    if best is not None and rows[-1][1] < end:
        rows.append((entrant.label, end, best))
    return rows


def _lines(studies: Sequence[Entrant], made: Table, along: str, note: str) -> Content | Missing:
    if not made.rows:
        return Missing("None of these studies has a finished trial yet.")
    study = _study(studies)
    y_axis, notes = value_axis(study.goal, made.column("best"))
    traces = []
    for place, entrant in enumerate(studies):
        mine = made.where("study", entrant.label)
        style = {"color": STUDIES[place % len(STUDIES)], "dash": DASHES[place // len(STUDIES) % len(DASHES)]}
        trace = go.Scatter(
            x=mine.column(along),
            y=mine.column("best"),
            name=text(entrant.label, 48),
            mode="lines+markers" if len(mine.rows) < 2 else "lines",
            line={**style, "width": 2.5, "shape": "hv"},
            meta=[text(entrant.label, 48)],
            hovertemplate=f"%{{meta[0]}}<br>{along} %{{x}}: %{{y}}<extra></extra>",
        )
        traces.append(trace)
    drawn = figure(traces, height=400, showlegend=True, xaxis=axis(along, rangemode="tozero"), yaxis=y_axis)
    return Content((note, *first_goal_note(study), *notes), drawn)
