"""Importances on functions whose answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import archsearch.studies.importance as importance_module
from archsearch import Choice, Float, Int, Space, When
from archsearch.studies.goals import Goal
from archsearch.studies.history import History
from archsearch.studies.importance import INACTIVE, MIN_TRIALS, Importances, NotYet, encode, importances
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Outcome,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    Started,
    StudyRecord,
)

TEN = Space({f"x{i}": Float(0, 1) for i in range(10)})


def sampled(
    space: Space,
    function: Callable[[Mapping[str, Any]], float],
    n: int = 200,
    *,
    maximize: bool = False,
    outcome: Callable[[int], Outcome] = lambda number: Finished(),
) -> History:
    """n random trials of the function, with a little noise."""
    rng = np.random.default_rng(1)
    events: list[Event] = []
    for number in range(n):
        config = space.sample(rng)
        value = function(config) + 0.01 * rng.normal()
        events += [
            Proposed(number, number, Proposal(config, 1), 0),
            Started(number, number, 1, "w0"),
            Reported(number, number, Report(1, {"y": value}, 1.0)),
            Ended(number, number, outcome(number)),
        ]
    return History.from_events(StudyRecord("toy", space, (Goal("y", maximize),), 1, 0, "Random()", "none"), events)


def found(history: History) -> Importances:
    answer = importances(history)
    assert isinstance(answer, Importances)
    return answer


def shares(history: History) -> dict[str, float]:
    return {part.parameter: part.share for part in found(history).parameters}


def test_shares_follow_the_variance_that_each_parameter_makes() -> None:
    history = sampled(TEN, lambda c: 3 * c["x3"] + 2 * c["x7"], 500)
    got = shares(history)
    assert list(got)[:2] == ["x3", "x7"]
    assert got["x3"] == pytest.approx(9 / 13, abs=0.08)
    assert got["x7"] == pytest.approx(4 / 13, abs=0.08)
    assert max(got[f"x{i}"] for i in (0, 1, 2, 4, 5, 6, 8, 9)) < 0.02
    assert sum(got.values()) == pytest.approx(1)
    assert found(history).explained > 0.95


def test_an_interaction_is_seen_on_both_sides() -> None:
    got = shares(sampled(TEN, lambda c: (c["x0"] - 0.5) * (c["x1"] - 0.5), 400))
    assert got["x0"] + got["x1"] > 0.9
    assert min(got["x0"], got["x1"]) > 0.25


def test_unordered_categories_and_log_domains_count() -> None:
    space = Space(kind=Choice("a", "b", "c", None), rate=Float(1e-5, 1e-1, log=True), idle=Int(1, 9))
    bonus = {"a": 0.0, "b": 3.0, "c": 0.0, None: 1.0}
    got = shares(sampled(space, lambda c: bonus[c["kind"]] + 0.2 * np.log10(c["rate"]), 300))
    assert got["kind"] > 0.8
    assert 0.01 < got["rate"] < 0.2
    assert got["idle"] < 0.02


def test_a_conditional_parameter_stays_in() -> None:
    space = Space(optimizer=Choice("sgd", "adam"), momentum=When("optimizer == 'sgd'", Float(0, 1)), idle=Float(0, 1))
    got = shares(sampled(space, lambda c: abs(c.get("momentum", 0.5) - 0.5), 300))
    assert set(got) == {"optimizer", "momentum", "idle"}
    assert got["momentum"] > 0.25
    assert got["idle"] < 0.05


def test_being_active_is_the_merit_of_the_parameter_that_decides_it() -> None:
    # The forest may read either column. Dealing the optimizer anew must switch momentum on and off with it, or the
    # forest would still see the old optimizer there, and the drop would be about half of the 2 that it should be.
    space = Space(optimizer=Choice("sgd", "adam"), momentum=When("optimizer == 'sgd'", Float(0, 1)))
    first, second = found(sampled(space, lambda c: c["optimizer"] == "sgd", 300)).parameters
    assert first.parameter == "optimizer"
    assert first.drop > 1.6
    assert second.drop < 0.05


def test_inactive_is_a_value_of_its_own() -> None:
    space = Space(a=Choice(1, 2), b=When("a == 1", Float(0, 1)), fixed="x")
    points = encode(space, [{"a": 1, "b": 0.25, "fixed": "x"}, {"a": 2, "fixed": "x"}])
    assert points.tolist() == [[0.25, 0.25], [0.75, INACTIVE]]


def test_noise_is_not_explained() -> None:
    assert found(sampled(TEN, lambda c: float(np.random.default_rng(hash(str(c)) % 2**32).normal()))).explained < 0.3


def test_the_direction_of_the_goal_does_not_matter() -> None:
    low, high = sampled(TEN, lambda c: c["x2"]), sampled(TEN, lambda c: c["x2"], maximize=True)
    assert shares(low)["x2"] == pytest.approx(shares(high)["x2"], abs=0.02)


def test_one_diverged_run_does_not_decide() -> None:
    history = sampled(TEN, lambda c: 1e9 if c["x9"] > 0.99 else c["x2"])
    assert max(history.value(t) or 0 for t in history.trials) > 1e8
    assert shares(history)["x2"] > 0.9


def test_pruned_trials_count_and_failed_ones_do_not() -> None:
    outcomes: list[Outcome] = [Finished(), Pruned("late"), Failed("nan")]
    answer = found(sampled(TEN, lambda c: c["x0"], 90, outcome=lambda number: outcomes[number % 3]))
    assert (answer.trials, answer.of) == (60, 60)


def test_a_long_study_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance_module, "MAX_TRIALS", 50)
    answer = found(sampled(TEN, lambda c: c["x0"], 80))
    assert (answer.trials, answer.of) == (50, 80)


def test_the_same_history_gives_the_same_answer() -> None:
    history = sampled(TEN, lambda c: c["x0"], 60)
    assert importances(history) == importances(history)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (sampled(TEN, lambda c: c["x0"], MIN_TRIALS - 1), "needs 20 trials with a value; there are 19 so far"),
        (sampled(Space(a=1), lambda c: 1.0, 30), "no free parameter"),
        (sampled(TEN, lambda c: 1e20, 30), "same value"),
    ],
)
def test_why_there_is_no_answer(history: History, reason: str) -> None:
    answer = importances(history)
    assert isinstance(answer, NotYet)
    assert reason in answer.reason
