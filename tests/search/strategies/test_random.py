"""Random search: the contract, and that it is even."""

from __future__ import annotations

import numpy as np

from search.strategies.random import Random
from search.testing.simulation import study_of
from search.testing.strategies import StrategyContract
from spaces import Choice, Float, Space
from studies.history import History


class TestRandom(StrategyContract):
    make = staticmethod(lambda: Random())


def test_draws_are_even_in_each_domains_measure() -> None:
    history = History(study_of(Space(rate=Float(1e-4, 1.0, log=True), kind=Choice("a", "b"))))
    configs = [p.config for p in Random().ask(history, 4000, np.random.default_rng(0))]
    assert abs(np.mean([config["rate"] < 1e-2 for config in configs]) - 0.5) < 0.03  # 0.03: some four deviations
    assert abs(np.mean([config["kind"] == "a" for config in configs]) - 0.5) < 0.03
