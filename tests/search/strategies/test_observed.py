"""What a Gaussian process is told of pruned, failed, diverged and all too many trials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from search.strategies.observed import cut, observed
from search.strategies.random import Random
from search.testing.simulation import finished, study_of
from spaces import Float, Space
from studies.records import Failed, Pruned

SPACE = Space(x=Float(0.0, 1.0))


def test_a_pruned_trial_has_its_last_loss_and_a_failed_one_the_worst() -> None:
    history = finished(Random(), study_of(SPACE, budget=3), lambda config, step: config["x"], trials=6)
    one, two, three, four, *others = history.trials
    pruned = replace(one, state="pruned", outcome=Pruned("behind"))
    failed = replace(two, state="failed", outcome=Failed("NaN"))
    running = replace(three, state="running", outcome=None)
    silent = replace(four, reports=())
    told, losses = observed(replace(history, trials=(pruned, failed, running, silent, *others)))
    assert [trial.number for trial in told] == [0, 1, 4, 5]
    assert losses == [one.config["x"], max(losses), others[0].config["x"], others[1].config["x"]]
    assert observed(replace(history, trials=(failed, silent))) == ([], [])


def test_of_a_long_history_the_best_and_the_newest_are_told() -> None:
    history = finished(Random(), study_of(SPACE, budget=1), lambda config, step: config["x"], trials=700)
    told, losses = observed(history)
    assert len(told) <= 300
    assert told == sorted(told, key=lambda trial: trial.number)
    assert {trial.number for trial in history.trials[-150:]} <= {trial.number for trial in told}
    assert sorted(losses)[:150] == sorted(trial.config["x"] for trial in history.trials)[:150]


def test_a_diverged_loss_counts_as_bad_and_no_more() -> None:
    losses = [1.0, 2.0, 3.0, 4.0, 1e8]
    assert cut(losses).tolist() == [1.0, 2.0, 3.0, 4.0, 9.0]  # the median 3, and three times the 2 to the best
    assert cut([5.0, 5.0, 5.0, 9.0]).tolist() == [5.0, 5.0, 5.0, 9.0]
    assert np.all(cut([7.0]) == 7.0)
