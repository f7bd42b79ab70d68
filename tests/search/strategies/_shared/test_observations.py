"""What a Gaussian process is told of pruned, failed, diverged and all too many trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from archsearch import Float, Space
from archsearch.search.strategies._shared.observations import (
    Observations,
    clip_outliers,
    first_goal_losses,
    model_targets,
)
from archsearch.search.strategies.random import Random
from archsearch.search.testing.simulation import simulated_history, study_of
from archsearch.studies.history import History
from archsearch.studies.records import Failed, Pruned

SPACE = Space(x=Float(0.0, 1.0))


def test_a_pruned_trial_has_its_last_loss_and_a_failed_one_the_worst() -> None:
    history = simulated_history(Random(), study_of(SPACE, budget=3), lambda config, step: config["x"], trials=6)
    one, two, three, four, *others = history.trials
    pruned = replace(one, state="pruned", outcome=Pruned("behind"))
    failed = replace(two, state="failed", outcome=Failed("NaN"))
    running = replace(three, state="running", outcome=None)
    silent = replace(four, reports=())
    history = replace(history, trials=(pruned, failed, running, silent, *others))
    trials, losses = first_goal_losses(history)
    assert [trial.number for trial in trials] == [0, 1, 4, 5]
    assert losses == [one.config["x"], max(losses), others[0].config["x"], others[1].config["x"]]
    assert Observations.from_history(history).losses[:, 0].tolist() == losses
    assert first_goal_losses(replace(history, trials=(running, silent))) == ([], [])
    nothing = replace(history, trials=(replace(running, number=0), replace(silent, number=1)))
    assert (Observations.from_history(nothing).trials, first_goal_losses(nothing)) == ([], ([], []))


def test_of_a_long_history_the_best_and_the_newest_are_told() -> None:
    history = simulated_history(Random(), study_of(SPACE, budget=1), lambda config, step: config["x"], trials=700)
    trials, losses = first_goal_losses(history)
    assert len(trials) <= 300
    assert trials == sorted(trials, key=lambda trial: trial.number)
    assert {trial.number for trial in history.trials[-150:]} <= {trial.number for trial in trials}
    assert sorted(losses)[:150] == sorted(trial.config["x"] for trial in history.trials)[:150]


def test_a_diverged_loss_counts_as_bad_and_no_more() -> None:
    losses = [1.0, 2.0, 3.0, 4.0, 1e8]
    assert clip_outliers(losses).tolist() == [
        1.0,
        2.0,
        3.0,
        4.0,
        9.0,
    ]  # the median 3, and three times the 2 to the best
    assert clip_outliers([5.0, 5.0, 5.0, 9.0]).tolist() == [5.0, 5.0, 5.0, 9.0]
    assert np.all(clip_outliers([7.0]) == 7.0)


def _of_two(rows: list[tuple[float, float, float]]) -> History:
    """A trial for each (loss, size, cost), of which the last fails."""
    rows_left = iter(rows)
    study = study_of(SPACE, budget=1, goals=["loss", "size"], outcome_constraints=["cost <= 2"])
    history = simulated_history(
        Random(), study, lambda *_: dict(zip(("loss", "size", "cost"), next(rows_left), strict=True)), trials=len(rows)
    )
    *trials, last = history.trials
    return replace(history, trials=(*trials, replace(last, state="failed", outcome=Failed("NaN"))))


def test_of_several_goals_a_failed_trial_has_the_worst_of_each() -> None:
    observations = Observations.from_history(_of_two([(1, 8, 1), (2, 7, 3), (3, 6, 2), (0, 0, 0)]))
    assert observations.losses.tolist() == [[1, 8], [2, 7], [3, 6], [3, 8]]
    assert observations.constraint_values.tolist() == [[-0.5], [0.5], [0.0], [0.5]]
    losses, constraint_values = model_targets(observations)
    assert losses.tolist() == observations.losses.tolist()
    assert np.array_equal(np.sign(constraint_values), np.sign(observations.constraint_values))
    assert np.array_equal(
        np.argsort(constraint_values, axis=0, kind="stable"),
        np.argsort(observations.constraint_values, axis=0, kind="stable"),
    )


def test_for_one_goal_what_breaks_a_constraint_counts_as_failed() -> None:
    trials, losses = first_goal_losses(_of_two([(1, 0, 1), (0, 0, 3), (3, 0, 2), (9, 0, 0)]))
    assert ([trial.number for trial in trials], losses) == ([0, 1, 2, 3], [1.0, 3.0, 3.0, 3.0])


def test_while_all_break_the_constraint_they_are_told_by_how_far() -> None:
    assert first_goal_losses(_of_two([(1, 0, 5), (2, 0, 3), (0, 0, 9), (0, 0, 0)]))[1] == [1.5, 0.5, 3.5, 3.5]
