"""Worker timeline: which trial each worker ran, and when. For trials with several attempts, the last one is shown.

Long periods without a running trial, such as the night between two sessions, are cut out of the time axis and marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import plotly.graph_objects as go

from archsearch.studies.formatting import count, duration, utc_time
from archsearch.studies.history import History
from archsearch.studies.reports.cards import Content, Missing, Table
from archsearch.studies.reports.feasibility import ShownState
from archsearch.studies.reports.theme import STATE_COLOUR, axis, figure, text

MAX_BARS = 3_000
IDLE_S = 60.0  # idle periods are cut out if they are longer than this and than a twentieth of the total time
CUT = {"dash": "dot", "width": 1.5, "color": STATE_COLOUR["waiting"]}


def panel(history: History) -> Content | Missing:
    made = table(history)
    if isinstance(made, Missing):
        return made
    cuts = idle(made)
    notes = [f"Time in seconds since the start of the first trial, {utc_time(min(made.column('start')))}."]
    if cuts:
        idle_time = duration(sum(end - start for start, end in cuts))
        notes.append(f"Dotted lines mark idle periods that are cut out, {idle_time} in total.")
    started = sum(1 for trial in history.trials if trial.started_at is not None)
    if started > MAX_BARS:
        notes.append(f"The last {MAX_BARS:,} of {count(started, 'trial')} are shown.")
    return Content(tuple(notes), _figure(made, cuts))


def table(history: History) -> Table | Missing:
    """One row for each trial that was started; `start` and `end` are in seconds since the epoch."""
    rows = tuple(
        (trial.number, trial.worker or "?", trial.state, trial.started_at, _end(trial.ended_at, history.last_at))
        for trial in history.trials
        if trial.started_at is not None
    )
    if not rows:
        return Missing("No trial has been started yet.")
    return Table("Attempts by worker", ("trial", "worker", "state", "start", "end"), rows[-MAX_BARS:])


def idle(made: Table) -> list[tuple[float, float]]:
    """The idle periods that are cut out, as (start, end), in order."""
    spans = sorted(zip(made.column("start"), made.column("end"), strict=True))
    reach = [spans[0][1]]
    for _, end in spans[1:]:
        reach.append(max(reach[-1], end))
    gaps = [(until, start) for until, (start, _) in zip(reach, spans[1:], strict=False) if start > until]
    least = max(IDLE_S, (reach[-1] - spans[0][0]) / 20)
    return [(start, end) for start, end in gaps if end - start > least]


def _end(ended_at: float | None, last_at: float) -> float:
    return last_at if ended_at is None else ended_at


def _figure(made: Table, cuts: list[tuple[float, float]]) -> Any:
    zero = min(made.column("start"))

    def place(at: float) -> float:
        return float(at - zero - sum(end - start for start, end in cuts if end <= at))

    workers = sorted(set(made.column("worker")))
    lanes = {worker: lane for lane, worker in enumerate(workers)}
    few = len(made.rows) < 60 * len(workers)  # wide enough for an outline
    bars = [_bars(made.where("state", s), s, lanes, place, few) for s in STATE_COLOUR if s in made.column("state")]
    marks = [
        {"type": "line", "x0": place(end), "x1": place(end), "yref": "paper", "y0": 0, "y1": 1, "line": CUT}
        for _, end in cuts
    ]
    labels = {"tickvals": list(lanes.values()), "ticktext": [text(worker, 32) for worker in workers]}
    return figure(
        bars,
        height=min(120 + 30 * len(workers), 900),
        barmode="overlay",
        bargap=0.25,
        shapes=marks,
        xaxis=axis("seconds", range=[0, place(max(made.column("end"))) * 1.01]),
        yaxis=axis("", autorange="reversed", showgrid=False, **labels),
    )


def _bars(made: Table, state: ShownState, lanes: Mapping[str, int], place: Callable[[float], float], few: bool) -> Any:
    starts, stops = [place(at) for at in made.column("start")], [place(at) for at in made.column("end")]
    spans = [stop - start for start, stop in zip(starts, stops, strict=True)]
    when = [utc_time(at) for at in made.column("start")]
    return go.Bar(
        base=starts,
        x=spans,
        y=[lanes[worker] for worker in made.column("worker")],
        orientation="h",
        name=state,
        customdata=list(zip(made.column("trial"), map(duration, spans), when, strict=True)),
        marker={
            "color": STATE_COLOUR[state],
            "line": {"width": 0.5 if few else 0, "color": "rgba(255, 255, 255, 0.6)"},
        },
        hovertemplate=f"trial %{{customdata[0]}}, {state}<br>%{{customdata[1]}} from %{{customdata[2]}}<extra></extra>",
    )
