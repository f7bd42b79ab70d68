"""Configs of one space carried into another: always legal, unchanged where they fit, and always the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Prior, Repeat, Space, SpaceError, When, constraint
from archsearch.spaces.transfer import translate_config


@given(data=st.data())
def test_every_translated_config_is_legal_and_follows_from_its_arguments(data: Any, any_space: Any) -> None:
    """The spaces take their names from one list, so they share some, under other domains and conditions."""
    earlier, space = data.draw(any_space), data.draw(any_space)
    config = earlier.sample(np.random.default_rng(data.draw(st.integers(0, 2**32))))
    made = translate_config(config, space)
    space.check(made)
    assert list(made) == [name for name in space if name in made]
    assert repr(translate_config(dict(reversed(config.items())), space)) == repr(made)
    if not space.constraints:
        kept = {name for name in made if name in config and config[name] in space[name].domain}
        assert {name: repr(made[name]) for name in kept} == {name: repr(config[name]) for name in kept}


@given(data=st.data())
def test_a_config_of_the_same_space_is_unchanged(data: Any, any_space: Any) -> None:
    space = data.draw(any_space)
    config = space.sample(np.random.default_rng(data.draw(st.integers(0, 2**32))))
    assert repr(translate_config(config, space)) == repr(config)
    assert translate_config(config, space) is not config


@pytest.mark.parametrize(
    ("domain", "value", "expected"),
    [
        (Int(1, 9), 12, 9),
        (Int(1, 9), 2.6, 3),
        (Int(1, 64, log=True), 1000, 64),
        (Int(0, 100, step=25), 60, 50),
        (Float(0, 1), -3, 0.0),
        (Float(0, 1), math.inf, 1.0),
        (Float(1e-4, 1e-1, log=True), 0.5, 0.1),
        (Float(0, 1, step=0.25), 0.6, 0.5),
        (Choice(32, 64, 128, ordered=True), 90, 64),
        (Choice(32, 64), 1000, 64),
    ],
    ids=str,
)
def test_a_number_outside_moves_to_the_nearest_value(domain: Any, value: Any, expected: Any) -> None:
    assert repr(translate_config({"x": value}, Space(x=domain))) == repr({"x": expected})


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (Int(1, 9), 5),
        (Int(1, 9, prior=Prior(2)), 2),
        (Float(1e-4, 1e-2, log=True), pytest.approx(1e-3)),
        (Float(0, 1, prior=Prior(0.9)), 0.9),
        (Choice("a", "b", "c"), "a"),
        (Choice("a", "b", "c", ordered=True), "b"),
        (Choice("a", "b", "c", prior=(1, 2, 2)), "b"),
        (Choice("a", 1, ordered=True), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("config", [{}, {"x": "of no meaning"}, {"x": True}, {"x": math.nan}], ids=str)
def test_new_and_meaningless_values_are_the_expected_ones(domain: Any, expected: Any, config: Any) -> None:
    assert translate_config(config, Space(x=domain)) == {"x": expected}


def test_the_conditions_of_the_new_space_decide_what_is_active() -> None:
    space = Space(
        optimizer=Choice("sgd", "adam"),
        momentum=When("optimizer == 'sgd'", Float(0, 1, prior=Prior(0.9))),
        units=Repeat(Choice(32, 64), times=Int(1, 3)),
    )
    config = {"optimizer": "lion", "beta": 0.9, "units.times": 7, "units_1": 64, "units_2": 16}
    made = {"optimizer": "sgd", "momentum": 0.9, "units.times": 3, "units_1": 64, "units_2": 32, "units_3": 32}
    assert translate_config(config, space) == made
    assert translate_config({**config, "optimizer": "adam", "units.times": 1}, space) == {
        "optimizer": "adam",
        "units.times": 1,
        "units_1": 64,
    }


def test_a_broken_constraint_is_mended_nearby() -> None:
    space = Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9), other=Float(0, 1))
    made: Any = translate_config({"low": 5, "high": 5, "other": 0.25}, space)
    assert (made["low"], made["high"]) in ((4, 5), (5, 6))
    assert made["other"] == 0.25
    with pytest.raises(SpaceError, match="no legal config, or hardly any"):
        translate_config({}, Space(constraint("x > 1"), x=Float(0, 1)))
