"""Each panel's table, on histories told by hand; and its sentence where it does not apply."""

from __future__ import annotations

import math

import pytest

from archsearch import Choice, Float, Int, Space, When
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.records import Failed, Finished, Pruned
from archsearch.studies.reports.cards import Content, Missing
from archsearch.studies.reports.panels import (
    PANELS,
    SEVERAL_GOALS,
    curves,
    failures,
    headline,
    importance,
    parallel,
    progress,
    proposers,
    slices,
    timeline,
    trials,
)


@pytest.mark.parametrize(("title", "panel"), PANELS)
def test_a_study_without_trials_gets_a_sentence_everywhere(title, panel, make_history) -> None:
    answer = panel(make_history())
    assert isinstance(answer, Missing), title
    assert answer.reason.endswith(".")


@pytest.mark.parametrize(("title", "panel"), [each for each in PANELS if each[1] not in SEVERAL_GOALS])
def test_every_panel_applies_to_a_usual_study(title, panel, make_synthetic) -> None:
    content = panel(make_synthetic(40))
    assert isinstance(content, Content), title
    if content.figure is not None:
        assert content.figure.to_json()


class TestHeadline:
    def test_states_best_and_its_metrics(self, told, make_history) -> None:
        history = make_history(
            told([0.2, 0.7], config={"lr": 0.01, "optimizer": "sgd"}), told([0.9], Pruned("slow")), told([0.4], None)
        )
        content = headline.panel(history)
        states, config, metrics = content.tables
        assert dict(states.rows) == {"finished": 1, "pruned": 1, "running": 1}
        assert config.rows == (("lr", 0.01), ("optimizer", "sgd"))
        assert dict(metrics.rows) == {"accuracy": 0.7, "loss": pytest.approx(0.3)}
        assert "3 trials in 30s of work. 1 trial had not ended" in content.notes[0]
        assert "trial 0, proposed by random, with accuracy = 0.7" in content.notes[1]

    @pytest.mark.parametrize(
        ("by_and_value", "sentence"),
        [
            (
                [("random", 0.5), ("random", 0.7), ("tpe", 0.9)],
                "is better than the best of 2 drawn at random, 0.7, by 0.2, and",
            ),
            ([("random", 0.5), ("random", 0.7), ("tpe", 0.9)], "median, 0.6, by 0.3."),
            (
                [("random", 0.8), ("tpe", 0.7)],
                "did not beat random search: the best trial is one of 1 finished trial drawn at random",
            ),
            (
                [("tpe", 0.8), ("random", 0.8)],
                "did not beat random search: the best of 1 finished trial drawn at random is as good",
            ),
            ([("random", 0.5), ("random", 0.8)], "Every finished trial was drawn at random (2, "),
            ([("tpe", 0.5), (None, 0.8)], "No finished trial was drawn at random"),
            (
                [("random", 0.5), ("start", 0.9), ("tpe", 0.8)],
                "did not beat the start configurations: the best trial is one",
            ),
            (
                [("start", 0.6), ("random", 0.5), ("tpe", 0.8)],
                "best of 1 finished trial that the search proposed, 0.8,",
            ),
            (
                [("start", 0.6), ("random", 0.8)],
                "Every finished trial except for the start configurations was drawn at random (1, ",
            ),
        ],
    )
    def test_chance(self, by_and_value, sentence, told, make_history) -> None:
        history = make_history(*(told([value], by=by) for by, value in by_and_value))
        assert sentence in headline.comparison_with_random(history)

    def test_chance_when_less_is_better_and_only_finished_trials_count(self, told, make_history, make_record) -> None:
        history = make_history(
            told([0.1], Pruned("early"), by="random"), told([0.5]), told([0.3], by="gp"),
            study=make_record(goals=(Goal("accuracy", False),)),
        )  # fmt: skip
        assert "0.3, is better than the best of 1 drawn at random, 0.5, by 0.2" in headline.comparison_with_random(
            history
        )

    def test_nothing_finished(self, told, make_history) -> None:
        assert "No trial has finished yet" in headline.panel(make_history(told([0.1], None))).notes[1]


class TestProgress:
    def test_best_so_far_is_over_finished_trials(self, told, make_history) -> None:
        history = make_history(
            told([0.5]), told([0.9], Pruned("x")), told([], None), told([0.7], by="tpe"), told([0.6])
        )
        assert progress.table(history).rows == (
            (0, "finished", 0.5, 0.5, "random"),
            (1, "pruned", 0.9, 0.5, "random"),
            (3, "finished", 0.7, 0.7, "tpe"),
            (4, "finished", 0.6, 0.7, "random"),
        )

    def test_minimize(self, told, make_history, make_record) -> None:
        history = make_history(told([0.5]), told([0.7]), study=make_record(goals=(Goal("accuracy", False),)))
        assert progress.table(history).column("best") == [0.5, 0.5]

    def test_before_the_first_report(self, told, make_history) -> None:
        assert progress.table(make_history(told([], None))) == Missing("No trial has reported yet.")

    def test_far_values_are_said_to_be_outside(self, told, make_history, make_record) -> None:
        values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1e6]
        history = make_history(*(told([v]) for v in values), study=make_record(goals=(Goal("accuracy", False),)))
        content = progress.panel(history)
        assert any("1 outlier is outside the plot" in note for note in content.notes)
        assert content.figure.layout.yaxis.range[1] < 2


class TestCurves:
    def test_points_without_those_that_are_not_finite(self, told, make_history) -> None:
        history = make_history(told([0.1, 0.2]), told([0.3, math.nan], Failed("nan")))
        assert curves.table(history).rows == (
            (0, "finished", 1, 0.1),
            (0, "finished", 2, 0.2),
            (1, "failed", 1, 0.3),
        )

    def test_single_reports_have_no_curve(self, told, make_history) -> None:
        assert "reported more than once" in curves.table(make_history(told([0.1]), told([0.2]))).reason

    def test_curves_of_a_state_are_parted_and_ends_marked(self, told, make_history) -> None:
        history = make_history(*(told([0.1, 0.2], Pruned("x")) for _ in range(2)))
        line, end = curves.panel(history).figure.data
        assert list(line.y) == [0.1, 0.2, None, 0.1, 0.2, None]
        assert (line.line.dash, end.mode, list(end.x)) == ("dot", "markers", [2, 2])

    def test_thinned_with_the_best_kept_and_said(self, told, make_history, monkeypatch) -> None:
        monkeypatch.setattr(curves, "MAX_CURVES", 5)
        monkeypatch.setattr(curves, "MAX_POINTS", 4)
        history = make_history(*(told([i / 10 for i in range(9)]) for _ in range(6)), told([0.1, 0.99]), told(), told())
        numbers = {trial.number for trial in curves.drawn(history)}
        assert numbers == {0, 2, 4, 6, 8}
        assert curves.panel(history).notes[0].startswith("5 of 9 curves are shown")
        assert curves.table(history).where("trial", 0).column("step") == [1, 4, 6, 9]


class TestImportance:
    def test_too_few(self, make_synthetic) -> None:
        assert "needs 20 trials" in importance.panel(make_synthetic(5)).reason

    def test_table_and_warning(self, told, make_history) -> None:
        noise = [0.3 + ((i * 7919) % 101) / 200 for i in range(40)]
        content = importance.panel(make_history(*(told([value]) for value in noise)))
        assert "these importances are unreliable" in content.warning
        assert {row[0] for row in content.tables[0].rows} == {"lr", "optimizer"}
        assert content.figure.data[0].marker.opacity < 0.5

    def test_no_warning_where_the_forest_explains(self, make_synthetic) -> None:
        assert importance.panel(make_synthetic(120)).warning == ""


SPACE = Space(
    opt=Choice("sgd", None), rate=Float(1e-4, 1.0, log=True), momentum=When("opt == 'sgd'", Float(0, 1)), fixed=3
)
CONFIGS = ({"opt": "sgd", "rate": 0.01, "momentum": 0.25, "fixed": 3}, {"opt": None, "rate": 1.0, "fixed": 3})


class TestParallelAndSlices:
    def history(self, told, make_history, make_record):
        first, second = CONFIGS
        return make_history(
            told([0.5], config=first), told([0.6], Pruned("x"), second), told([0.7], Failed("y"), first),
            told([math.nan], Pruned("nan"), first), study=make_record(space=SPACE),
        )  # fmt: skip

    def test_places_on_the_axes(self, told, make_history, make_record) -> None:
        made = parallel.table(self.history(told, make_history, make_record))
        assert made.columns == ("trial", "position of opt", "position of rate", "position of momentum", "value")
        assert made.rows == ((0, 0.0, -2.0, 0.25, 0.5), (1, 1.0, 0.0, None, 0.6))

    def test_inactive_has_a_place_off_the_domain(self, told, make_history, make_record) -> None:
        content = parallel.panel(self.history(told, make_history, make_record))
        momentum = content.figure.data[0].dimensions[2]
        assert momentum.values[1] == momentum.tickvals[0] == momentum.range[0] < 0
        assert momentum.ticktext[0] == "off"
        assert any("inactive parameters" in note for note in content.notes)

    def test_many_parameters_are_cut_and_said(self, told, make_history, make_record) -> None:
        wide = Space({f"p{i}": Float(0, 1) for i in range(30)})
        history = make_history(told(), told(), study=make_record(space=wide))
        assert len(parallel.panel(history).figure.data[0].dimensions) == parallel.MAX_AXES + 1
        assert "The first 12 of 30 parameters are shown." in parallel.panel(history).notes
        assert len(slices.panel(history).figure.data) == slices.MAX_SLICES
        assert "The first 24 of 30 parameters are shown." in slices.panel(history).notes

    def test_slices_hold_active_parameters_only(self, told, make_history, make_record) -> None:
        made = slices.table(self.history(told, make_history, make_record))
        assert made.where("parameter", "momentum").rows == (("momentum", 0, "finished", "0.25", 0.25, 0.5),)
        assert made.where("parameter", "opt").column("setting") == ["sgd", "None"]

    def test_slices_have_log_axes_and_categories(self, told, make_history, make_record) -> None:
        layout = slices.panel(self.history(told, make_history, make_record)).figure.layout
        assert layout.xaxis2.type == "log"
        assert list(layout.xaxis.ticktext) == ["sgd", "None"]

    def test_a_space_without_choice(self, told, make_history, make_record) -> None:
        history = make_history(told(config={"a": 1}), study=make_record(space=Space(a=1)))
        assert parallel.table(history) == slices.table(history) == Missing("The space has no free parameter.")

    def test_one_trial_of_few_whole_numbers(self, told, make_history, make_record) -> None:
        history = make_history(told(), study=make_record(space=Space(n=Int(1, 3))))
        assert list(slices.panel(history).figure.layout.xaxis.ticktext) == ["1", "2", "3"]
        assert parallel.panel(history).figure.to_json()


class TestTimeline:
    def test_running_trials_reach_to_the_last_event(self, told, make_history) -> None:
        history = make_history(told(start=0, worker="b"), told([0.1], None, start=5, worker="a", seconds=20))
        made = timeline.table(history)
        start = history.trials[0].started_at
        assert [(row[0], row[1], row[3] - start, row[4] - start) for row in made.rows] == [
            (0, "b", 0.0, 10.0),
            (1, "a", 5.0, 25.0),
        ]

    def test_a_night_is_cut_out(self, told, make_history) -> None:
        history = make_history(told(start=0, seconds=100), told(start=40_000, seconds=100), told(start=40_105))
        content = timeline.panel(history)
        cuts = timeline.idle(timeline.table(history))
        assert [end - begin for begin, end in cuts] == [39_900.0]
        assert list(content.figure.data[0].base) == [0.0, 100.0, 205.0]
        assert "idle periods that are cut out, 11h05m in total" in content.notes[1]

    def test_too_many_are_cut_and_said(self, told, make_history, monkeypatch) -> None:
        monkeypatch.setattr(timeline, "MAX_BARS", 2)
        history = make_history(told(), told(), told())
        assert timeline.table(history).column("trial") == [1, 2]
        assert "The last 2 of 3 trials are shown." in timeline.panel(history).notes


class TestProposers:
    def test_each_strategy_and_reason_has_a_row(self, told, make_history) -> None:
        history = make_history(
            told([0.5], why="too few"), told([0.9], by="gp", why="few trials"), told([0.6], why="too few"),
            told([0.7], by="gp", why="few trials"), told([0.8], why="seen before"), told([0.95], Pruned("x"), by="gp"),
        )  # fmt: skip
        assert proposers.table(history).rows == (
            ("random", "too few", 2, 0, 2, 0.6),
            ("gp", "few trials", 2, 1, 3, 0.9),
            ("random", "seen before", 1, 4, 4, 0.8),
            ("gp", "", 1, 5, 5, None),
        )
        assert proposers.panel(history).notes == ("Strategy of the study: TPE().",)

    def test_the_best_is_the_lowest_where_less_is_better(self, told, make_history, make_record) -> None:
        history = make_history(told([0.5]), told([0.3]), study=make_record(goals=(Goal("accuracy", False),)))
        assert proposers.table(history).column("best") == [0.3]

    def test_the_best_keeps_the_constraints_on_metrics(self, told, make_history, make_record) -> None:
        study = make_record(outcome_constraints=(OutcomeConstraint.from_text("size < 5"),))
        trials = (told([0.9], also={"size": 9}), told([0.5], also={"size": 1}), told([0.8], by="gp", also={"size": 6}))
        assert proposers.table(make_history(*trials, study=study)).column("best") == [0.5, None]


class TestFailures:
    def test_grouped_by_text_the_most_frequent_first(self, told, make_history) -> None:
        history = make_history(
            told([], Failed("b")), told([], Failed("a\n")), told(), told([], Failed("a")), told([], Pruned("a"))
        )
        assert failures.table(history).rows == ((2, "a", "1, 3"), (1, "b", "0"))

    def test_none(self, told, make_history) -> None:
        assert failures.panel(make_history(told())) == Missing("No trial has failed.")

    def test_many_numbers_are_cut(self, told, make_history) -> None:
        history = make_history(*(told([], Failed("x")) for _ in range(20)))
        assert failures.table(history).rows[0][2].endswith("10, 11 and 8 more")


def test_trials_has_a_row_for_each(told, make_history, make_record) -> None:
    first, second = CONFIGS
    history = make_history(
        told([0.4, 0.5], config=first, by="tpe"),
        told([0.6], Pruned("slow"), second, by=None),
        told([], Failed("boom"), first),
        study=make_record(space=SPACE),
    )
    made = trials.table(history)
    assert made.columns == (
        *("trial", "state", "value", "steps", "seconds", "opt", "rate", "momentum", "proposed by", "reason"),
    )
    assert made.rows == (
        (0, "finished", 0.5, 2, 10.0, "sgd", 0.01, 0.25, "tpe", ""),
        (1, "pruned", 0.6, 1, 10.0, "None", 1.0, None, "", "slow"),
        (2, "failed", None, 0, 10.0, "sgd", 0.01, 0.25, "random", "boom"),
    )
    assert made.tools
    assert history.trials[0].outcome == Finished()
