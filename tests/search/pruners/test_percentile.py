"""The percentile rule: the contract, and verdicts worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch import Median, Percentile, SpecError
from archsearch.search.protocols import Continue, Stop
from archsearch.search.testing.pruners import PrunerContract, history_from_curves


class TestPercentile(PrunerContract):
    make = staticmethod(lambda: Percentile())


# Five finished trials; at step 2 their losses are 1, 2, 3, 4, 5, of which a quarter is below 2.
OTHERS = [[9, 1], [9, 2], [9, 3], [9, 4], [9, 5]]


@pytest.mark.parametrize(("loss", "goes_on"), [(1.5, True), (2, True), (2.5, False)])
def test_who_is_not_in_the_best_quarter_stops(loss: float, goes_on: bool) -> None:
    history = history_from_curves([*OTHERS, [9, loss]])
    verdict = Percentile(warmup_steps=0).judge(history.trials[-1], history)
    told = Stop(f"step 2: best loss {loss} is not in the best 25% of 5 finished trials (2 needed)")
    assert verdict == (Continue() if goes_on else told)


@pytest.mark.parametrize("loss", [0.5, 2.5, 3.0, 3.5])
@pytest.mark.parametrize("maximize", [False, True])
def test_the_one_of_fifty_is_the_median(loss: float, maximize: bool) -> None:
    history = history_from_curves([*OTHERS, [9, loss]], maximize=maximize)
    verdicts = [pruner.judge(history.trials[-1], history) for pruner in (Percentile(50, 5, 0), Median(5, 0))]
    assert type(verdicts[0]) is type(verdicts[1])


@pytest.mark.parametrize(
    "wrong", [{"percentile": 101}, {"percentile": True}, {"percentile": -1}, {"startup_trials": 0}]
)
def test_settings_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(SpecError, match=f"Percentile {next(iter(wrong))} must be a .*number"):
        Percentile(**wrong)
