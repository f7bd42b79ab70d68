"""A space with parameters made constant: what is left is what the whole space allows with these values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, ConfigError, Float, Int, Repeat, Space, When, constraint

NET = Space(
    constraint("momentum + rate < 1"),
    constraint("optimizer == 'sgd' or rate < 0.5"),
    optimizer=Choice("sgd", "adam"),
    rate=Float(0, 1),
    momentum=When("optimizer == 'sgd'", Float(0, 1)),
    nesterov=When("momentum > 0.5", Choice(True, False)),
    units=Repeat(Space(width=Choice(32, 64), norm=Choice("batch", None)), times=Int(1, 3)),
)


def shown(space: Space) -> dict[str, str | None]:
    return {p.name: p.condition.text if p.condition else None for p in space.parameters}


@given(data=st.data())
def test_the_grid_of_a_fixed_space_is_the_part_of_the_grid_with_these_values(data: Any, small_space: Any) -> None:
    space = data.draw(small_space.filter(lambda s: len(s) > 0))
    every = list(space.grid())
    if not every:
        return
    config = data.draw(st.sampled_from(every))
    values = {name: config[name] for name in data.draw(st.sets(st.sampled_from(tuple(config))))}
    fixed = space.fix(values)
    expected = [c for c in every if all(repr(c.get(name, value)) == repr(value) for name, value in values.items())]
    assert sorted(map(repr, fixed.grid())) == sorted(map(repr, expected))
    assert all(fixed[name].fixed for name in values)
    assert fixed.fix(values) == fixed
    assert Space.from_json(fixed.to_json()) == fixed


def test_what_cannot_be_active_goes_and_so_do_conditions_that_always_hold() -> None:
    adam = NET.fix(optimizer="adam")
    assert "momentum" not in adam
    assert "nesterov" not in adam
    assert [c.name for c in adam.constraints] == ["optimizer == 'sgd' or rate < 0.5"]
    sgd = NET.fix({"optimizer": "sgd", "units.times": 2})
    assert shown(sgd) == {
        "optimizer": None,
        "rate": None,
        "momentum": None,
        "nesterov": "momentum > 0.5",
        "units.times": None,
        "units_1.width": None,
        "units_1.norm": None,
        "units_2.width": None,
        "units_2.norm": None,
    }
    assert [c.name for c in sgd.constraints] == ["momentum + rate < 1"]
    assert sgd.nested(sgd.sample(np.random.default_rng(0)))["units"][1].keys() == {"width", "norm"}


def test_a_fixed_parameter_under_a_condition_stays_under_it() -> None:
    fixed = NET.fix(momentum=0.7)
    assert shown(fixed)["momentum"] == "optimizer == 'sgd'"
    assert shown(fixed)["nesterov"] == "momentum > 0.5"  # always true of the value, but it may not be active
    assert "nesterov" not in NET.fix(momentum=0.2)


def test_values_become_the_domains_own() -> None:
    space = Space(x=Float(0, 2), n=Int(1, 4), c=Choice(1, "a"), s=Float(0, 1, step=0.1))
    fixed = space.fix(x=1, n=np.int64(2), c=1.0, s=0.1 + 0.2)
    assert repr(fixed.sample(np.random.default_rng(0))) == repr({"x": 1.0, "n": 2, "c": 1, "s": 0.3})


def test_nothing_fixed_is_nothing_changed() -> None:
    space = Space(constraint("a < 2"), a=1, b=When("a == 1", Int(0, 1)), c=Int(0, 1))
    assert space.fix() == space.fix({}) == space
    assert shown(space.fix(c=0))["b"] == "a == 1"
    assert space.fix(c=0).constraints == space.constraints


def test_a_constraint_that_cannot_hold_may_yet_not_apply() -> None:
    space = Space(constraint("momentum < 0.5"), optimizer=Choice("sgd", "adam"), momentum=NET["momentum"].domain)
    with pytest.raises(ConfigError, match=r"constraint 'momentum < 0.5' cannot hold with \{'momentum': 0.7\}"):
        space.fix(momentum=0.7)
    space = Space(
        constraint("momentum < 0.5"), optimizer=Choice("sgd", "adam"), momentum=When("optimizer == 'sgd'", Float(0, 1))
    )
    assert [*space.fix(momentum=0.7).grid()] == [{"optimizer": "adam"}]


def test_a_function_stays_and_sees_what_is_left() -> None:
    seen: list[dict[str, Any]] = []

    def sees(config: dict[str, Any]) -> bool:
        seen.append(config)
        return True

    space = Space(
        constraint(sees), kind=Choice("a", "b"), part=When("kind == 'a'", Space(constraint(sees), x=Int(0, 1), y=2))
    )
    space.fix({"part.x": 1}).check({"kind": "a", "part.x": 1, "part.y": 2})
    assert seen == [{"kind": "a", "part.x": 1, "part.y": 2}, {"x": 1, "y": 2}]
    assert [c.name for c in space.fix(kind="b").constraints] == ["sees"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"optimiser": "sgd"}, "unknown parameter 'optimiser'; .* did you mean 'optimizer'"),
        ({"rate": 2}, "parameter 'rate' is 2, which is not in Float"),
        ({"optimizer": "lion"}, "parameter 'optimizer' is 'lion', which is not in Choice"),
        (
            {"optimizer": "adam", "momentum": 0.5},
            "'momentum' is 0.5, but is active only when optimizer == 'sgd'; leave it out",
        ),
        ({"units.times": 1, "units_2.width": 32}, "'units_2.width' is 32, but is active only when units.times >= 2"),
        (
            {"optimizer": "adam", "rate": 0.7},
            r"constraint 'optimizer == 'sgd' or rate < 0.5' cannot hold with \{'optimizer': 'adam', 'rate': 0.7\}",
        ),
    ],
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        NET.fix(values)
