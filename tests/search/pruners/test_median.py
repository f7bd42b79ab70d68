"""The median rule: the contract, and verdicts worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archsearch import SpecError
from archsearch.search.protocols import Continue, Stop, Verdict
from archsearch.search.pruners.median import Median
from archsearch.search.testing.pruners import PrunerContract, history_from_curves
from archsearch.studies.history import History
from archsearch.studies.records import Pruned


class TestMedian(PrunerContract):
    make = staticmethod(lambda: Median())


class TestEagerMedian(PrunerContract):
    make = staticmethod(lambda: Median(startup_trials=1, warmup_steps=0))


def judged(pruner: Median, history: History) -> Verdict:
    """The verdict on the last trial."""
    return pruner.judge(history.trials[-1], history)


# Five finished trials; at step 2 their losses are 1, 2, 3, 4, 5.
OTHERS = [[9, 1], [9, 2], [9, 3], [9, 4], [9, 5]]


def test_the_best_value_so_far_is_held_against_the_median_at_the_step() -> None:
    pruner = Median(warmup_steps=0)
    assert judged(pruner, history_from_curves([*OTHERS, [9, 3.5]])) == Stop(
        "step 2: best loss 3.5 is worse than 3, the median of 5 finished trials"
    )
    assert judged(pruner, history_from_curves([*OTHERS, [9, 3]])) == Continue()  # equal goes on
    assert judged(pruner, history_from_curves([*OTHERS, [2.9, 7]])) == Continue()  # it was better before
    assert judged(pruner, history_from_curves([*OTHERS, [9]])) == Continue()  # the median at step 1 is 9


def test_maximising() -> None:
    verdict = judged(Median(warmup_steps=0), history_from_curves([*OTHERS, [0.5, 0.25]], maximize=True))
    assert verdict == Stop("step 2: best loss 0.5 is worse than 3, the median of 5 finished trials")


def test_nobody_is_judged_by_too_few_or_too_early() -> None:
    assert judged(Median(warmup_steps=0), history_from_curves([*OTHERS[:4], [9, 99]])) == Continue()
    assert judged(Median(warmup_steps=2), history_from_curves([*OTHERS, [9, 99]])) == Continue()
    assert isinstance(judged(Median(warmup_steps=1), history_from_curves([*OTHERS, [9, 99]])), Stop)


def test_only_finished_trials_set_the_median() -> None:
    history = history_from_curves([*OTHERS, [9, 0], [9, 0], [9, 3]])
    pruned = tuple(replace(t, state="pruned", outcome=Pruned("")) if t.number in (5, 6) else t for t in history.trials)
    assert isinstance(judged(Median(warmup_steps=0), history), Stop)  # the median of seven is 2
    assert judged(Median(warmup_steps=0), replace(history, trials=pruned)) == Continue()


@pytest.mark.parametrize("wrong", [{"startup_trials": 0}, {"warmup_steps": -1}, {"warmup_steps": 1.5}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"Median {min(wrong)} must be a whole number of at least"):
        Median(**wrong)
