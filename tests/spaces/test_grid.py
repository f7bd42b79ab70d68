"""The grid lists exactly the legal configs, and the size is their number."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Repeat, Space, SpaceError, When, constraint
from archsearch.spaces.domains import Domain

ABSENT = object()


def values(domain: Domain) -> list[Any]:
    """Every value of a small finite domain."""
    count = int(domain.size())
    found = [domain.from_unit((index + 0.5) / count) for index in range(count)]
    assert len({repr(value) for value in found}) == count
    return found


def listed(space: Space) -> list[str]:
    """The legal configs by brute force: each parameter takes each of its values, and none, with all the others."""
    every = itertools.product(*([ABSENT, *values(p.domain)] for p in space.parameters))
    configs = ({n: v for n, v in zip(space, each, strict=True) if v is not ABSENT} for each in every)
    return sorted(repr(config) for config in configs if space.legal(config))


@given(data=st.data())
def test_the_grid_is_what_brute_force_finds(data: Any, small_space: Any) -> None:
    space = data.draw(small_space)
    assert sorted(map(repr, space.grid())) == listed(space)


@given(data=st.data())
def test_the_size_is_the_length_of_the_grid_without_constraints(data: Any, small_space: Any) -> None:
    space = data.draw(small_space)
    assert space.size() == len(list(Space.from_json({**space.to_json(), "constraints": []}).grid()))


def test_a_grid_by_hand() -> None:
    space = Space(
        constraint("units_1 != units_2"),
        units=Repeat(Choice(32, 64), times=Int(0, 2)),
        rate=When("units.times == 0", Float(0.0, 0.5, step=0.25)),
        name="x",
    )
    assert [*space.grid()] == [
        {"units.times": 0, "rate": 0.0, "name": "x"},
        {"units.times": 0, "rate": 0.25, "name": "x"},
        {"units.times": 0, "rate": 0.5, "name": "x"},
        {"units.times": 1, "units_1": 32, "name": "x"},
        {"units.times": 1, "units_1": 64, "name": "x"},
        {"units.times": 2, "units_1": 32, "units_2": 64, "name": "x"},
        {"units.times": 2, "units_1": 64, "units_2": 32, "name": "x"},
    ]
    assert space.size() == 3 + 2 + 4


def test_a_continuous_float_has_points_evenly_in_its_measure_with_both_ends() -> None:
    space = Space(rate=Float(1e-3, 10, log=True), share=Float(-1, 1), depth=Int(1, 1), one=Float(2, 2))
    rates = sorted({config["rate"] for config in space.grid(points=5)})  # type: ignore[type-var]
    assert rates == [1e-3, pytest.approx(1e-2), pytest.approx(0.1), pytest.approx(1), 10]
    assert sorted({config["share"] for config in space.grid(points=5)}) == [-1, -0.5, 0, 0.5, 1]  # type: ignore[type-var]
    assert len(list(space.grid(points=5))) == 25
    narrow = Space(x=Float(1.0, math.nextafter(1.0, 2)))
    assert [config["x"] for config in narrow.grid(points=9)] == [1.0, math.nextafter(1.0, 2)]


@pytest.mark.parametrize(
    ("domain", "taken"),
    [
        (Int(1, 9), [1, 3, 5, 7, 9]),
        (Int(1, 6), [1, 2, 4, 5, 6]),
        (Int(1, 4), [1, 2, 3, 4]),
        (Int(0, 103, step=10), [0, 20, 50, 80, 100]),
        (Int(1, 1024, log=True), [1, 3, 23, 152, 1024]),
        (Int(1, 6, log=True), [1, 2, 3, 6]),
        (Float(0.0, 0.95, step=0.1), [0.0, 0.2, 0.5, 0.7, 0.9]),
        (Choice(*range(9), ordered=True), list(range(9))),
    ],
    ids=str,
)
def test_points_thin_numbers_that_have_more_values(domain: Domain, taken: list[Any]) -> None:
    assert [config["x"] for config in Space(x=domain).grid(points=5)] == taken


def test_the_size_with_points_is_that_of_the_thinned_grid() -> None:
    space = Space(layers=Int(1, 30), width=When("layers >= 20", Float(8, 64)), kind=Choice(*"abcdefg"))
    assert space.size(points=3) == len(list(space.grid(points=3))) == 7 * (1 + 1 + 3)


@pytest.mark.parametrize("points", [0, 1, True, 2.5, "3"])
def test_points_are_a_number_of_at_least_two(points: Any) -> None:
    with pytest.raises(SpaceError, match="grid points must be a whole number of at least 2, got"):
        Space(x=Float(0, 1)).grid(points)


def test_without_points_the_float_is_named_at_once() -> None:
    with pytest.raises(SpaceError, match=r"parameter 'x' has infinitely many values; .*grid\(points=5\)"):
        Space(a=Int(0, 1), x=When("a == 1", Float(0, 1))).grid()
    assert len(list(Space(a=Int(0, 1), x=Float(0, 1, step=0.5)).grid())) == 6


def test_branches_that_constraints_cut_cost_nothing() -> None:
    space = Space(constraint("a_1 > 1"), constraint("a_40 == 0"), a=Repeat(Int(0, 1), 40))
    assert next(space.grid(), None) is None
    narrow = Space(*(constraint(f"a_{k} == 1") for k in range(1, 301)), a=Repeat(Int(0, 1), 300))
    assert [set(config.values()) for config in narrow.grid()] == [{1}]


def test_inactive_parameters_cost_nothing() -> None:
    space = Space(on=Int(0, 1), deep=When("on > 0 and not on", Repeat(Int(0, 9), 30)))
    assert [*space.grid()] == [{"on": 0}, {"on": 1}]
    assert space.size() == 2


def test_the_empty_space_has_one_config() -> None:
    assert [*Space().grid()] == [{}]
    assert Space().size() == 1


def test_sizes_are_exact_while_few_parameters_decide() -> None:
    units = Space(units=Repeat(Choice(32, 64, 128), times=Int(1, 20)), activation=Choice("relu", "elu"))
    assert units.size() == 2 * sum(3**k for k in range(1, 21))
    assert Space(n=Int(1, 60), u=Repeat(Int(0, 2**60), times="n")).size() == sum((2**60 + 1) ** k for k in range(1, 61))
    assert Space(n=Int(1, 3), x=When("n > 2 and n < 2", Float(0, 1))).size() == math.inf  # an upper bound all the same
    many = Space(n=Int(1, 10**6), u=When("n > 1", Int(1, 2)))
    assert many.size() == 2 * 10**6  # an upper bound: too many values decide


def test_a_huge_grid_begins_at_once() -> None:
    space = Space({f"p{k:03}": Int(0, 2**40) for k in range(200)}, x=Float(0, 2**40, step=1e-3))
    config = next(space.grid())
    assert len(config) == 201
    assert np.sum([float(v) for v in config.values()]) == 0  # type: ignore[arg-type]
