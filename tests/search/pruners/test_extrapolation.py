"""Extrapolation: the contract, curves that it must and must not stop, and verdicts worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Extrapolation, Median, SpecError
from archsearch.search.protocols import Continue, Stop, Verdict
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import VALLEY, valley
from archsearch.search.testing.pruners import PrunerContract, history_from_curves
from archsearch.search.testing.simulation import simulate, study_of

END = 16
EARLY = [[1.0, 0.8, 0.7, 0.65, 0.62, 0.6, 0.59, *[0.58 - 0.01 * k] * 9] for k in range(8)]  # they soon have learnt
FLAT = [1.0] * 10
LATE = [*FLAT, 0.8, 0.6, 0.5, 0.45, 0.4, 0.4]


class TestExtrapolation(PrunerContract):
    make = staticmethod(lambda: Extrapolation())


class TestEagerExtrapolation(PrunerContract):
    make = staticmethod(lambda: Extrapolation(chance=0.5))


def judged(curves: Sequence[Any], pruner: Any = None, *, budget: int | None = END, maximize: bool = False) -> Verdict:
    """The verdict on the last trial."""
    history = history_from_curves(curves, budget=budget, maximize=maximize)
    return (pruner or Extrapolation()).judge(history.trials[-1], history)


def test_a_curve_that_has_learnt_nothing_where_all_learn_early_stops() -> None:
    assert judged([*EARLY, FLAT[:8]]) == Stop(
        "step 8: loss 1; predicted 1.074 at step 16 (1.054 to 1.094, estimated from 8 finished trials); "
        "the probability of reaching 0.51 is 0.056"
    )


def test_the_same_curve_goes_on_where_some_have_learnt_late() -> None:
    # One of the nine was as flat, and became the best: a chance of 1.5 in 10.
    curves = [*EARLY, LATE, FLAT[:8]]
    assert judged(curves) == Continue()
    assert isinstance(judged(curves, Median()), Stop)


def test_a_curve_that_lies_behind_and_still_falls_goes_on() -> None:
    falling = [[*EARLY, [1.6 / math.sqrt(step) for step in range(1, steps + 1)]] for steps in (4, 8)]
    assert [judged(curves) for curves in falling] == [Continue()] * 2  # on its way to 0.4
    assert all(isinstance(judged(curves, Median()), Stop) for curves in falling)
    levelled = [*EARLY, [1.6 / math.sqrt(min(step, 4)) for step in range(1, 9)]]
    assert isinstance(judged(levelled), Stop)


def test_nobody_stops_before_as_many_have_finished_as_can_tell_the_chance() -> None:
    assert judged([*EARLY[:4], [9.0, 9.0, 9.0]]) == Continue()
    assert isinstance(judged([*EARLY[:5], [9.0, 9.0, 9.0]]), Stop)
    assert judged([*EARLY, [9.0, 9.0, 9.0]], Extrapolation(0.05)) == Continue()
    assert isinstance(judged([*EARLY[:1], [9.0, 9.0, 9.0]], Extrapolation(0.3)), Stop)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=9), st.integers(2, END - 1))
def test_power_laws_are_told_exactly(ends: list[float], steps: int) -> None:
    # All start at 2, and come down with one over the root of the step to an asymptote of their own.
    curves = [[end + (2 - end) / math.sqrt(step) for step in range(1, END + 1)] for end in ends]
    behind = ends[-1] - min(ends[:-1])
    if behind > 1e-6:
        assert isinstance(judged([*curves[:-1], curves[-1][:steps]]), Stop)
    elif behind < -1e-6:
        assert judged([*curves[:-1], curves[-1][:steps]]) == Continue()


def test_worked_out_by_hand_with_steps_that_say_nothing_of_the_metric() -> None:
    # Between steps 1 and 4, 1 / sqrt falls by 0.5, from there to step 16 by half as much: half the gain is to come.
    none: dict[str, float] = {"other": 0.0}
    others = [[2.0, none, none, 1.0, *[none] * 11, 0.5 + miss] for miss in (0.0, 0.1, 0.2, 0.3, 0.4)]
    # At step 4, the first one's latest value is 0.9: it would end at 0.35, and ends at 0. The other one ended before.
    silent = [[2.0, none, 0.9, none, *[none] * 11, 0.0], [1.0, 0.1]]
    others_too = [*others, *silent]
    assert judged([*others_too, [2.0, none, none, 1.2]]) == Stop(
        "step 4: loss 1.2; predicted 0.95 at step 16 (0.625 to 1.15, estimated from 6 finished trials); "
        "the probability of reaching 0 is 0.071"
    )
    assert judged([*others_too, [2.0, none, none, 1.2, none]]) == Continue()  # no value to judge by
    assert judged([*others, [2.0, none, none, 1.0]]) == Continue()  # as good as the best was at that step
    assert isinstance(judged([*others, [2.0, none, none, 1.001]]), Stop)


def test_diverged_trials_are_no_evidence_of_what_others_may_gain() -> None:
    recovered = [1e16] * 9 + [0.9] * 7
    for candidate in (FLAT[:8], [1e16] * 8, [1.0, 1e3, 1e6, 1e16]):
        assert isinstance(judged([*EARLY, recovered, candidate]), Stop)


@pytest.mark.parametrize("maximize", [False, True])
def test_curves_that_become_worse(maximize: bool) -> None:
    sign = -1 if maximize else 1
    curves = [[sign * rate * step for step in range(1, END + 1)] for rate in (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)]
    assert judged([*curves, [sign * 0.9 * step for step in range(1, 9)]], maximize=maximize) == Continue()
    assert judged([*curves, [sign * 1.0 * step for step in range(1, 9)]], maximize=maximize) == Continue()
    assert isinstance(judged([*curves, [sign * 1.3 * step for step in range(1, 9)]], maximize=maximize), Stop)


_WILD = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=6)


@given(st.lists(_WILD, min_size=1, max_size=9), st.booleans())
def test_any_finite_values_are_judged_and_their_unit_does_not_matter(curves: list[list[float]], maximize: bool) -> None:
    verdict = judged(curves, Extrapolation(0.4), maximize=maximize)
    halves = [[value / 2 for value in curve] for curve in curves]  # exact, unless it is next to nothing
    assert "nan" not in getattr(verdict, "reason", "")
    if all(abs(value) > 1e-250 or value == 0 for curve in curves for value in curve):
        assert type(judged(halves, Extrapolation(0.4), maximize=maximize)) is type(verdict)


def test_without_a_budget_the_end_is_where_the_best_ended() -> None:
    curves = [*EARLY, FLAT[:8]]
    assert judged(curves, budget=None) == judged(curves)
    best_ends_early = [*EARLY, [1.0, 0.5, 0.4, 0.3]]
    assert isinstance(judged([*best_ends_early, [1.0, 1.0, 1.0]], budget=None), Stop)
    assert judged([*best_ends_early, [1.0, 1.0, 1.0, 1.0]], budget=None) == Continue()


def test_it_saves_most_of_the_work_and_keeps_the_best() -> None:
    study = study_of(VALLEY, budget=30)

    def curve(config: Any, step: int) -> float:
        return valley(config) + 1 / step

    *_, last = simulate(Random(), study, curve, trials=100, workers=4, pruner=Extrapolation())
    history = last.history
    assert sum(t.step for t in history.trials) < 0.4 * 100 * 30
    assert history.best == min(history.trials, key=lambda t: valley(t.config))


def test_pruned_and_running_trials_are_not_asked() -> None:
    history = history_from_curves([*EARLY, *EARLY, FLAT[:8]], budget=END)
    judge = Extrapolation().judge
    assert isinstance(judge(history.trials[-1], history), Stop)
    running = tuple(replace(t, state="running", outcome=None) if t.number >= 4 else t for t in history.trials)
    assert judge(running[-1], replace(history, trials=running)) == Continue()


@pytest.mark.parametrize("wrong", [0, 0.51, -0.1, True, "0.1", float("nan")])
def test_settings_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(SpecError, match=r"Extrapolation chance must be a number above 0, at most 0.5, got"):
        Extrapolation(wrong)


def of_two(*curves: Sequence[tuple[float, float]], constraints: Sequence[str] = ()) -> Verdict:
    """The verdict on the last trial, of (loss, size)."""
    reports = [[{"loss": loss, "size": size} for loss, size in curve] for curve in curves]
    history = history_from_curves(reports, budget=END, goals=["loss", "size"], outcome_constraints=constraints)
    return Extrapolation().judge(history.trials[-1], history)


def test_with_several_goals_who_will_be_beaten_in_all_of_them_stops() -> None:
    # The finished trials lie on a front: what each has of the one, it has not of the other.
    finished = [[(loss, 2.0 - k / 4) for loss in curve] for k, curve in enumerate(EARLY)]
    assert of_two(*finished, [(1.0, 3.0)] * 8) == Stop(
        "step 8: loss 1, size 3; the probability of ending on the Pareto front at step 16 is 0.056, "
        "estimated from 8 finished trials"
    )
    assert of_two(*finished, [(1.0, 0.2)] * 8) == Continue()  # nobody is as small
    assert of_two(*finished, [(1.0, 0.2)] * 8, constraints=["size > 0.1"]) == Continue()


def test_what_breaks_a_constraint_is_nobody_s_measure() -> None:
    finished = [[(loss, 0.0) for loss in curve] for curve in EARLY]
    assert isinstance(of_two(*finished, [(1.0, 3.0)] * 8), Stop)
    assert of_two(*finished, [(1.0, 3.0)] * 8, constraints=["size > 1"]) == Continue()
