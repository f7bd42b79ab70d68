"""Patience: the contract, and curves that do and do not become better."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch import Patience, SpecError
from archsearch.search.protocols import Continue, Stop
from archsearch.search.testing.pruners import PrunerContract, history_from_curves


class TestPatience(PrunerContract):
    make = staticmethod(lambda: Patience(steps=2))
    looks_alone = True


@pytest.mark.parametrize(
    ("curve", "goes_on"),
    [
        ([3.0, 2.0, 2.0], True),  # not yet three after the first
        ([3.0, 2.0, 2.0, 2.5], True),  # better than the first
        ([2.0, 2.5, 2.0, 3.0], False),  # equal is not better
        ([4.0, 1.0, 2.0, 3.0, 2.0], False),
        ([4.0, 1.0, 2.0, 3.0, 0.9], True),
    ],
)
def test_a_trial_that_is_no_better_for_three_steps_stops(curve: list[float], goes_on: bool) -> None:
    history = history_from_curves([curve])
    verdict = Patience(steps=3).judge(history.trials[0], history)
    best = min(curve[:-3], default=0.0)
    told = Stop(f"step {len(curve)}: no improvement on loss {best:.4g} in the last 3 values")
    assert verdict == (Continue() if goes_on else told)


def test_a_small_gain_is_none_and_maximising_mirrors() -> None:
    falling, rising = (
        history_from_curves([[1.0, 0.95, 0.92]]),
        history_from_curves([[-1.0, -0.95, -0.92]], maximize=True),
    )
    assert isinstance(Patience(2, 0.1).judge(falling.trials[0], falling), Stop)
    assert isinstance(Patience(2, 0.07).judge(falling.trials[0], falling), Continue)
    assert isinstance(Patience(2, 0.1).judge(rising.trials[0], rising), Stop)
    assert isinstance(Patience(2, 0.07).judge(rising.trials[0], rising), Continue)


def test_nothing_stops_at_the_last_step() -> None:
    history = history_from_curves([[1.0, 1.0, 1.0]], budget=3)
    assert Patience(steps=2).judge(history.trials[0], history) == Continue()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"min_delta": -0.1}, {"min_delta": float("inf")}])
def test_settings_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(SpecError, match=f"Patience {next(iter(wrong))} must be a .*number"):
        Patience(**wrong)
