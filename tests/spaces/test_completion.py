"""Configs as a strategy of one's own writes them, completed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import MLP, Choice, Float, Int, Space, When
from archsearch.search.testing.simulation import SPACES
from archsearch.spaces.completion import completed


@pytest.mark.parametrize("space", [*SPACES.values(), MLP(layers=Int(1, 3), units=Choice(8, 16), norm="batch").space])
@given(seed=st.integers(0, 99))
def test_the_free_parameters_are_enough(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    free = {parameter.name for parameter in space.free}
    assert repr(completed({name: config[name] for name in config if name in free}, space)) == repr(config)


@pytest.mark.parametrize("space", SPACES.values())
def test_a_complete_config_is_returned_as_it_is(space: Space) -> None:
    config = space.sample(np.random.default_rng(0))
    assert repr(completed(config, space)) == repr(config)


def test_equal_values_become_the_declared_ones() -> None:
    space = Space(units=Choice(32, 64), flag=Choice(True, 1), rate=Float(0.0, 3.0), sizes=Choice((1, 2), (3, 4)))
    given = {"units": 64.0, "flag": np.bool_(True), "rate": 2, "sizes": (np.int64(3), 4.0)}
    assert repr(completed(given, space)) == "{'units': 64, 'flag': True, 'rate': 2.0, 'sizes': (3, 4)}"


def test_what_is_wrong_stays_for_the_check() -> None:
    space = Space(kind=Choice("a", "b"), size=When("kind == 'b'", Int(3, 3)), rate=Float(0.0, 1.0), seed=0)
    given = {"kind": "a", "size": 3, "rate": np.float64(7.0), "other": None}
    assert completed(given, space) == {**given, "seed": 0}
    assert completed({"rate": "fast"}, space) == {"rate": "fast", "seed": 0}
    assert not space.legal(completed({"rate": 0.5}, space))
