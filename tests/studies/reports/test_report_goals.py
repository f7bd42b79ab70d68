"""Several goals, constraints on metrics, and repeats: what each panel makes of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Space
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.records import Pruned
from archsearch.studies.reports import comparison, render
from archsearch.studies.reports.cards import Content, Missing
from archsearch.studies.reports.panels import (
    PANELS,
    SEVERAL_GOALS,
    curves,
    front,
    headline,
    hypervolume,
    importance,
    parallel,
    progress,
    slices,
    trials,
)

ACCURACY, SIZE, COST = Goal("accuracy", True), Goal("size", False), Goal("cost", False)
SMALL = OutcomeConstraint.from_text("size < 100")
SPACE = Space(x=Float(0, 1), kind=Choice("a", "b"))


@pytest.fixture
def study(told, make_history, make_record):
    """A history of finished trials, each given by its accuracy, size and cost."""

    def make(*points, goals=(ACCURACY, SIZE), constraints=(), repeats=1):
        trials = [
            told([accuracy], also={"size": size, "cost": cost}, config={"x": size / 1000, "kind": "a"})
            for accuracy, size, cost in points
        ]
        record = make_record(goals=goals, outcome_constraints=constraints, repeats=repeats, space=SPACE)
        return make_history(*trials, study=record)

    return make


POINTS = [(0.9, 50.0, 1.0), (0.8, 20.0, 2.0), (0.7, 30.0, 0.5), (0.95, 200.0, 1.0), (0.6, 10.0, 3.0)]


class TestFront:
    def test_each_finished_trial_and_its_state(self, study) -> None:
        made = front.table(study(*POINTS, constraints=(SMALL,)))
        assert [row[:2] for row in made.rows] == [
            *((4, "front"), (2, "finished"), (1, "front"), (0, "front"), (3, "infeasible")),
        ]
        assert made.columns == ("trial", "state", "by", "goal 0", "goal 1")
        assert made.rows[0][3:] == (0.6, 10.0)

    def test_the_line_runs_along_what_is_beaten(self, study) -> None:
        content = front.panel(study(*POINTS, constraints=(SMALL,)))
        infeasible, dominated, line = content.figure.data
        assert (list(infeasible.x), list(dominated.x)) == ([0.95], [0.7])
        assert (list(line.x), list(line.y)) == ([0.6, 0.8, 0.9], [10.0, 20.0, 50.0])
        # More than 0.6 has taken a size of 20, so the line rises from 10 to 20 at 0.6.
        assert (line.mode, line.line.shape) == ("lines+markers", "vh")
        assert "The front consists of 3 of 5 finished trials" in content.notes[0]

    def test_the_line_when_both_are_minimized(self, study) -> None:
        line = front.panel(study(*POINTS, goals=(COST, SIZE))).figure.data[-1]
        assert (list(line.x), list(line.y), line.line.shape) == ([0.5, 2.0, 3.0], [30.0, 20.0, 10.0], "hv")

    def test_three_goals_are_two_axes_and_a_colour(self, study) -> None:
        content = front.panel(study(*POINTS, goals=(ACCURACY, SIZE, COST)))
        assert "the colour is the third, cost" in content.notes[1]
        assert all(trace.mode == "markers" for trace in content.figure.data)
        assert list(content.figure.data[-1].marker.color) == [3.0, 0.5, 2.0, 1.0, 1.0]
        assert content.figure.layout.coloraxis.reversescale  # the least cost in the colour of the best

    def test_a_fourth_goal_is_in_the_table(self, study) -> None:
        content = front.panel(study(*POINTS, goals=(ACCURACY, SIZE, COST, Goal("loss", False))))
        assert "Goals in the table only: loss." in content.notes

    def test_members_with_all_metrics_and_configurations(self, study) -> None:
        (made,) = front.panel(study(*POINTS, constraints=(SMALL, OutcomeConstraint.from_text("cost < 9")))).tables
        assert made.columns == ("trial", "accuracy", "size", "cost", "x", "kind")
        assert made.rows[0] == (0, 0.9, 50.0, 1.0, 0.05, "a")
        assert made.column("trial") == [0, 1, 4]

    def test_nothing_feasible(self, study) -> None:
        content = front.panel(study(*POINTS, constraints=(OutcomeConstraint.from_text("size < 1"),)))
        assert content.notes == ("No finished trial is feasible, so the front is empty.",)
        assert ([trace.name for trace in content.figure.data], content.tables) == (["infeasible"], ())

    def test_only_finished_trials(self, told, make_history, make_record) -> None:
        history = make_history(told([0.5], Pruned("slow")), study=make_record(goals=(ACCURACY, Goal("loss", False))))
        assert front.table(history) == Missing("No trial has finished yet.")

    def test_sizes_are_on_a_logarithmic_axis_and_the_front_is_in_view(self, study) -> None:
        wide = [(0.5 + i / 100, 10.0 * 3**i, 1.0) for i in range(9)]
        assert front.panel(study(*wide)).figure.layout.yaxis.type == "log"
        # The dominated outlier is left out of view; the one on the front, as far away, is not.
        far = [*((0.5, 10.0 + i, 1.0) for i in range(20)), (0.4, 500.0, 1.0), (0.9, 400.0, 1.0)]
        content = front.panel(study(*far))
        assert 400 < content.figure.layout.yaxis.range[1] < 500
        assert "outside the plot" in content.notes[-1]


class TestHypervolume:
    def test_two_goals_by_hand(self, study) -> None:
        # In losses from the best (0) to the worst (1) of the box: (0, 1), then (0.5, 0.5), then (1, 0).
        history = study((0.9, 30.0, 0.0), (0.8, 20.0, 0.0), (0.7, 10.0, 0.0), (0.75, 25.0, 0.0))
        assert hypervolume.table(history).rows == ((0, 0.0), (1, pytest.approx(0.25)), (2, pytest.approx(0.25)))

    def test_the_box_is_of_feasible_trials_and_told(self, study) -> None:
        content = hypervolume.panel(study(*POINTS, constraints=(SMALL,)))
        assert "from accuracy 0.6, size 50 to accuracy 0.9, size 10," in content.notes[0]
        (line,) = content.figure.data
        assert line.x[-1] == 4  # to the last trial

    @given(points=st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), min_size=2, max_size=20))
    def test_against_counting_cells(self, points, told, make_history, make_record) -> None:
        losses = np.array(points)
        goals = tuple(Goal(name, False) for name in ("accuracy", "b", "c"))
        trials = [told([a], also={"b": b, "c": c}) for a, b, c in points]
        made = hypervolume.table(make_history(*trials, study=make_record(goals=goals)))
        low, high = losses.min(axis=0), losses.max(axis=0)
        if (low == high).any():
            assert isinstance(made, Missing)
            return
        cells = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        for number, volume in made.rows:
            beaten = (cells[..., None, :] >= losses[: number + 1]).all(axis=-1).any(axis=-1)
            assert volume == pytest.approx(beaten.mean())
        assert made.column("hypervolume") == sorted(made.column("hypervolume"))

    def test_where_it_cannot_be(self, study, make_history, make_record) -> None:
        assert "differ in the value of each" in hypervolume.table(study((0.9, 1.0, 0.0), (0.8, 1.0, 0.0))).reason
        assert (
            "differ in the value of each"
            in hypervolume.table(study(*POINTS, constraints=(OutcomeConstraint.from_text("size<1"),))).reason
        )
        many = tuple(Goal(f"m{i}", True) for i in range(6))
        assert "more than 5" in hypervolume.table(make_history(study=make_record(goals=many))).reason


class TestInfeasibleTrials:
    def test_none_is_best_anywhere(self, study) -> None:
        history = study(*POINTS, goals=(ACCURACY,), constraints=(SMALL,))
        made = progress.table(history)
        assert made.column("state") == ["finished", "finished", "finished", "infeasible", "finished"]
        assert made.column("best") == [0.9] * 5
        entrants = comparison.entrants([history])
        assert comparison.table_by_trial(entrants).rows == (("toy", 0, 0.9), ("toy", 4, 0.9))
        assert comparison.table_by_time(entrants).rows == (("toy", 10.0, 0.9), ("toy", 50.0, 0.9))
        assert "Every feasible trial was drawn at random (4, " in headline.comparison_with_random(history)

    def test_with_several_goals_the_front_is_judged_and_not_the_best(self, study) -> None:
        said = headline.comparison_with_random(study(*POINTS, constraints=(SMALL,)))
        assert said == "3 of the 3 trials on the Pareto front and 4 of 4 feasible trials were drawn at random."

    def test_the_headline_counts_them(self, study) -> None:
        notes = headline.panel(study(*POINTS, goals=(ACCURACY,), constraints=(SMALL,))).notes
        assert "Goal: maximize accuracy subject to size < 100." in notes[0]
        assert notes[1] == "1 finished trial is infeasible and cannot be the best. Violated: size < 100."
        assert "trial 0, proposed by random, with accuracy = 0.9, size = 50." in notes[2]

    def test_the_headline_without_a_feasible_one(self, study) -> None:
        notes = headline.panel(study(*POINTS, constraints=(OutcomeConstraint.from_text("size < 1"),))).notes
        assert notes[-1] == "No finished trial is feasible, so there is no best trial."

    def test_they_are_told_apart_in_the_figures(self, told, make_history, make_record) -> None:
        record = make_record(outcome_constraints=(SMALL,))
        history = make_history(
            told([0.1, 0.2], also={"size": 10.0}), told([0.3, 0.4], also={"size": 1000.0}), study=record
        )
        assert curves.table(history).column("state") == ["finished"] * 2 + ["infeasible"] * 2
        assert set(slices.table(history).where("trial", 1).column("state")) == {"infeasible"}
        assert "triangles are infeasible" in slices.panel(history).notes[0]
        lines = parallel.panel(history).figure.data[0]
        assert [axis.label for axis in lines.dimensions][-2:] == ["constraints", "accuracy"]
        assert list(lines.dimensions[-2].values) == [1, 0]
        assert list(lines.line.color) == [0.2, 0.2]  # 0.4 is not drawn as the better one

    def test_the_trials_say_what_they_break(self, study) -> None:
        made = trials.table(study(*POINTS, goals=(ACCURACY,), constraints=(SMALL,)))
        assert made.columns[:5] == ("trial", "state", "accuracy", "size", "steps")
        assert made.column("violates") == ["", "", "", "size < 100", ""]


class TestSeveralGoals:
    def test_panels_of_one_goal_say_so(self, make_synthetic) -> None:
        goals = (Goal("val_accuracy", True), Goal("parameters", False))
        several, single = make_synthetic(40, goals=goals), make_synthetic(40)
        note = "Only the first goal is considered here: maximize val_accuracy."
        for panel in (headline, progress, curves, importance, parallel, slices):
            assert note in panel.panel(several).notes
            assert note not in panel.panel(single).notes

    @pytest.mark.parametrize(("title", "panel"), PANELS)
    def test_every_panel_applies(self, title, panel, make_synthetic) -> None:
        goals = (Goal("val_accuracy", True), Goal("parameters", False), Goal("step_ms", False))
        history = make_synthetic(60, goals=goals, outcome_constraints=(OutcomeConstraint.from_text("step_ms < 0.35"),))
        content = panel(history)
        assert isinstance(content, Content), title
        if content.figure is not None:
            assert content.figure.to_json()

    def test_a_column_for_each_goal_and_a_best_that_is_on_the_front(self, study) -> None:
        history = study(*POINTS)
        assert trials.table(history).columns[:4] == ("trial", "state", "accuracy", "size")
        assert (
            "with accuracy = 0.95, size = 200. The Pareto front has 3 other trials." in headline.panel(history).notes[2]
        )

    def test_the_page_has_their_cards_only_then(self, make_synthetic) -> None:
        goals = (Goal("val_accuracy", True), Goal("parameters", False))
        titles = {title for title, panel in PANELS if panel in SEVERAL_GOALS}
        assert titles == {"Pareto front", "Hypervolume"}
        for history, there in ((make_synthetic(20), False), (make_synthetic(20, goals=goals), True)):
            cards = set(re.findall(r"<h2 id=[^>]*>([^<]*)</h2>", render([history])))
            assert (titles <= cards, bool(titles & cards)) == (there, there)

    def test_only_equal_goals_and_constraints_are_compared(self, make_history, make_record) -> None:
        other = OutcomeConstraint.from_text("cost < 1")
        declared = [
            {"goals": (ACCURACY, SIZE)},
            {"goals": (ACCURACY,)},
            {"goals": (ACCURACY,), "outcome_constraints": (SMALL, other)},
            {"goals": (ACCURACY, SIZE)},
            {"goals": (ACCURACY,), "outcome_constraints": (other, SMALL)},
        ]
        histories = [make_history(study=make_record(name=f"s{i}", **each)) for i, each in enumerate(declared)]
        studies = comparison.entrants(histories)
        assert [[e.label for e in group] for group in comparison.groups(studies)] == [
            ["s0", "s3"],
            ["s1"],
            ["s2", "s4"],
        ]
        assert "maximize accuracy, minimize size: s0, s3" in comparison.overview(studies).warning

    def test_a_comparison_goes_by_the_first_goal_and_says_so(self, study) -> None:
        studies = comparison.entrants([study(*POINTS), study(*POINTS[:2])])
        for panel in (comparison.by_trial, comparison.by_time, comparison.best_values):
            assert "Only the first goal is considered here: maximize accuracy." in panel(studies).notes


class TestRepeats:
    @pytest.fixture
    def repeated(self, told, make_history, make_record):
        return make_history(told([0.5, 0.9], repeats=(0.6, 0.75)), told([0.8]), study=make_record(repeats=3))

    def test_the_best_is_chosen_and_told_by_its_mean(self, repeated, told, make_history, make_record) -> None:
        assert (
            "trial 1, proposed by random, with accuracy = 0.8, from a single run." in headline.panel(repeated).notes[1]
        )
        again = make_history(told([0.9], repeats=(0.8, 0.85)), study=make_record(repeats=3))
        assert "accuracy = 0.85, the mean of 3 runs with values from 0.8 to 0.9." in headline.panel(again).notes[1]

    def test_metrics_with_their_spread(self, repeated) -> None:
        made = headline.metrics(repeated.trials[0])
        assert made.columns == ("metric", "mean", "min", "max", "runs")
        assert made.rows[0] == ("accuracy", pytest.approx(0.75), 0.6, 0.9, 3)

    def test_the_trials_have_the_mean_and_how_many_runs(self, repeated) -> None:
        made = trials.table(repeated)
        assert made.column("value") == [pytest.approx(0.75), 0.8]
        assert made.column("runs") == [3, 1]

    def test_curves_are_of_the_first_run(self, repeated) -> None:
        assert curves.table(repeated).where("trial", 0).column("value") == [0.5, 0.9]
        assert "For trials with repeats, the curve of the first run is shown." in curves.panel(repeated).notes
