"""History: folding in pieces is folding whole, and its answers are those of a plain reading of the events."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Float, Space
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
    StudyRecord,
    Trial,
)
from archsearch.studies.stopping_criteria import StoppingCriteria


@given(data=st.data())
def test_folding_in_pieces_is_folding_whole(data: Any, any_events: Any, small_study: StudyRecord) -> None:
    events: list[Event] = data.draw(any_events)
    whole = History.from_events(small_study, events)
    one_by_one = History(small_study)
    for event in events:
        one_by_one = one_by_one.apply(event)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=3)))
    pieces = History(small_study)
    for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        pieces = pieces.apply_all(iter(events[start:end]))
    assert whole == one_by_one == pieces
    assert whole.seq == len(events)


@given(data=st.data())
def test_apply_leaves_the_history_before_it_as_it_was(data: Any, any_events: Any, small_study: StudyRecord) -> None:
    events: list[Event] = data.draw(any_events)
    cut = data.draw(st.integers(0, len(events)))
    before = History.from_events(small_study, events[:cut])
    shown = repr(before)
    before.apply_all(events[cut:])
    assert repr(before) == shown


@given(data=st.data())
def test_trials_are_what_their_events_say(data: Any, any_events: Any, small_study: StudyRecord) -> None:
    events: list[Event] = data.draw(any_events)
    history = History.from_events(small_study, events)
    for trial in history.trials:
        assert trial == told(trial.number, events)
    assert [t.number for t in history.trials] == list(range(len(history.trials)))
    assert sorted(history.unfinished) == [t.number for t in history.trials if t.outcome is None]
    assert history.ended == sum(t.outcome is not None for t in history.trials)
    assert sum(history.counts().values()) == len(history.trials)
    for state, count in history.counts().items():
        assert len(history.in_state(state)) == count > 0
    pending = ("waiting", "running", "paused")
    assert sorted(t.number for t in history.open_trials(*pending)) == [t.number for t in history.in_state(*pending)]


def told(number: int, events: list[Event]) -> Trial:
    """The trial as its own events say, read one question at a time."""
    own = [e for e in events if getattr(e, "trial", None) == number and not isinstance(e, Logged)]
    proposed = own[0]
    assert isinstance(proposed, Proposed)
    extended = [e.budget for e in own if isinstance(e, Extended)]
    starts = [(place, e) for place, e in enumerate(own) if isinstance(e, Started)]
    bounds = [0, *(place for place, e in enumerate(own) if isinstance(e, RunCompleted)), len(own)]
    reports, *repeats = (kept(own[first:last]) for first, last in pairwise(bounds))
    ends = [e for e in own if isinstance(e, Ended)]
    states = {
        Proposed: "waiting",
        Started: "running",
        Paused: "paused",
        Extended: "waiting",
        RunCompleted: "waiting",
        Lost: "waiting",
    }
    stop = next((e for e in reversed(own) if isinstance(e, Started | Lost | Paused | RunCompleted | Ended)), None)
    begun = next((e for e in reversed(own) if isinstance(e, Started | RunCompleted)), None)
    deciding = next(e for e in reversed(own) if not isinstance(e, Reported))
    return Trial(
        number,
        replace(proposed.proposal, budget=extended[-1] if extended else proposed.proposal.budget),
        type(ends[0].outcome).__name__.lower() if ends else states[type(deciding)],  # type: ignore[arg-type]
        proposed_at=proposed.at,
        reports=reports,
        outcome=ends[0].outcome if ends else None,
        attempt=len(starts),
        from_step=begun.from_step if isinstance(begun, Started) else 0,
        workers_lost=sum(isinstance(e, Lost) and e.blame == "worker" for e in own),
        worker=starts[-1][1].worker if starts else None,
        started_at=starts[-1][1].at if starts else None,
        ended_at=None if stop is None or isinstance(stop, Started) else stop.at,
        repeats=tuple(repeats),
    )


def kept(run: list[Event]) -> tuple[Report, ...]:
    """The reports of one run that count."""
    starts = [(place, e) for place, e in enumerate(run) if isinstance(e, Started)]
    deaths = [place for place in range(len(run)) if died_where_it_began(run, place)]
    return tuple(
        replace(e.report, checkpoint="") if any(place < death for death in deaths) else e.report
        for place, e in enumerate(run)
        if isinstance(e, Reported) and all(e.report.step <= s.from_step for later, s in starts if later > place)
    )


def died_where_it_began(own: list[Event], place: int) -> bool:
    """Could its checkpoint not be read, or did a worker die before any report? It is not trusted again."""
    died = own[place]
    if not isinstance(died, Lost) or died.blame == "driver":
        return False
    last = next((e for e in reversed(own[:place]) if isinstance(e, Started | Reported)), None)
    return died.blame == "checkpoint" or isinstance(last, Started)


@pytest.mark.parametrize("maximize", [False, True])
@given(data=st.data())
def test_best_is_the_oldest_of_the_best_finished(
    maximize: bool, data: Any, any_events: Any, small_study: StudyRecord
) -> None:
    study = replace(small_study, goals=(Goal("loss", maximize),))
    history = History.from_events(study, data.draw(any_events))
    finished = [t for t in history.trials if t.state == "finished" and history.value(t) is not None]
    sign = -1 if maximize else 1
    expected = min(finished, key=lambda t: (sign * t.value("loss"), t.number), default=None)  # type: ignore[operator]
    assert history.best == expected
    if expected is not None:
        assert history.loss(expected) == sign * expected.value("loss")  # type: ignore[operator]


def run(number: int, *losses: float, at: float = 1.0) -> list[Event]:
    """A trial that reports these, and is not ended."""
    reports = [Reported(at, number, Report(step, {"loss": loss}, 0.1)) for step, loss in enumerate(losses, start=1)]
    return [Proposed(at, number, Proposal({"a": 0.5, "b": 1}, 3), 0), Started(at, number, 1, "w"), *reports]


def end(number: int, outcome: Any = None) -> Ended:
    return Ended(1.0, number, outcome or Finished())


@pytest.mark.parametrize(
    ("maximize", "losses", "order", "best"),
    [
        (False, (3.0, 1.0, 2.0), (0, 1, 2), 1),
        (True, (3.0, 1.0, 2.0), (0, 1, 2), 0),
        (False, (1.0, 1.0, 1.0), (2, 1, 0), 0),
        (True, (1.0, 1.0, 1.0), (1, 2, 0), 0),
        (False, (0.0, -0.0, 5.0), (2, 1, 0), 0),
    ],
)
def test_of_equals_the_older_is_best_whichever_ends_first(
    small_study: StudyRecord, maximize: bool, losses: tuple[float, ...], order: tuple[int, ...], best: int
) -> None:
    history = History(replace(small_study, goals=(Goal("loss", maximize),)))
    for number, loss in enumerate(losses):
        history = history.apply_all(run(number, 9.0, loss))
    assert history.best is None
    history = history.apply_all(end(number) for number in order)
    assert history.best is not None
    assert history.best.number == best


def test_pruned_failed_and_valueless_trials_are_never_best(small_study: StudyRecord) -> None:
    events = [*run(0, 0.1), end(0, Pruned("slow")), *run(1, 0.2), end(1, Failed("x")), *run(2), end(2)]
    history = History.from_events(small_study, events)
    assert history.best is None
    assert [t.reason for t in history.trials] == ["slow", "x", ""]
    assert history.counts() == {"pruned": 1, "failed": 1, "finished": 1}


def test_a_restart_drops_the_reports_after_its_checkpoint(small_study: StudyRecord) -> None:
    history = History.from_events(small_study, [*run(0, 5.0, 4.0, 3.0), Lost(2.0, 0, "killed", "worker")])
    assert (history.trials[0].state, history.trials[0].step, history.trials[0].workers_lost) == ("waiting", 3, 1)
    again = history.apply_all([Started(3.0, 0, 2, "v", from_step=1), Reported(4.0, 0, Report(2, {"loss": 4.5}, 0.1))])
    assert [(r.step, r.metrics["loss"]) for r in again.trials[0].reports] == [(1, 5.0), (2, 4.5)]
    fresh = history.apply(Started(3.0, 0, 2, "v"))
    assert fresh.trials[0].reports == ()
    assert fresh.value(fresh.trials[0]) is None
    assert fresh.loss(fresh.trials[0]) is None


def test_the_value_is_the_last_report_that_has_the_metric(small_study: StudyRecord) -> None:
    history = History.from_events(small_study, [*run(0, 5.0, 6.0), Reported(1.0, 0, Report(3, {"other": 1.0}, 0.1))])
    assert history.value(history.trials[0]) == 6.0
    assert history.trials[0].step == 3


def opened(at: float) -> SessionStarted:
    return SessionStarted(at, StoppingCriteria(trials=5), 1, "test", "host", 1)


def test_elapsed_counts_sessions_and_not_the_gaps(small_study: StudyRecord) -> None:
    history = History(small_study)
    assert history.elapsed_s == 0
    history = history.apply_all([opened(100.0), Logged(107.0, 0, "x")])
    assert history.elapsed_s == 7
    history = history.apply(SessionEnded(110.0, "done"))
    assert (history.elapsed_s, history.worked_s) == (10, 0)
    assert history.session_ended == SessionEnded(110.0, "done")
    history = history.apply(opened(5000.0))
    assert (history.elapsed_s, history.worked_s, history.session_ended) == (10, 10, None)
    history = history.apply(Logged(5003.0, 0, "then the driver is killed"))
    history = history.apply_all([opened(9000.0), Logged(9001.0, 0, "x")])
    assert (history.elapsed_s, history.worked_s) == (14, 13)


def test_elapsed_never_falls_when_a_clock_goes_back(small_study: StudyRecord) -> None:
    events = [opened(100.0), Logged(110.0, 0, "x"), Logged(104.0, 0, "x"), opened(50.0), Logged(51.0, 0, "x")]
    history, elapsed = History(small_study), []
    for event in events:
        history = history.apply(event)
        elapsed.append(history.elapsed_s)
    assert elapsed == [0, 10, 10, 10, 11]


@given(data=st.data())
def test_elapsed_is_the_sum_over_sessions(data: Any, any_events: Any, small_study: StudyRecord) -> None:
    events: list[Event] = data.draw(any_events)
    sessions: list[list[Event]] = []
    for event in events:
        if isinstance(event, SessionStarted):
            sessions.append([])
        sessions[-1].append(event)
    expected = sum(session[-1].at - session[0].at for session in sessions)
    assert History.from_events(small_study, events).elapsed_s == pytest.approx(expected)


def test_a_study_record_survives_json(small_study: StudyRecord) -> None:
    import json

    for study in (small_study, replace(small_study, budget=None, goals=(Goal("größe", True),))):
        assert StudyRecord.from_json(json.loads(json.dumps(study.to_json()))) == study
    assert str(Goal("loss", False)) == "minimize loss"


def test_broken_names_the_constraints_that_a_trial_s_values_break(small_study: StudyRecord) -> None:
    kept, broken, unknown = map(OutcomeConstraint.from_text, ("loss < 1", "loss < 0.25", "size < 1"))
    study = replace(small_study, outcome_constraints=(kept, broken, unknown))
    history = History.from_events(
        study, [Proposed(0, 0, Proposal({}, 1), 0), Reported(1, 0, Report(1, {"loss": 0.5}, 1))]
    )
    assert history.broken(history.trials[0]) == [broken]


def test_values_are_of_the_runs_that_are_complete(small_study: StudyRecord) -> None:
    def run(value: float) -> list[Event]:
        return [Started(0, 0, 1, "w"), Reported(0, 0, Report(1, {"loss": value}, 1))]

    again = RunCompleted(0, 0)
    history = History.from_events(
        small_study, [Proposed(0, 0, Proposal({}, 1), 0), *run(0.5), again, *run(0.3), again, *run(0.1)]
    )
    assert history.trials[0].values("loss") == [0.5, 0.3]
    assert history.trials[0].value("loss") == 0.4
    assert history.apply(Ended(0, 0, Finished())).trials[0].values("loss") == [0.5, 0.3, 0.1]
    assert history.trials[0].values("other") == []
    assert history.trials[0].value("other") is None


def test_a_trial_is_shown_in_one_short_line() -> None:
    reports = tuple(Report(step, {"loss": 1 / step, "size": 9.0}, float(step)) for step in range(1, 21))
    trial = Trial(7, Proposal({"lr": 0.1}), "finished", 0.0, reports=reports, outcome=Finished())
    assert repr(trial) == "<Trial 7 finished: {'lr': 0.1}, loss 0.05, size 9 after 20 steps>"
    assert trial.metrics == {"loss": 0.05, "size": 9.0}
    waiting = Trial(8, Proposal({"lr": 0.1}), "waiting", 0.0)
    assert (repr(waiting), waiting.metrics) == ("<Trial 8 waiting: {'lr': 0.1}>", {})
    sparse = replace(trial, reports=(*reports, Report(21, {"accuracy": 0.5}, 21.0)))
    assert sparse.metrics == {"loss": 0.05, "size": 9.0, "accuracy": 0.5}


_METRICS = st.dictionaries(st.sampled_from(["loss", "size", "cost", "other"]), st.integers(0, 9).map(float))


@given(st.dictionaries(st.integers(1, 12), _METRICS), st.integers(0, 13), st.booleans())
def test_values_at_a_step_are_the_latest_up_to_it(reports: dict[int, Any], step: int, constrained: bool) -> None:
    constraints = (OutcomeConstraint.from_text("cost <= 4"),) * constrained
    study = StudyRecord(
        "s",
        Space(x=Float(0, 1)),
        (Goal("loss", False), Goal("size", True)),
        None,
        0,
        "",
        "",
        outcome_constraints=constraints,
    )
    told = [Reported(0.0, 0, Report(at, reports[at], 0.0)) for at in sorted(reports)]
    history = History(study).apply_all([Proposed(0.0, 0, Proposal({"x": 0.5}), 0), Started(0.0, 0, 1, "w"), *told])
    (trial,) = history.trials

    def latest(until: int) -> dict[str, float]:
        known: dict[str, float] = {}
        for at in sorted(reports):
            if at <= until:
                known |= reports[at]
        return {metric: known[metric] for metric in study.metrics if metric in known}

    def vector(until: int) -> tuple[float, tuple[float, ...]] | None:
        known = latest(until)
        if not known.keys() >= {"loss", "size"}:
            return None
        excess = max(0.0, known.get("cost", 0.0) - 4) / 4 if constrained else 0.0
        return excess, (known["loss"], -known["size"])

    curve = [(at, vector(at)) for at in sorted(reports) if {"loss", "size"} & reports[at].keys() and vector(at)]
    assert history.metrics_at(trial, step) == latest(step)
    assert history.objectives_at(trial, step) == (vector(step) if step <= max(reports, default=0) else None)
    assert history.curve(trial) == curve
    assert history.objectives_from(trial, step) == next((value for value in curve if value[0] >= step), None)
