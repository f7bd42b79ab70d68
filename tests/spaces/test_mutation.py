"""Neighbours, mutations, crossovers and repairs: all are legal, and each is what its name says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Encoding, Float, Int, Repeat, Space, SpaceError, When, constraint
from archsearch.spaces.mutation import crossover, mutate, neighbour, repair

SEEDS = st.integers(0, 2**32)
RNG = np.random.default_rng

NET = Space(
    constraint("optimizer == 'sgd' or rate < 0.1"),
    optimizer=Choice("sgd", "adam", "lion"),
    rate=Float(1e-4, 1.0, log=True),
    momentum=When("optimizer == 'sgd'", Float(0, 1)),
    units=Repeat(Choice(32, 64, 128, 256, ordered=True), times=Int(1, 3)),
    share=Float(0, 1),
)


@given(data=st.data())
def test_all_moves_are_legal_and_follow_from_their_arguments(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space), data.draw(SEEDS)
    rng = RNG(seed)
    one, other = space.sample(rng), space.sample(rng)
    encoding = Encoding(space)
    anything = encoding.decode(rng.random(len(encoding.columns)))  # it may break constraints
    for move in (
        lambda rng: neighbour(space, one, rng),
        lambda rng: mutate(space, one, rng),
        lambda rng: crossover(space, one, other, rng),
        lambda rng: repair(space, anything, rng),
    ):
        made = move(RNG(seed))
        space.check(made)
        assert list(made) == [name for name in space if name in made]
        assert repr(move(RNG(seed))) == repr(made)


@given(data=st.data())
def test_a_mutation_changes_one_parameter(data: Any, small_space: Any) -> None:
    whole = data.draw(small_space)
    space = Space.from_json({**whole.to_json(), "constraints": []})
    config = space.sample(RNG(data.draw(SEEDS)))
    made = mutate(space, config, RNG(data.draw(SEEDS)))
    changed = [name for name in config if name in made and repr(made[name]) != repr(config[name])]
    assert len(changed) == any(not space[name].fixed for name in config)


def test_mutations_reach_every_value_and_mostly_move_a_little() -> None:
    space = Space(
        kind=Choice("a", "b", "c"), size=Choice(1, 2, 3, 4, ordered=True), depth=Int(1, 1000), rate=Float(0, 1)
    )
    rng, config = RNG(0), {"kind": "a", "size": 1, "depth": 500, "rate": 0.5}
    made = [mutate(space, config, rng) for _ in range(2000)]
    assert {str(m["kind"]) for m in made} == {"a", "b", "c"}
    assert {m["size"] for m in made} == {1, 2, 3, 4}
    for name in ("depth", "rate"):
        moves = [
            abs(space[name].domain.to_unit(m[name]) - space[name].domain.to_unit(config[name]))
            for m in made
            if m[name] != config[name]
        ]
        assert len(moves) == pytest.approx(500, abs=80)
        assert np.median(moves) < 0.1


def test_a_mutation_samples_what_it_makes_active() -> None:
    config: Any = {"optimizer": "adam", "rate": 0.01, "units.times": 1, "units_1": 32, "share": 0.5}
    made = [mutate(NET, config, RNG(seed)) for seed in range(200)]
    assert len({m["momentum"] for m in made if m["optimizer"] == "sgd"}) > 10
    assert len({m["units_2"] for m in made if m["units.times"] != 1}) > 1


def test_a_mutation_finds_the_one_way_out() -> None:
    corner = Space(constraint("a + b == 10"), a=Int(0, 10), b=Int(0, 10))  # no single parameter may change
    config = {"a": 5, "b": 5}
    assert sum(mutate(corner, config, RNG(seed)) != config for seed in range(20)) > 10
    alone = Space(constraint("a == 3"), a=Int(0, 9), b=7)
    assert mutate(alone, {"a": 3, "b": 7}, RNG(0)) == {"a": 3, "b": 7}
    assert mutate(Space(a=1), {"a": 1}, RNG(0)) == {"a": 1}


def test_a_mutation_leaves_also_a_value_with_a_large_share() -> None:
    space = Space(n=Int(1, 10**6, log=True))  # 1 has a thirteenth of the unit interval
    assert all(mutate(space, {"n": 1}, RNG(seed)) != {"n": 1} for seed in range(100))


def test_a_domain_whose_ends_floats_cannot_tell_apart_is_left() -> None:
    space = Space(x=Float(1.9999999999999998, 2.0, log=True))
    space.check(mutate(space, {"x": 2.0}, RNG(0)))


def test_neighbours_are_near() -> None:
    space = Space(x=Float(0.0, 1.0))
    rng = RNG(0)
    moved: list[Any] = [abs(neighbour(space, {"x": 0.5}, rng)["x"] - 0.5) for _ in range(500)]  # type: ignore[operator]
    assert 0 < np.mean(moved) < 0.1


def test_a_child_has_its_values_from_its_parents() -> None:
    mother: Any = {"optimizer": "sgd", "rate": 0.5, "momentum": 0.9, "units.times": 1, "units_1": 32, "share": 0.1}
    father: Any = {"optimizer": "adam", "rate": 0.01, "units.times": 2, "units_1": 64, "units_2": 64, "share": 0.2}
    children = [crossover(NET, mother, father, RNG(seed)) for seed in range(300)]
    for child in children:
        assert all(child[name] in (mother.get(name), father.get(name)) for name in child)
        assert child["optimizer"] == "sgd" or child["rate"] == 0.01
    assert len({tuple(child.items()) for child in children}) > 20
    three = {**father, "units.times": 3, "units_3": 256}
    made = [crossover(NET, {**mother, "units.times": 1}, three, RNG(seed)) for seed in range(50)]
    assert {child["units_3"] for child in made if "units_3" in child} == {256}


def test_what_neither_parent_has_is_sampled() -> None:
    space = Space(a=Int(0, 1), b=Int(0, 1), c=When("a == 1 and b == 1", Int(0, 9)))
    made = [crossover(space, {"a": 1, "b": 0}, {"a": 0, "b": 1}, RNG(seed)) for seed in range(100)]
    assert len({child["c"] for child in made if "c" in child}) > 5


def test_parents_that_do_not_mix_have_themselves_as_children() -> None:
    same = [constraint(f"p{k} == p{k + 1}") for k in range(29)]
    space = Space({f"p{k}": Int(0, 1) for k in range(30)}, *same)
    zeros, ones = ({f"p{k}": bit for k in range(30)} for bit in (0, 1))
    children = [crossover(space, zeros, ones, RNG(seed)) for seed in range(10)]
    assert all(child in (zeros, ones) for child in children)
    assert zeros in children
    assert ones in children


def test_a_legal_config_needs_no_repair() -> None:
    config = NET.sample(RNG(0))
    assert repair(NET, config, RNG(1)) == config


def test_repair_moves_values_into_their_domains_and_adds_and_drops() -> None:
    space = Space(
        depth=Int(1, 9),
        rate=Float(1e-3, 1, log=True),
        even=Int(0, 8, step=2),
        kind=Choice("a", "b"),
        more=When("depth < 9", Float(0, 1)),
    )
    found = repair(space, {"depth": 99, "rate": -3, "even": 3.2, "extra": 1, "more": 0.5}, RNG(0))
    assert found.pop("kind") in ("a", "b")
    assert found == {"depth": 9, "rate": 1e-3, "even": 4}
    assert repair(space, {"depth": -math.inf, "rate": np.float32(2), "even": math.nan}, RNG(0))["depth"] == 1


def test_repair_goes_to_the_nearest_legal_config() -> None:
    space = Space(constraint("low < high"), low=Int(1, 99), high=Int(1, 99), a=Float(0, 1), b=Choice("x", "y", "z"))
    for seed in range(10):
        found = repair(space, {"low": 50, "high": 48, "a": 0.123, "b": "y"}, RNG(seed))
        space.check(found)
        assert found["a"] == 0.123
        assert found["b"] == "y"
        assert abs(found["low"] - 50) + abs(found["high"] - 48) <= 12  # type: ignore[operator]


def test_to_repair_any_two_values_of_an_unordered_choice_are_as_near() -> None:
    space = Space(constraint("kind != 'a'"), kind=Choice("a", "b", "c"))
    assert {repair(space, {"kind": "a"}, RNG(seed))["kind"] for seed in range(20)} == {"b", "c"}
    ordered = Space(constraint("kind != 'a'"), kind=Choice("a", "b", "c", ordered=True))
    assert {repair(ordered, {"kind": "a"}, RNG(seed))["kind"] for seed in range(20)} == {"b"}


def test_repair_of_an_empty_space_says_so() -> None:
    space = Space(constraint("a > 9"), a=Int(0, 9))
    with pytest.raises(SpaceError, match="no legal config, or hardly any"):
        repair(space, {"a": 3}, RNG(0))
