"""Random search: the contract, and that it is even."""

from __future__ import annotations

import numpy as np

from archsearch import Choice, Config, Float, Space
from archsearch.search.strategies.random import Random
from archsearch.search.testing.simulation import SPACES, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Proposed


class TestRandom(StrategyContract):
    make = staticmethod(lambda: Random())


def test_draws_are_even_in_each_domains_measure() -> None:
    history = History(study_of(Space(rate=Float(1e-4, 1.0, log=True), kind=Choice("a", "b"))))
    configs = [p.config for p in Random().ask(history, 4000, np.random.default_rng(0))]
    assert abs(np.mean([config["rate"] < 1e-2 for config in configs]) - 0.5) < 0.03  # 0.03: some four deviations
    assert abs(np.mean([config["kind"] == "a" for config in configs]) - 0.5) < 0.03


def test_a_trial_s_config_does_not_depend_on_how_many_were_asked_for_at_once() -> None:
    def study_of_ten(at_once: int) -> list[Config]:
        history = History(study_of(SPACES["conditional"]))
        while len(history.trials) < 10:
            number = len(history.trials)
            rng = np.random.default_rng([history.study.seed, number])
            for offset, proposal in enumerate(Random().ask(history, min(at_once, 10 - number), rng)):
                history = history.apply(Proposed(0.0, number + offset, proposal, history.seq))
        return [trial.config for trial in history.trials]

    assert study_of_ten(1) == study_of_ten(3) == study_of_ten(10)
