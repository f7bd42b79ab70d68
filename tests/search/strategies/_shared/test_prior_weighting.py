"""Priors in the strategies that learn: they lean every proposal, fade, help when right and are overcome when wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from archsearch import (
    GP,
    TPE,
    Bayes,
    Choice,
    CmaEs,
    Config,
    Evolution,
    Float,
    Int,
    Prior,
    Random,
    Space,
    When,
    constraint,
)
from archsearch.search.protocols import Strategy
from archsearch.search.strategies._shared.prior_weighting import PriorWeighting
from archsearch.search.testing.problems import BASINS, basin
from archsearch.search.testing.simulation import simulated_history, study_of

MIXED = Space(
    kind=Choice("a", "b", "c", prior=(1, 2, 5)),
    rate=Float(1e-5, 1e-1, log=True, prior=Prior(1e-3)),
    momentum=When("kind == 'a'", Float(0.0, 1.0, prior=Prior(0.9, width=0.1))),
    layers=Int(1, 9),
)


def test_the_factor_is_the_priors_density_to_a_power_that_fades() -> None:
    config: Config = {"kind": "b", "rate": 0.01, "layers": 2}
    density = MIXED["kind"].domain.prior_density("b") * MIXED["rate"].domain.prior_density(0.01)
    for ended, power in ((1, 5.0), (5, 1.0), (50, 0.1)):
        assert PriorWeighting(MIXED, ended).of([config]) == pytest.approx([power * math.log(density)])
    active = {**config, "kind": "a", "momentum": 0.9}
    assert PriorWeighting(MIXED, 5).of([active])[0] == pytest.approx(
        sum(math.log(MIXED[name].domain.prior_density(active[name])) for name in ("kind", "rate", "momentum"))
    )


def test_a_space_without_priors_believes_nothing() -> None:
    space = Space(x=Int(1, 3), y=Choice("a", "b"))
    weighting = PriorWeighting(space, 1)
    assert not weighting
    assert weighting.of([{"x": 1, "y": "a"}, {"x": 3, "y": "b"}]).tolist() == [0.0, 0.0]
    assert PriorWeighting(MIXED, 1)


def test_choices_are_drawn_in_proportion_to_their_factor() -> None:
    configs: list[Config] = [{"kind": kind, "rate": 1e-3, "layers": 1} for kind in "bc"]
    rng = np.random.default_rng(0)
    drawn = [PriorWeighting(MIXED, 5).choose(configs, rng)["kind"] for _ in range(2000)]
    assert drawn.count("c") / 2000 == pytest.approx(5 / 7, abs=0.03)


@pytest.mark.parametrize(
    "strategy",
    [Bayes(startup_trials=5, candidates=100), GP(startup_trials=5), TPE(startup_trials=5), Evolution(5, sample=3)],
    ids=lambda strategy: type(strategy).__name__,
)
@pytest.mark.parametrize("rules", [(), ("x + y >= 0.1",)], ids=["free", "constrained"])
def test_what_the_model_proposes_leans_towards_the_prior(strategy: Strategy, rules: tuple[str, ...]) -> None:
    """Histories that were drawn evenly, of a loss without a trend; the space differs by its prior alone."""
    even = Space(*map(constraint, rules), x=Float(0.0, 1.0), y=Float(0.0, 1.0), kind=Choice(*"abcd"))
    leaning = Space(
        *map(constraint, rules),
        x=Float(0.0, 1.0, prior=Prior(0.8, width=0.1)),
        y=Float(0.0, 1.0),
        kind=Choice(*"abcd", prior=(1, 1, 1, 10)),
    )

    def distance(space: Space) -> float:
        apart = []
        for seed in range(8 if isinstance(strategy, Bayes | GP) else 40):
            history = simulated_history(Random(), study_of(even, budget=1, seed=seed), rough, trials=6)
            history = replace(history, study=replace(history.study, space=space))
            (proposal,) = strategy.ask(history, 1, np.random.default_rng(seed))
            assert proposal.proposer != "random"
            apart.append(abs(number(proposal.config["x"]) - 0.8) + (proposal.config["kind"] != "d"))
        return float(np.mean(apart))

    assert distance(leaning) < distance(even) - 0.3


@pytest.mark.parametrize(
    ("strategy", "trials", "seeds"),
    [
        (Bayes(startup_trials=5, candidates=100), 25, 2),
        (GP(startup_trials=5), 26, 2),
        (TPE(), 60, 6),
        (Evolution(population=10, sample=5), 100, 12),
        (CmaEs(), 60, 8),
    ],
    ids=["Bayes", "GP", "TPE", "Evolution", "CmaEs"],
)
def test_a_good_prior_helps_and_a_wrong_one_is_overcome(strategy: Strategy, trials: int, seeds: int) -> None:
    """Paired seeds. More studies, and longer ones: docs/measurements.md."""
    none, good, wrong = (best_so_far(strategy, space, trials, seeds) for space in BASINS.values())
    assert good[19] < 0.8 * none[19]
    assert wrong[9] > 2 * none[9]
    assert wrong[-1] < none[9]
    if isinstance(strategy, Bayes | GP):
        assert wrong[-1] < none[-1] + 0.1 * none[9]


def rough(config: Config, step: int) -> float:
    return math.sin(50 * number(config["x"]) + 70 * number(config["y"]))


def number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def best_so_far(strategy: Strategy, space: Space, trials: int, seeds: int) -> NDArray[np.float64]:
    """The best loss after each number of trials, (trials,), the mean over studies that differ in their seed."""
    studies = [study_of(space, budget=1, seed=seed) for seed in range(seeds)]
    histories = [simulated_history(strategy, study, basin, trials=trials) for study in studies]
    losses = [[basin(trial.config) for trial in history.trials] for history in histories]
    return np.minimum.accumulate(np.array(losses), axis=1).mean(axis=0)
