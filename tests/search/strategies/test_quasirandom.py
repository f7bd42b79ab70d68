"""QuasiRandom: the contract, that its points are those of one Sobol sequence, and that they are even."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from archsearch import Choice, Encoding, Float, Int, Prior, Space, SpecError, constraint
from archsearch.search.strategies.quasirandom import QuasiRandom
from archsearch.search.strategies.random import Random
from archsearch.search.testing.simulation import SPACES, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History

SQUARE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))


class TestQuasiRandom(StrategyContract):
    make = staticmethod(QuasiRandom)


def points(space: Space, trials: int, *, seed: int = 0, strategy: QuasiRandom | Random | None = None) -> np.ndarray:
    study = study_of(space, budget=1, seed=seed)
    history = simulated_history(strategy or QuasiRandom(), study, trials=trials, workers=3)
    return Encoding(space).encode(trial.config for trial in history.trials)


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_the_trials_of_a_study_are_one_sobol_sequence(seed: int) -> None:
    """Rebuilt at each ask, they keep what defines one: of 64 equal boxes, of whatever shape, each holds a point."""
    found = points(SQUARE, 64, seed=seed)
    for halvings in range(7):
        boxes = np.floor(found * [2**halvings, 2 ** (6 - halvings)])
        assert len(np.unique(boxes, axis=0)) == 64


def test_it_is_more_even_than_random() -> None:
    # Margin: half of random's discrepancy, for each of five seeds.
    cube = Space({f"x{k}": Float(0.0, 1.0) for k in range(5)})
    for seed in range(5):
        ours, random = (qmc.discrepancy(points(cube, 128, seed=seed, strategy=s)) for s in (QuasiRandom(), Random()))
        assert ours < 0.5 * random


def test_without_constraints_the_point_is_the_trials_number() -> None:
    history = simulated_history(QuasiRandom(), study_of(SPACES["conditional"], budget=1), trials=20, workers=3)
    assert [trial.proposal.state["point"] for trial in history.trials] == list(range(20))


def test_what_breaks_a_constraint_is_skipped_and_the_rest_stays_even() -> None:
    half = Space(constraint("x + y <= 1"), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    whole, kept = points(SQUARE, 64), points(half, 20)
    legal = whole[whole.sum(axis=1) <= 1][:20]
    np.testing.assert_allclose(kept, legal, atol=1e-15)


def test_where_hardly_a_point_is_legal_a_config_is_drawn() -> None:
    narrow = Space(constraint("x + y <= 0.02"), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    history = simulated_history(QuasiRandom(), study_of(narrow, budget=1), trials=4)
    assert "random" in {trial.proposal.proposer for trial in history.trials}
    places = [trial.proposal.state["point"] for trial in history.trials]
    assert places == sorted(set(places))  # what was looked at once is not looked at again


def test_a_prior_leans_the_points() -> None:
    leaning = Space(
        rate=Float(1e-5, 1e-1, log=True, prior=Prior(1e-3, width=0.05)), kind=Choice("a", "b", prior=(3, 1))
    )
    history = simulated_history(QuasiRandom(), study_of(leaning, budget=1), trials=64)
    near = sum(3e-4 < float(str(trial.config["rate"])) < 3e-3 for trial in history.trials)
    # Of the bell, 98 in 100 lie within 0.12 of the range; of the even fifth, a quarter.
    assert abs(near - 64 * (0.8 * 0.98 + 0.2 * 0.25)) <= 2
    assert abs(sum(trial.config["kind"] == "a" for trial in history.trials) - 48) <= 1


def test_too_many_parameters_are_told() -> None:
    history = History(study_of(Space({f"p{k}": Int(0, 1) for k in range(21_202)})))
    with pytest.raises(SpecError, match=r"at most 21,201 free parameters, and this space has 21,202; use Random"):
        QuasiRandom().ask(history, 1, np.random.default_rng(0))
