"""The SQL views say of a store what History says of its events."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Finished,
    Logged,
    Lost,
    Paused,
    Proposal,
    Proposed,
    Report,
    Reported,
    Started,
    StudyRecord,
)
from archsearch.studies.store import Store

Rows = list[dict[str, Any]]
Ask = Callable[[list[Event], str], Rows]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, small_study: StudyRecord) -> Ask:
    """The rows of a query on a new store that holds these events."""
    folder, numbers = tmp_path_factory.mktemp("views"), itertools.count()

    def ask(events: list[Event], query: str) -> Rows:
        path = folder / f"{next(numbers)}.db"
        with Store.create(path, small_study, {}) as store:
            store.append(events)
        try:
            return rows(path, query)
        finally:
            path.unlink()

    return ask


def rows(path: Path, query: str) -> Rows:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query)]


@settings(max_examples=60)
@given(data=st.data())
def test_the_view_trials_agrees_with_history(data: Any, any_events: Any, ask: Ask, small_study: StudyRecord) -> None:
    events = data.draw(any_events)
    history = History.from_events(small_study, events)
    view = ask(events, "SELECT * FROM trials ORDER BY number")
    assert [row["number"] for row in view] == [trial.number for trial in history.trials]
    for row, trial in zip(view, history.trials, strict=True):
        ended = trial.outcome is not None
        assert row["state"] == trial.state
        assert row["value"] == history.value(trial)
        assert (row["steps"] or 0) == trial.step
        assert row["attempts"] == trial.attempt
        assert json.loads(row["config"]) == trial.config
        assert row["proposer"] == trial.proposal.proposer
        assert row["proposed_at"] == trial.proposed_at
        assert row["started_at"] == trial.started_at
        assert row["ended_at"] == (trial.ended_at if ended else None)
        assert (row["reason"] or "") == trial.reason


@settings(max_examples=60)
@given(data=st.data())
def test_the_view_curves_agrees_with_history(data: Any, any_events: Any, ask: Ask, small_study: StudyRecord) -> None:
    events = data.draw(any_events)
    history = History.from_events(small_study, events)
    view = ask(events, "SELECT trial, run, step, metric, value, seconds FROM curves ORDER BY trial, run, step, metric")
    expected = [
        (trial.number, run, report.step, metric, value, report.seconds)
        for trial in history.trials
        for run, reports in enumerate((trial.reports, *trial.repeats))
        for report in reports
        for metric, value in sorted(report.metrics.items())
    ]
    assert [tuple(row.values()) for row in view] == [
        (*row[:4], pytest.approx(row[4], rel=1e-12), row[5]) for row in expected
    ]


def reported(step: int, loss: float) -> Reported:
    return Reported(10.0 + step, 0, Report(step, {"loss": loss, "acc": loss / 2}, 0.5))


def test_reports_made_again_are_shown_once(ask: Ask) -> None:
    events = [
        Proposed(1.0, 0, Proposal({"a": 0.5}, 9), 0),
        Started(2.0, 0, 1, "w"),
        *(reported(step, 10.0 - step) for step in (1, 2, 3)),
        Lost(14.0, 0, "killed", "worker"),
        Started(15.0, 0, 2, "w", from_step=1),
        reported(2, 80.0),
        Lost(16.0, 0, "killed", "worker"),
        Started(17.0, 0, 3, "w", from_step=2),
    ]
    query = "SELECT step, value FROM curves WHERE metric = 'loss' ORDER BY step"
    assert [tuple(row.values()) for row in ask(events, query)] == [(1, 9.0), (2, 80.0)]
    (row,) = ask(events, "SELECT state, value, steps, attempts FROM trials")
    assert tuple(row.values()) == ("running", 80.0, 2, 3)
    from_the_start = [*events, Lost(18.0, 0, "killed", "driver"), Started(19.0, 0, 4, "w")]
    assert ask(from_the_start, "SELECT * FROM curves") == []
    (row,) = ask(from_the_start, "SELECT state, value, steps, attempts FROM trials")
    assert tuple(row.values()) == ("running", None, None, 4)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (Paused(20.0, 0), "paused"),
        (Extended(20.0, 0, 9), "waiting"),
        (Lost(20.0, 0, "killed", "driver"), "waiting"),
        (Logged(20.0, 0, "x"), "running"),
        (Ended(20.0, 0, Finished()), "finished"),
    ],
)
def test_state(ask: Ask, last: Event, state: str) -> None:
    events = [Proposed(1.0, 0, Proposal({"a": 0.5}, 9), 0), Started(2.0, 0, 1, "w"), reported(1, 0.5), last]
    assert ask(events, "SELECT state FROM trials") == [{"state": state}]


def test_views_can_be_read_while_a_driver_writes(tmp_path: Path, small_study: StudyRecord) -> None:
    path = tmp_path / "a.db"
    with Store.create(path, small_study, {}) as store:
        store.append([Proposed(1.0, 0, Proposal({"a": 0.5}, 9), 0), Started(2.0, 0, 1, "w"), reported(1, 0.5)])
        store._db.execute("BEGIN IMMEDIATE")
        assert rows(path, "SELECT state, value FROM trials") == [{"state": "running", "value": 0.5}]
        store._db.rollback()
