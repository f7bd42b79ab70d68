"""Metrics that do not come with every report: pruners wait for the next value, and compare the latest ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from archsearch import Extrapolation, Median, Patience, Percentile, SuccessiveHalving
from archsearch.search.protocols import Continue, Pruner, Stop
from archsearch.search.testing.pruners import history_from_curves
from archsearch.studies.history import History

NONE: dict[str, float] = {"train_loss": 0.0}


def every(k: int, curve: Sequence[float]) -> list[Any]:
    """Reports of which every k-th has the loss."""
    return [report for loss in curve for report in (*[NONE] * (k - 1), loss)]


def stops_at(pruner: Pruner, *curves: Sequence[Any], **study: Any) -> dict[int, str]:
    """The steps of the last trial at which it would be stopped, with the reasons."""
    found = {}
    for step in range(1, len(curves[-1]) + 1):
        history = history_from_curves([*curves[:-1], curves[-1][:step]], **study)
        if isinstance(verdict := pruner.judge(history.trials[-1], history), Stop):
            found[step] = verdict.reason
    return found


FAST = [every(5, [4.0, 3.0, 2.0, 1.0])] * 5
SLOW = every(5, [9.0, 9.0, 9.0, 9.0])


def test_the_median_waits_for_each_new_value() -> None:
    found = stops_at(Median(), *FAST, SLOW)
    assert found[5] == "step 5: best loss 9 is worse than 4, the median of 5 finished trials"
    assert list(found) == [5, 10, 15, 20]
    assert list(stops_at(Median(warmup_steps=6), *FAST, SLOW)) == [10, 15, 20]
    # Others that report at other steps count with their latest values.
    assert stops_at(Median(), *[every(4, [4.0, 3.0, 2.0, 1.0, 0.5])] * 5, SLOW)[10] == (
        "step 10: best loss 9 is worse than 3, the median of 5 finished trials"
    )


def test_the_percentile_waits_for_each_new_value() -> None:
    found = stops_at(Percentile(), *FAST, SLOW)
    assert found[10] == "step 10: best loss 9 is not in the best 25% of 5 finished trials (3 needed)"
    assert list(found) == [5, 10, 15, 20]


@pytest.mark.parametrize(
    ("k", "rungs"),
    [
        (1, {4: 4, 12: 12}),
        (2, {4: 4, 12: 12}),
        (3, {6: 4, 12: 12}),
        (5, {5: 4, 15: 12}),  # each value counts for one rung only: the one of step 10 is not judged again at 12
        (10, {10: 4, 20: 12}),
        (15, {15: 12}),  # the first value is behind two rungs
    ],
)
def test_halving_judges_the_first_value_at_or_after_a_rung(k: int, rungs: dict[int, int]) -> None:
    steps = 30 // k
    good, bad = every(k, [1.0] * steps), every(k, [2.0] * steps)
    expected = {step: f"rung {rung}: loss 2 is not the best of 2 (1 needed)" for step, rung in rungs.items()}
    assert stops_at(SuccessiveHalving(min_steps=4, eta=3), good, bad) == expected


def test_patience_counts_values_and_not_reports() -> None:
    pruner = Patience(steps=2)
    assert stops_at(pruner, every(5, [3.0, 2.0, 1.0])) == {}
    assert stops_at(pruner, every(5, [3.0, 3.0])) == {}
    found = stops_at(pruner, every(5, [3.0, 2.0, 2.5, 2.0]))
    assert found == {20: "step 20: no improvement on loss 2 in the last 2 values"}
    assert stops_at(Patience(steps=5), every(10, [1.0, 0.5])) == {}  # ten reports, of which none could improve


def test_extrapolation_waits_for_each_new_value() -> None:
    early = [every(2, [1.0, 0.7, 0.62, 0.59, *[0.58 - 0.01 * k] * 4]) for k in range(8)]
    found = stops_at(Extrapolation(), *early, every(2, [1.0] * 7), budget=16)
    assert found
    assert all(step % 2 == 0 for step in found)
    assert found[8] == (
        "step 8: loss 1; predicted 1.033 at step 16 (1.005 to 1.061, estimated from 8 finished trials); "
        "the probability of reaching 0.51 is 0.056"
    )
    # Finished trials that report at odd steps are known at even ones too.
    odd = [[1.0, *every(2, [0.7, 0.62, 0.59, *[0.58 - 0.01 * k] * 5]), 0.58 - 0.01 * k][:16] for k in range(8)]
    assert stops_at(Extrapolation(), *odd, every(2, [1.0] * 7), budget=16)


@pytest.mark.parametrize(
    "pruner",
    [Median(1, 0), Percentile(25, 1, 0), SuccessiveHalving(1, 2), Patience(2), Extrapolation(0.5)],
    ids=lambda pruner: type(pruner).__name__,
)
def test_goals_may_come_in_turn(pruner: Pruner) -> None:
    """The size is told once, or each goal with every second report."""

    def once(loss: float, size: float) -> list[dict[str, float]]:
        return [{"loss": loss, "size": size}, *[{"loss": loss}] * 11]

    def in_turn(loss: float, size: float) -> list[dict[str, float]]:
        return [{"size": size}, {"loss": loss}] * 6

    for told in (once, in_turn):
        found = stops_at(pruner, *[told(1.0, 1.0)] * 5, told(2.0, 2.0), goals=["loss", "size"])
        assert found, told
        if not isinstance(pruner, Patience):
            assert "loss 2, size 2" in found[min(found)]


PRUNERS = [Median(2, 2), Percentile(50, 2, 2), SuccessiveHalving(2, 2), Patience(2), Extrapolation(0.3)]


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: type(pruner).__name__)
def test_a_study_that_validates_at_every_third_epoch(session: Any, pruner: Pruner) -> None:
    session.record = replace(session.record, budget=18)

    def train(trial: Any) -> Iterator[dict[str, float]]:
        for step in range(1, 19):
            loss = trial.config["layers"] + trial.config["lr"] - (1 / step if trial.number == 0 else 0)
            yield {"train_loss": loss} if step % 3 else {"train_loss": loss, "loss": loss}

    history: History = session.run(train, trials=20, pruner=pruner, capacity=2)
    counts = history.counts()
    assert counts["pruned"] >= 3
    assert counts["pruned"] + counts.get("finished", 0) == 20
    assert all(trial.step % 3 == 0 for trial in history.in_state("pruned"))


def test_a_trial_without_any_value_continues() -> None:
    history = history_from_curves([*FAST, [NONE] * 3])
    for pruner in PRUNERS:
        assert pruner.judge(history.trials[-1], history) == Continue()
