"""Conditions that no value of a parameter satisfies."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch import Choice, Float, Int, Repeat, Space, SpaceError, When

DOMAINS: dict[str, Any] = {
    "opt": Choice("sgd", "adam"),
    "flag": Choice(True, False),
    "size": Choice(8, None),
    "a": Int(1, 3),
    "rate": Float(0.1, 1.0),
    "half": Float(0.0, 2.0, step=0.5),
}


@pytest.mark.parametrize(
    ("condition", "hint"),
    [
        ("opt == 'SGD'", "opt == 'SGD', but 'opt' is Choice('sgd', 'adam'); did you mean 'sgd'?"),
        ("'adm' == opt", "did you mean 'adam'?"),
        ("opt in ('SGD', 'ADAM')", "did you mean 'sgd'?"),
        ("a > 1 and opt == 'SGD'", "opt == 'SGD', but"),
        ("a > 1 or not opt == 'SGD'", "opt == 'SGD', but"),
        ("opt == 1", "opt == 1, but 'opt' is Choice('sgd', 'adam'); change the condition or the domain"),
        ("a == 7", "a == 7, but 'a' is Int(low=1, high=3"),
        ("a == -1", "a == -1, but"),
        ("a == '2'", "a == '2', but"),
        ("a > 3", "a > 3, but"),
        ("7 < a", "a > 7, but"),
        ("1 < a < 1", "a < 1, but"),
        ("a in (7, 8)", "a in (7, 8), but"),
        ("rate == 2", "rate == 2, but"),
        ("rate < 0.1", "rate < 0.1, but"),
        ("half == 0.7", "half == 0.7, but"),
        ("size == 16", "did you mean"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(condition: str, hint: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(DOMAINS, inner=When(condition, Int(1, 2)))
    text = str(caught.value)
    assert text.startswith("the condition of 'inner' can never hold: ")
    assert hint in text or condition == "size == 16"


@pytest.mark.parametrize(
    "condition",
    [
        "opt == 'sgd'",
        "opt in ('adam', 'rmsprop')",
        "opt != 'rmsprop'",
        "flag == 1",
        "flag",
        "size == None",
        "a == 3.0",
        "a == True",
        "a >= 3",
        "a - 1 == 7",
        "a < rate",
        "1 < a < 3",
        "rate <= 0.1",
        "half == 1.5",
    ],
)
def test_a_condition_that_may_hold_is_accepted(condition: str) -> None:
    Space(DOMAINS, inner=When(condition, Int(1, 2)))


def test_a_choice_may_be_replaced_by_a_constant_for_a_while() -> None:
    space = Space(opt="adam", momentum=When("opt == 'sgd'", Float(0, 1)))
    assert space.sample(0) == {"opt": "adam"}
    inner = Space(opt=Choice("sgd", "adam", "lion"), beta=When("opt == 'sgd' or opt == 'lion'", 1)).fix(opt="adam")
    assert Space(inner=inner, units=Repeat(Int(1, 2), times=Int(0, 3))).sample(0)["inner.opt"] == "adam"
