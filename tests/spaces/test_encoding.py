"""Configs as points of the unit cube, and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archsearch import Choice, Encoding, Float, Int, Space, SpaceError, When, constraint

SPACE = Space(
    kind=Choice("a", "b"),
    rate=Float(1e-4, 1.0, log=True),
    depth=When("kind == 'a'", Int(1, 4)),
    fixed="x",
    share=Float(0, 1),
)


def read_by_conditions(space: Space) -> set[str]:
    return {name for p in space.parameters if p.condition for name in p.condition.names}


@given(data=st.data())
def test_what_is_encoded_comes_back(data: Any, any_space: Any) -> None:
    space = data.draw(any_space)
    config = space.sample(np.random.default_rng(data.draw(st.integers(0, 2**32))))
    encoding = Encoding(space, fill=data.draw(st.sampled_from((0.5, -0.5))))
    (point,) = encoding.encode([config])
    active = np.array([name in config for name in encoding.columns], dtype=bool)
    assert ((point >= 0) & (point <= 1))[active].all()
    assert (point == encoding.fill)[~active].all()
    back = encoding.decode(point)
    moved = {name for name, value in config.items() if repr(back.get(name)) != repr(value)}
    assume(not moved & read_by_conditions(space))  # a condition that changes at the last ulp may decide otherwise
    assert list(back) == list(config)
    for name in moved:
        domain = space[name].domain
        assert isinstance(domain, Float)
        assert domain.step is None
        if domain.log:
            reach = math.log(domain.high) - math.log(domain.low) + 1
            assert abs(math.log(back[name]) - math.log(config[name])) < 1e-15 * max(reach, 750)
        else:
            assert abs(back[name] - config[name]) <= 4 * math.ulp(max(abs(domain.low), abs(domain.high)))


@given(data=st.data())
def test_every_point_decodes_to_domains_and_conditions_that_hold(data: Any, any_space: Any) -> None:
    space = data.draw(any_space)
    encoding = Encoding(space)
    size = len(encoding.columns)
    point = data.draw(st.lists(st.floats(allow_nan=False), min_size=size, max_size=size))
    config = encoding.decode(point)
    Space.from_json({**space.to_json(), "constraints": []}).check(config)
    assert repr(config) == repr(encoding.decode(np.clip(point, 0, 1)))


def test_columns_by_hand() -> None:
    encoding = Encoding(SPACE)
    assert encoding.columns == ("kind", "rate", "depth", "share")
    configs: list[Any] = [
        {"kind": "a", "rate": 1e-2, "depth": 2, "fixed": "x", "share": 0.3},
        {"kind": "b", "rate": 1.0, "fixed": "x", "share": 0.0},
    ]
    points = encoding.encode(configs)
    assert points.dtype == np.float64
    assert points.tolist() == [[0.25, pytest.approx(0.5), 0.375, 0.3], [0.75, 1.0, 0.5, 0.0]]
    assert Encoding(SPACE, fill=-0.5).encode(configs)[1, 2] == -0.5
    assert encoding.decode([0.1, 0.5, 0.9, 2.0]) == {
        "kind": "a",
        "rate": pytest.approx(1e-2),
        "depth": 4,
        "fixed": "x",
        "share": 1.0,
    }
    assert encoding.decode((0.5, 0.0, 0.9, -np.inf)) == {
        "kind": "b",
        "rate": pytest.approx(1e-4),
        "fixed": "x",
        "share": 0.0,
    }


def test_no_configs_and_no_columns() -> None:
    assert Encoding(SPACE).encode([]).shape == (0, 4)
    assert Encoding(Space(a=1)).encode([{"a": 1}, {"a": 1}]).shape == (2, 0)
    assert Encoding(Space(a=1)).decode([]) == {"a": 1}
    assert Encoding(Space()).decode(np.empty(0)) == {}


def test_a_point_may_break_a_constraint() -> None:
    space = Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))
    assert not space.legal(Encoding(space).decode([1.0, 0.0]))


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ([0.5, 0.5, 0.5], "a point in this space must have 4 columns, got 3"),
        ([0.5, 0.5, 0.5, math.nan], "the point's column 'share' is NaN"),
    ],
)
def test_an_invalid_point_is_refused(point: list[float], says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        Encoding(SPACE).decode(point)


def test_a_value_outside_its_choice_is_refused() -> None:
    with pytest.raises(SpaceError, match="'c' is not one of"):
        Encoding(SPACE).encode([{"kind": "c"}])
