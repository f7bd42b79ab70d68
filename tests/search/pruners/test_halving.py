"""Successive halving: the contract, verdicts worked out by hand, and what it saves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archsearch import SpecError
from archsearch.search.protocols import Continue, Stop, Verdict
from archsearch.search.pruners.halving import SuccessiveHalving
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import VALLEY, valley
from archsearch.search.testing.pruners import PrunerContract, history_from_curves
from archsearch.search.testing.simulation import simulate, study_of
from archsearch.studies.history import History


class TestSuccessiveHalving(PrunerContract):
    make = staticmethod(lambda: SuccessiveHalving())


class TestGreedyHalving(PrunerContract):
    make = staticmethod(lambda: SuccessiveHalving(min_steps=1, eta=4))


def judged(history: History, **settings: int) -> Verdict:
    """The verdict on the last trial, by rungs at 1, 3, 9, …"""
    return SuccessiveHalving(**{"min_steps": 1, "eta": 3, **settings}).judge(history.trials[-1], history)


def test_the_best_third_of_those_that_came_goes_on() -> None:
    # Twelve at the rung: four go on, so 0.74 is needed.
    others = [[v] for v in (0.90, 0.85, 0.80, 0.74, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)]
    assert judged(history_from_curves([*others, [0.61]], maximize=True)) == Stop(
        "rung 1: loss 0.61 is not in the best 1/3 of 12 (0.74 needed)"
    )
    assert judged(history_from_curves([*others, [0.75]], maximize=True)) == Continue()
    assert judged(history_from_curves([*others, [0.74]], maximize=True)) == Continue()  # equals go on
    assert judged(history_from_curves([*others, [0.61]])) == Stop(
        "rung 1: loss 0.61 is not in the best 1/3 of 12 (0.4 needed)"
    )


def test_while_fewer_than_eta_came_only_the_best_goes_on() -> None:
    assert judged(history_from_curves([[1.0], [2.0]])) == Stop("rung 1: loss 2 is not the best of 2 (1 needed)")
    assert judged(history_from_curves([[2.0], [1.0]])) == Continue()


def test_only_rungs_are_judged() -> None:
    for step in range(1, 13):
        verdict = judged(history_from_curves([[0.0] * 12, [1.0] * step]))
        assert isinstance(verdict, Stop) == (step in (1, 3, 9))
        assert isinstance(judged(history_from_curves([[0.0] * 12, [1.0] * step]), min_steps=2, eta=2), Stop) == (
            step in (2, 4, 8)
        )


def test_only_those_with_a_value_at_the_rung_count() -> None:
    # At step 3 stand 1, 2 and the judged; the others never came there, or said nothing of the loss.
    others: list[Any] = [[0.1, 0.1], [5, 5, 1.0], [5, 5, 2.0], [0.0, 0.0, {"other": 1.0}]]
    assert judged(history_from_curves([*others, [9, 9, 1.5]])) == Stop(
        "rung 3: loss 1.5 is not in the best 1/3 of 3 (1 needed)"
    )
    assert judged(history_from_curves([*others, [9, 9, 0.5]])) == Continue()


def test_steps_with_gaps_are_found() -> None:
    history = history_from_curves([[1.0, 1.0], [2.0, 2.0]])
    sparse = tuple(
        replace(t, reports=tuple(replace(r, step=2 * r.step - 1) for r in t.reports)) for t in history.trials
    )
    verdict = judged(replace(history, trials=sparse))
    assert verdict == Stop("rung 3: loss 2 is not the best of 2 (1 needed)")


def test_it_saves_most_of_the_work_and_keeps_the_best() -> None:
    # Curves that keep their order from the start: what is left to see is the price of judging at once.
    study = study_of(VALLEY, budget=30)

    def curve(config: Any, step: int) -> float:
        return valley(config) + 1 / step

    *_, last = simulate(Random(), study, curve, trials=100, workers=4, pruner=SuccessiveHalving())
    history = last.history
    assert sum(t.step for t in history.trials) < 0.4 * 100 * 30
    ranked = sorted(history.trials, key=lambda t: valley(t.config))
    assert history.best is not None
    assert history.best in ranked[:2]


@pytest.mark.parametrize("wrong", [{"min_steps": 0}, {"eta": 1}, {"eta": 2.5}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"SuccessiveHalving {min(wrong)} must be a whole number of at least"):
        SuccessiveHalving(**wrong)
