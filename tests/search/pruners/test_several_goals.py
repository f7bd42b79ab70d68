"""Pruners with several goals and constraints on metrics: by ranks, as worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Median, Patience, Percentile, SuccessiveHalving
from archsearch.search.protocols import Continue, Pruner, Stop, Verdict
from archsearch.search.testing.pruners import history_from_curves
from archsearch.studies.history import History


def of_two(*curves: list[tuple[float, float]], constraints: tuple[str, ...] = ()) -> History:
    """A trial for each curve of (loss, size)."""
    reports = [[{"loss": loss, "size": size} for loss, size in curve] for curve in curves]
    return history_from_curves(reports, goals=["loss", "size"], outcome_constraints=constraints)


def judged(pruner: Pruner, history: History) -> Verdict:
    return pruner.judge(history.trials[-1], history)


# Three fronts of two trials each.
OTHERS = [[point] for point in [(1.0, 4.0), (4.0, 1.0), (2.0, 5.0), (5.0, 2.0), (3.0, 6.0), (6.0, 3.0)]]


@pytest.mark.parametrize(
    ("point", "rank"), [((0.0, 9.0), 0), ((2.0, 2.0), 0), ((1.5, 4.5), 1), ((5.5, 5.5), 2), ((9.0, 9.0), 3)]
)
def test_ranks_decide_where_losses_did(point: tuple[float, float], rank: int) -> None:
    history = of_two(*OTHERS, [point])
    told = f"loss {point[0]:g}, size {point[1]:g}"
    halving = judged(SuccessiveHalving(min_steps=1, eta=3), history)  # two of seven go on, and with them their front
    assert halving == (Continue() if rank == 0 else Stop(f"rung 1: {told} is not in the best 1/3 of 7 by rank"))
    median = judged(Median(startup_trials=5, warmup_steps=0), history)
    worse = Stop(f"step 1: best {told} is worse than the median of 6 finished trials by rank")
    assert median == (Continue() if rank <= 1 else worse)
    percentile = judged(Percentile(25, startup_trials=5, warmup_steps=0), history)
    behind = Stop(f"step 1: best {told} is not in the best 25% of 6 finished trials by rank")
    # The trial pushes back those that it beats, but never one before it.
    assert percentile == (Continue() if rank == 0 else behind)


def test_the_best_ranked_report_so_far_counts() -> None:
    others = [[(9.0, 9.0), point] for (point,) in OTHERS]
    now_worst = of_two(*others, [(2.0, 2.0), (9.0, 9.0)])
    assert judged(Median(startup_trials=5, warmup_steps=0), now_worst) == Continue()
    never_better = of_two(*others, [(8.0, 8.0), (9.0, 9.0)])
    assert judged(Median(startup_trials=5, warmup_steps=0), never_better) == Stop(
        "step 2: best loss 8, size 8 is worse than the median of 6 finished trials by rank"
    )


@pytest.mark.parametrize(
    "pruner", [SuccessiveHalving(1, 3), Median(5, 0), Percentile(50, 5, 0)], ids=lambda pruner: type(pruner).__name__
)
def test_what_breaks_a_constraint_stops_however_good(pruner: Pruner) -> None:
    kept = [[{"loss": loss, "cost": 1.0}] for loss in (5.0, 4.0, 3.0, 2.0, 6.0)]
    history = history_from_curves([*kept, [{"loss": 0.0, "cost": 3.0}]], outcome_constraints=["cost <= 2"])
    verdict = judged(pruner, history)
    assert isinstance(verdict, Stop)
    assert "loss 0, cost 3 is " in verdict.reason
    assert (
        judged(pruner, history_from_curves([*kept, [{"loss": 0.0, "cost": 2.0}]], outcome_constraints=["cost <= 2"]))
        == Continue()
    )


few = st.sampled_from([0.0, 1.0, 2.0, 3.0])
curves = st.lists(st.lists(few, min_size=4, max_size=4), min_size=2, max_size=9)


@given(curves=curves)
def test_a_constraint_that_all_keep_changes_no_verdict_of_patience_and_halving(curves: list[list[float]]) -> None:
    plain = history_from_curves(curves)
    bound = history_from_curves(
        [[{"loss": loss, "cost": 0.0} for loss in curve] for curve in curves], outcome_constraints=["cost<1"]
    )
    for pruner in (SuccessiveHalving(1, 2), Patience(2), Patience(2, 0.5)):
        for one, other in zip(plain.trials, bound.trials, strict=True):
            assert type(pruner.judge(one, plain)) is type(pruner.judge(other, bound))


@given(curves=curves)
def test_a_second_goal_that_is_the_first_changes_no_verdict(curves: list[list[float]]) -> None:
    """Ranks are dense, and so a median between two of them may not lie where it lay between two losses: odd counts."""
    curves = curves if len(curves) % 2 == 0 else curves[:-1]
    plain = history_from_curves(curves)
    twice = history_from_curves(
        [[{"loss": loss, "size": loss} for loss in curve] for curve in curves], goals=["loss", "size"]
    )
    for pruner in (SuccessiveHalving(1, 2), Patience(2), Median(1, 0)):
        for one, other in zip(plain.trials, twice.trials, strict=True):
            assert type(pruner.judge(one, plain)) is type(pruner.judge(other, twice))


@pytest.mark.parametrize(
    ("last", "goes_on"),
    [
        ([(2.0, 2.0), (2.0, 2.0)], False),
        ([(3.0, 2.0), (2.0, 3.0)], False),
        ([(3.0, 1.9), (2.0, 3.0)], True),  # less of one for more of the other, as no report before
        ([(2.0, 3.0), (1.9, 3.0)], True),
        ([(1.5, 4.0), (2.0, 2.0)], False),  # the report before the last better one covers it
    ],
)
def test_patience_waits_for_what_no_earlier_report_covers(last: list[tuple[float, float]], goes_on: bool) -> None:
    history = of_two([(1.5, 4.0), (2.0, 2.0), *last])
    verdict = Patience(steps=2).judge(history.trials[0], history)
    assert verdict == (
        Continue() if goes_on else Stop("step 4: no improvement on an earlier report in the last 2 values")
    )


def test_patience_counts_a_gain_in_one_goal_above_min_delta() -> None:
    history = of_two([(2.0, 2.0), (2.0, 1.8), (2.0, 1.7)])
    assert isinstance(Patience(2, 0.3).judge(history.trials[0], history), Stop)
    assert Patience(2, 0.2).judge(history.trials[0], history) == Continue()


def test_a_report_without_one_of_the_goals_is_not_judged() -> None:
    history = of_two(*OTHERS, [(9.0, 9.0)])
    bare = replace(history.trials[-1], reports=(replace(history.trials[-1].reports[0], metrics={"loss": 9.0}),))
    for pruner in (SuccessiveHalving(1, 3), Median(5, 0), Percentile(25, 5, 0)):
        assert pruner.judge(bare, history) == Continue()
