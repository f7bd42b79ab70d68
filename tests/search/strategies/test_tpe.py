"""TPE: the contract, what enters Optuna, and that it searches as well as Optuna's own loop."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from search.strategies.optuna_mirror import Mirror
from search.strategies.random import Random
from search.strategies.tpe import TPE
from search.testing.problems import VALLEY, best_losses, valley
from search.testing.simulation import SPACES, finished, simulate, study_of
from search.testing.strategies import StrategyContract
from spaces import Choice, Float, Int, Space, SpecError, constraint
from studies.history import History
from studies.records import Ended, Failed, Finished, Proposal, Proposed, Report, Reported, Started


class TestTPE(StrategyContract):
    make = staticmethod(lambda: TPE(startup_trials=5))
    trials = 60


@pytest.mark.parametrize("wrong", [{"startup_trials": 0}, {"startup_trials": 2.5}, {"candidates": True}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"TPE {min(wrong)} must be a whole number of at least 1, got"):
        TPE(**wrong)


def test_the_model_is_asked_once_enough_trials_have_a_value() -> None:
    asks = list(simulate(TPE(startup_trials=6), study_of(SPACES["mixed"]), trials=20, trouble=True))[:-1]
    for ask in asks:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.note["by"] for p in ask.proposals} == {"tpe" if valued >= 6 else "random"}


def test_every_trial_stands_in_optuna_by_number_and_state() -> None:
    *_, ask, _ = simulate(TPE(), study_of(SPACES["conditional"]), trials=30, trouble=True)
    known = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.PRUNED}
    trials = Mirror(ask.history).study.trials
    assert {ours.state for ours in ask.history.trials} > {"finished", "pruned", "failed"}
    for ours, theirs in zip(ask.history.trials, trials, strict=True):
        assert theirs.state == known.get(ours.state, TrialState.RUNNING)
        assert theirs.params.keys() == ours.config.keys()
        assert theirs.params["rate"] == ours.config["rate"]
        if theirs.state is TrialState.COMPLETE:
            assert theirs.value == ask.history.value(ours)
        if ours.state == "failed":
            assert theirs.intermediate_values == {}  # which Optuna ranks last of all
        elif theirs.state is TrialState.PRUNED:
            assert theirs.intermediate_values == {ours.step: ask.history.value(ours)}


def test_fixed_parameters_never_reach_optuna() -> None:
    history = finished(Random(), study_of(SPACES["mixed"]), trials=3)
    assert all("seedless" not in trial.params for trial in Mirror(history).study.trials)


@pytest.mark.parametrize(
    "domain",
    [
        Choice((3, 3), None, "a", True, 1.5),
        Choice(8, 2, 4, ordered=True),
        Float(0.1, 0.95, step=0.1),
        Float(1e-7, 3e-7, step=1e-8),
        Int(-3, 11, step=4),
        Int(1, 1000, log=True),
        Float(1e-5, 1e-1, log=True),
        Float(0.1, 0.3),
    ],
    ids=str,
)
def test_values_come_back_from_optuna_as_they_went(domain: Choice | Float | Int) -> None:
    study = study_of(Space(x=domain))
    history = History(study)
    rng = np.random.default_rng(0)
    for number in range(40):
        history = history.apply(Proposed(0.0, number, Proposal(study.space.sample(rng), 1), 0))
    mirror = Mirror(history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for ours, theirs in zip(history.trials, list(mirror.study.trials), strict=True):
            mirror.study.enqueue_trial(theirs.params)
            trial = mirror.study.ask()
            assert mirror.config(trial) == ours.config


def test_a_history_that_is_no_continuation_is_refused() -> None:
    history = finished(Random(), study_of(VALLEY, budget=1), valley, trials=4)
    mirror = Mirror(history)
    other = replace(history.trials[1], proposal=history.trials[2].proposal)
    assert mirror.follow(history)
    assert not mirror.follow(replace(history, trials=history.trials[:3]))
    assert not Mirror(history).follow(replace(history, trials=(history.trials[0], other, *history.trials[2:])))
    assert not Mirror(history).follow(replace(history, study=study_of(VALLEY, budget=1, maximize=True)))


def test_nothing_is_said_and_nothing_stays_changed(capfd: pytest.CaptureFixture[str]) -> None:
    level, filters = logging.getLogger("optuna").level, list(warnings.filters)
    finished(TPE(startup_trials=3), study_of(VALLEY, budget=1), valley, trials=6)
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger("optuna").level, list(warnings.filters)) == (level, filters)


def test_it_beats_random() -> None:
    # Margin: half of random's mean loss, and better on four seeds of five.
    tpe, random = (best_losses(s, trials=60, seeds=10) for s in (TPE(), Random()))
    assert np.mean(tpe) < 0.5 * np.mean(random)
    assert np.mean(np.less(tpe, random)) >= 0.8


def test_it_searches_as_well_as_optunas_own_loop() -> None:
    # Margin: the medians of ten studies differ by less than a quarter of what random leaves.
    ours = np.median(best_losses(TPE(), trials=60, seeds=10))
    theirs = np.median([_optunas_own(seed, trials=60) for seed in range(10)])
    random = np.median(best_losses(Random(), trials=60, seeds=10))
    assert abs(ours - theirs) < 0.25 * random


def _optunas_own(seed: int, trials: int) -> float:
    def objective(trial: optuna.Trial) -> float:
        config = {
            "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adam", "rmsprop"]),
            "rate": trial.suggest_float("rate", 1e-5, 1e-1, log=True),
            "layers": trial.suggest_int("layers", 1, 6),
            "dropout": trial.suggest_float("dropout", 0.0, 0.6),
            "units": 2 ** trial.suggest_int("units", 4, 8),
        }
        if config["optimizer"] == "sgd":
            config["momentum"] = trial.suggest_float("momentum", 0.0, 0.99)
        return valley(config)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    optuna.logging.disable_default_handler()
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=trials)
    return study.best_value


def test_it_leaves_a_region_where_trials_fail() -> None:
    """Half of the space fails: 60 of 120 random trials do, and 90 of a TPE that does not see the failed ones."""
    failed = 0
    for seed in range(3):
        history, strategy = History(study_of(Space(x=Float(0, 1), y=Float(0, 1)))), TPE()
        for number in range(40):
            (proposal,) = strategy.ask(history, 1, np.random.default_rng([seed, number]))
            fails = proposal.config["x"] > 0.5
            report = Report(1, {"loss": abs(proposal.config["x"] - 0.3) + proposal.config["y"]}, 0.1)
            history = history.apply_all(
                [
                    Proposed(0.0, number, proposal, history.seq),
                    Started(0.0, number, 1, "w"),
                    *([] if fails else [Reported(0.0, number, report)]),
                    Ended(0.0, number, Failed("NaN") if fails else Finished()),
                ]
            )
            failed += fails
    assert failed <= 48  # margin: a fifth below random's 60


def test_where_hardly_anything_is_legal_the_nearest_config_to_the_suggestion_is_taken() -> None:
    """The valley's floor lies on the border of what is legal, so suggestions fall beside it again and again."""
    space = Space(constraint("x + y <= 0.25"), x=Float(0, 1), y=Float(0, 1))
    history = finished(
        TPE(startup_trials=5), study_of(space), lambda config, step: -config["x"] - config["y"], trials=40
    )
    repaired = [trial for trial in history.trials if trial.proposal.note.get("repaired")]
    assert len(repaired) >= 3
    far = [t.config["x"] + t.config["y"] for t in history.trials[:5]]
    near = [t.config["x"] + t.config["y"] for t in repaired]
    assert sum(near) / len(near) > sum(far) / len(far)
    assert sum(near) / len(near) > 0.2
