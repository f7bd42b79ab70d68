"""GP: the contract, what the model is told, and that it searches where conditions, pruning and failures are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from optuna._gp.acqf import BaseAcquisitionFunc

from archsearch import Choice, Config, Encoding, Float, Int, Prior, Space, SpecError, When, constraint
from archsearch.search.strategies._models.optuna_gp import _LegalAcquisition, _LogPrior, _WeightedAcquisition
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.strategies.gp import GP
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import best_losses, hypervolumes
from archsearch.search.testing.simulation import SPACES, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.records import Failed, Metrics, Pruned, Trial


class TestGP(StrategyContract):
    make = staticmethod(lambda: GP(startup_trials=8))
    trials = 16


@pytest.mark.parametrize("wrong", [0, 2.5, True])
def test_settings_are_checked(wrong: Any) -> None:
    with pytest.raises(SpecError, match="GP startup_trials must be a whole number of at least 1, got"):
        GP(wrong)


def test_the_model_is_asked_once_enough_trials_have_a_value() -> None:
    asks = list(simulate(GP(6), study_of(SPACES["mixed"]), trials=14, faults=True))[:-1]
    for ask in asks:
        valued = len(ask.history.in_state("finished", "pruned"))
        assert {p.proposer for p in ask.proposals} == {"gp" if valued >= 6 else "random"}


def test_it_beats_random_where_a_parameter_is_conditional() -> None:
    # Margin: a third of random's mean loss. Inactive parameters free to move in the acquisition: it did no better.
    gp, random = (best_losses(s, trials=26, seeds=3) for s in (GP(), Random()))
    assert np.mean(gp) < np.mean(random) / 3


def dip(config: Config, step: int) -> float:
    return float((config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2)


PLANE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))


def test_it_learns_where_four_of_five_trials_are_pruned() -> None:
    history = simulated_history(Random(), study_of(PLANE, budget=1), dip, trials=20)
    trials = tuple(
        trial if trial.number % 5 == 0 else replace(trial, state="pruned", outcome=Pruned("behind"))
        for trial in history.trials
    )
    configs = [p.config for p in GP().ask(replace(history, trials=trials), 3, np.random.default_rng(0))]
    # Optuna, which sees the four finished ones alone, would draw: at 0.4 from the floor, on average.
    assert np.mean([dip(config, 1) ** 0.5 for config in configs]) < 0.15


@pytest.mark.parametrize("outcome", [Failed("diverged"), Pruned("behind")], ids=str)
def test_what_failed_or_was_pruned_is_shunned(outcome: Failed | Pruned) -> None:
    study = study_of(Space(x=Float(0.0, 1.0)), budget=2)
    history = simulated_history(Random(), study, lambda config, step: 1.0 - config["x"], trials=20)

    def ended(trial: Trial) -> Trial:
        if trial.config["x"] < 0.6:
            return trial
        reports = tuple(replace(report, metrics={"loss": 1.0}) for report in trial.reports)
        return replace(
            trial, state="failed" if isinstance(outcome, Failed) else "pruned", outcome=outcome, reports=reports
        )

    def beyond(trials: tuple[Trial, ...]) -> int:
        asked = [GP().ask(replace(history, trials=trials), 1, np.random.default_rng(seed)) for seed in range(3)]
        return sum(proposal.config["x"] > 0.6 for (proposal,) in asked)

    trials = tuple(map(ended, history.trials))
    # Everything promising ends badly: unless the model is told, it goes there and nowhere else.
    assert beyond(tuple(t for t in trials if t.state == "finished")) == 3
    assert beyond(trials) == 0


def test_proposals_of_one_ask_keep_apart_from_each_other_and_from_what_runs() -> None:
    history = simulated_history(Random(), study_of(PLANE, budget=1), dip, trials=15)
    (first,) = GP().ask(history, 1, np.random.default_rng(0))
    waiting = replace(history.trials[0], number=15, proposal=first, state="waiting", outcome=None, reports=())
    busy = replace(history, trials=(*history.trials, waiting), unfinished=(15,))
    configs = [first.config, *(p.config for p in GP().ask(busy, 3, np.random.default_rng(0)))]
    points = np.array([[c["x"], c["y"]] for c in configs])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distances[~np.eye(4, dtype=bool)].min() > 1e-3


def test_the_optimum_on_the_border_of_what_is_legal_is_found() -> None:
    space = Space(constraint("x + y <= 0.25"), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    history = simulated_history(
        GP(5), study_of(space, budget=1), lambda config, step: -config["x"] - config["y"], trials=14
    )
    assert max(t.config["x"] + t.config["y"] for t in history.trials) > 0.245


class Flat(BaseAcquisitionFunc):
    """Promises the same everywhere."""

    def eval_acqf(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(x.shape[:-1], dtype=torch.float64)


def test_a_point_leans_by_the_priors_of_what_is_active_in_its_config() -> None:
    space = Space(
        kind=Choice("a", "b", "c", prior=(1, 2, 5)),
        rate=Float(1e-5, 1e-1, log=True, prior=Prior(1e-3)),
        momentum=When("kind == 'a'", Float(0.0, 1.0, prior=Prior(0.9, width=0.1))),
        layers=Int(1, 9, prior=Prior(2)),
    )
    weighting, encoding, free = PriorWeighting(space, 10), Encoding(space), Space(rate=space["rate"].domain)
    configs = [space.sample(np.random.default_rng(seed)) for seed in range(40)]
    points = encoding.encode(configs)
    points[:, 0] = np.floor(points[:, 0] * 3)  # a choice without order stands as its index
    flat = Flat(np.ones(4), None)  # type: ignore[arg-type]  # only the optimiser looks at the search space
    weighted = _LegalAcquisition(flat, space, _LogPrior(weighting)).eval_acqf(torch.from_numpy(points))
    np.testing.assert_allclose(
        weighted.numpy(), weighting.of(configs), atol=1e-3
    )  # between two knots the bell is a line
    place = torch.tensor([[0.3]], dtype=torch.float64, requires_grad=True)
    weighted = _WeightedAcquisition(Flat(np.ones(1), None), _LogPrior(PriorWeighting(free, 10))).eval_acqf(place)  # type: ignore[arg-type]  # as above
    weighted.sum().backward()
    (slope,) = np.diff(
        [PriorWeighting(free, 10).of([{"rate": free["rate"].domain.from_unit(u)}])[0] for u in (0.299, 0.301)]
    )
    assert place.grad is not None
    assert place.grad.item() == pytest.approx(slope / 0.002, rel=0.02)


@pytest.mark.parametrize("domain", [Int(0, 2**31), Int(1, 10**9, log=True), Int(1, 900, log=True), Int(-3, 11, step=4)])
def test_whole_numbers_of_any_range(domain: Int) -> None:
    history = simulated_history(GP(3), study_of(Space(x=domain, y=Float(0, 1)), budget=1), trials=5)
    assert [t.proposal.proposer for t in history.trials[3:]] == ["gp", "gp"]
    for trial in history.trials:
        history.study.space.check(trial.config)


def test_it_finds_more_of_the_front_than_random() -> None:
    # Margin: half of what random leaves of the largest hypervolume, and better on two seeds of three.
    ours, random = (hypervolumes(s, trials=24, seeds=3) for s in (GP(8), Random()))
    assert sum(np.greater(ours, random)) >= 2
    assert max(ours) - np.mean(ours) < (max(ours) - np.mean(random)) / 2


def trade(config: Config, step: int) -> Metrics:
    """Two goals, of which every x is the best for some trade; y is best at 0.7 for both."""
    cost = (config["y"] - 0.7) ** 2
    return {"loss": config["x"] + cost, "size": 1 - config["x"] + cost}


@pytest.mark.parametrize("outcome", [Failed("diverged"), Pruned("behind")], ids=str)
def test_of_two_goals_what_failed_or_was_pruned_is_shunned(outcome: Failed | Pruned) -> None:
    history = simulated_history(Random(), study_of(PLANE, budget=2, goals=["loss", "size"]), trade, trials=20)

    def ended(trial: Trial) -> Trial:
        if trial.config["y"] < 0.5:
            return trial
        reports = tuple(replace(report, metrics={"loss": 2.0, "size": 2.0}) for report in trial.reports)
        return replace(
            trial, state="failed" if isinstance(outcome, Failed) else "pruned", outcome=outcome, reports=reports
        )

    trials = tuple(map(ended, history.trials))
    told, blind = (
        [p.config["y"] for p in GP().ask(replace(history, trials=given), 4, np.random.default_rng(0))]
        for given in (trials, tuple(t for t in trials if t.state == "finished"))
    )
    assert max(told) < 0.6
    assert min(blind) > 0.6
