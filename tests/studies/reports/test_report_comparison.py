"""Studies beside each other."""

from __future__ import annotations

from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Finished, Proposal, Proposed, Report, Reported, SessionStarted, Started
from archsearch.studies.reports import comparison
from archsearch.studies.reports.cards import Missing
from archsearch.studies.stopping_criteria import StoppingCriteria


def labels(*histories):
    return [entrant.label for entrant in comparison.entrants(histories)]


def test_labels_tell_namesakes_apart(make_history, make_record) -> None:
    def study(**declared):
        return make_history(study=make_record(**declared))

    assert labels(study(name="a"), study(name="b")) == ["a", "b"]
    assert labels(study(strategy="TPE()"), study(strategy="GP()"), study(name="b")) == ["toy, TPE()", "toy, GP()", "b"]
    assert labels(study(seed=1), study(seed=2)) == ["toy, seed 1", "toy, seed 2"]
    assert labels(study(seed=1), study(seed=2), study(strategy="GP()", seed=1)) == [
        *("toy, TPE(), seed 1", "toy, TPE(), seed 2", "toy, GP(), seed 1"),
    ]
    assert labels(study(), study()) == ["toy (1)", "toy (2)"]


def test_table_of_studies(told, make_history, make_record) -> None:
    done = make_history(told([0.5]), told([0.7]), study=make_record(name="done", seed=4))
    empty = make_history(study=make_record(name="empty"))
    rows = comparison.table_of_studies(comparison.entrants([done, empty])).rows
    assert rows[0] == ("done", "maximize accuracy", "TPE()", "NoPruner()", 2, 2, 0.7, 1, "20s", 4)
    assert rows[1][4:9] == (0, 0, None, None, "0s")


def test_best_by_trial_holds_improvements_and_the_end(told, make_history) -> None:
    history = make_history(*(told([value]) for value in (0.5, 0.4, 0.7, 0.6)))
    made = comparison.table_by_trial(comparison.entrants([history]))
    assert made.rows == (("toy", 0, 0.5), ("toy", 2, 0.7), ("toy", 3, 0.7))


def test_best_by_time_is_in_the_order_of_ending(told, make_history) -> None:
    history = make_history(told([0.5], start=0, seconds=30), told([0.7], start=0, seconds=10, worker="w1"))
    made = comparison.table_by_time(comparison.entrants([history]))
    assert made.rows == (("toy", 10.0, 0.7), ("toy", 30.0, 0.7))


def test_gaps_between_sessions_are_nobodys_work(make_record) -> None:
    def trial(number, at):
        return [
            Proposed(at, number, Proposal({}, 1), 0),
            Started(at, number, 1, "w0"),
            Reported(at + 10, number, Report(1, {"accuracy": 0.5 + number / 10}, 10)),
            Ended(at + 10, number, Finished()),
        ]

    events = [
        *(SessionStarted(0, StoppingCriteria(), 1, "inline", "h", 1), *trial(0, 0)),
        *(SessionStarted(1000, StoppingCriteria(), 1, "inline", "h", 2), *trial(1, 1000)),
    ]
    history = History.from_events(make_record(), events)
    made = comparison.table_by_time(comparison.entrants([history]))
    assert made.rows == (("toy", 10.0, 0.5), ("toy", 20.0, 0.6))
    assert "later session" in comparison.by_time(comparison.entrants([history])).notes[0]


def test_only_equal_goals_are_compared(told, make_history, make_record) -> None:
    goals = [Goal("accuracy", True), Goal("accuracy", False), Goal("accuracy", True), Goal("f1", True)]
    histories = [make_history(told(), study=make_record(name=f"s{i}", goals=(goal,))) for i, goal in enumerate(goals)]
    studies = comparison.entrants(histories)
    groups = comparison.groups(studies)
    assert [[e.label for e in group] for group in groups] == [["s0", "s2"], ["s1"], ["s3"]]
    warning = comparison.overview(studies).warning
    assert "different goals" in warning
    assert "minimize accuracy: s1" in warning
    assert comparison.overview(studies[:1]).warning == ""


def test_best_values(told, make_history, make_record) -> None:
    done = make_history(told([0.7]), study=make_record(name="done"))
    empty = make_history(study=make_record(name="empty"))
    content = comparison.best_values(comparison.entrants([empty, done]))
    assert list(content.figure.data[0].x) == [0.7]
    assert list(content.figure.data[0].y) == [1]


def test_nothing_finished_is_a_sentence(make_history) -> None:
    studies = comparison.entrants([make_history(), make_history()])
    for panel in (comparison.by_trial, comparison.by_time, comparison.best_values):
        assert panel(studies) == Missing("None of these studies has a finished trial yet.")
