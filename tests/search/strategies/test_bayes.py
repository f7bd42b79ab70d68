"""Bayes: the contract, what the model is told, and that it searches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsearch import Config, Float, Space, SpecError
from archsearch.search.strategies._models.single_thread import single_threaded
from archsearch.search.strategies._models.surrogate import Surrogate
from archsearch.search.strategies.bayes import Bayes
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import best_losses, valley
from archsearch.search.testing.simulation import SPACES, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.records import Failed, Pruned, Trial


class TestBayes(StrategyContract):
    make = staticmethod(lambda: Bayes(startup_trials=5, candidates=100))
    trials = 36


@pytest.mark.parametrize("wrong", [{"startup_trials": 0}, {"startup_trials": "5"}, {"candidates": True}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"Bayes {min(wrong)} must be a whole number of at least 1, got"):
        Bayes(**wrong)


def test_the_model_is_asked_once_enough_trials_have_a_value() -> None:
    asks = list(simulate(Bayes(6, candidates=20), study_of(SPACES["mixed"]), trials=16, faults=True))[:-1]
    for ask in asks:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.proposer for p in ask.proposals} == {"bayes" if valued >= 6 else "random"}


def test_proposals_of_one_ask_keep_apart() -> None:
    study = study_of(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)), budget=1)
    history = simulated_history(Random(), study, _dip, trials=15)
    configs = [p.config for p in Bayes().ask(history, 4, np.random.default_rng(0))]
    points = np.array([[c["x"], c["y"]] for c in configs], dtype=float)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distances[~np.eye(4, dtype=bool)].min() > 1e-3


@pytest.mark.parametrize("outcome", [Failed("diverged"), Pruned("behind")], ids=str)
def test_what_failed_or_was_pruned_is_shunned(outcome: Failed | Pruned) -> None:
    study = study_of(Space(x=Float(0.0, 1.0)), budget=2)
    history = simulated_history(Random(), study, lambda config, step: 1.0 - _number(config["x"]), trials=20)

    def ended(trial: Trial) -> Trial:
        if _number(trial.config["x"]) < 0.6:
            return trial
        reports = tuple(replace(report, metrics={"loss": 1.0}) for report in trial.reports)
        return replace(
            trial, state="failed" if isinstance(outcome, Failed) else "pruned", outcome=outcome, reports=reports
        )

    def beyond(trials: tuple[Trial, ...]) -> int:
        proposals = Bayes().ask(replace(history, trials=trials), 6, np.random.default_rng(0))
        return sum(_number(p.config["x"]) > 0.6 for p in proposals)

    # Everything promising ends badly: unless the model is told, it goes there and nowhere else.
    trials = tuple(map(ended, history.trials))
    assert beyond(tuple(t for t in trials if t.state == "finished")) == 6
    assert beyond(trials) <= 2


def test_a_believed_point_changes_no_expectation_and_takes_its_promise_away() -> None:
    rng = np.random.default_rng(0)
    rows, probes = rng.random((20, 3)), rng.random((50, 3))
    with single_threaded():
        model = Surrogate.fit(rows, list(np.sin(5 * rows[:, 0]) + rows[:, 1]), seed=0)
        favourite = probes[[int(np.argmax(model.expected_improvement(probes)))]]
        after = model.condition_on_predictions(favourite)
        np.testing.assert_allclose(after.process.predict(probes), model.process.predict(probes), atol=1e-4)
        assert after.expected_improvement(favourite)[0] < 0.2 * model.expected_improvement(favourite)[0]


def test_it_beats_random() -> None:
    # Margin: half of random's mean loss with as many trials.
    bayes, random = (best_losses(s, trials=30, seeds=6) for s in (Bayes(), Random()))
    assert np.mean(bayes) < 0.5 * np.mean(random)


def test_diverged_runs_do_not_blind_it() -> None:
    # One config in eight blows up. Without the cut of such losses the model did worse than random (0.43 to 0.39).
    def cliff(config: Config, step: int) -> float:
        return 1e8 if _number(config["rate"]) > 0.03 else valley(config)

    bayes, random = (best_losses(s, trials=30, seeds=6, curve=cliff) for s in (Bayes(), Random()))
    assert np.mean(bayes) < 0.7 * np.mean(random)


def _dip(config: Config, step: int) -> float:
    return (_number(config["x"]) - 0.3) ** 2 + (_number(config["y"]) - 0.7) ** 2


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return value
