"""Constraints: what they reject, how a space samples under them, and what is said when hardly anything is left."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, ConfigError, Float, Int, Prior, Repeat, Space, SpaceError, When, constraint, forbidden

RNG = np.random.default_rng


def fits(config: dict[str, Any]) -> bool:
    return bool(config["low"] + config["high"] < 12)


PAIR = Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))
FITTING = Space(constraint("low < high"), constraint(fits), low=Int(1, 9), high=Int(1, 9))


def test_check_names_the_constraint_and_the_values() -> None:
    PAIR.check({"low": 1, "high": 2})
    with pytest.raises(ConfigError, match=r"constraint 'low < high' is violated by .*'low': 3\}; change") as e:
        PAIR.check({"low": 3, "high": 2})
    assert (e.value.parameter, e.value.value) == ("low < high", {"low": 3, "high": 2})
    assert PAIR.legal({"low": 1, "high": 2})
    assert not PAIR.legal({"low": 2, "high": 2})
    assert not PAIR.legal({"low": 1})
    assert [c.name for c in PAIR.violated({"low": 2, "high": 2})] == ["low < high"]


def test_forbidden_is_the_other_way_round() -> None:
    space = Space(forbidden("optimizer == 'sgd' and rate > 0.1"), optimizer=Choice("sgd", "adam"), rate=Float(0, 1))
    assert [c.name for c in space.constraints] == ["not (optimizer == 'sgd' and rate > 0.1)"]
    assert space.legal({"optimizer": "sgd", "rate": 0.1})
    assert space.legal({"optimizer": "adam", "rate": 0.2})
    assert not space.legal({"optimizer": "sgd", "rate": 0.2})
    assert space == Space(
        constraint("not (optimizer == 'sgd' and rate > 0.1)"), optimizer=Choice("sgd", "adam"), rate=Float(0, 1)
    )


@pytest.mark.parametrize("make", [constraint, forbidden])
def test_a_constraint_does_not_apply_where_it_reads_what_is_not_active(make: Any) -> None:
    space = Space(
        make("units.times == 1 and units_2 > units_1"), units=Repeat(Int(1, 3), times=Int(1, 2)), other=Int(0, 1)
    )
    assert space.legal({"units.times": 1, "units_1": 3, "other": 0})
    assert space.legal({"units.times": 2, "units_1": 3, "units_2": 1, "other": 0}) is (make is forbidden)


def test_a_function_is_given_the_config() -> None:
    seen = []

    def sees(config: dict[str, Any]) -> bool:
        seen.append(dict(config))
        config.clear()  # its own copy
        return True

    space = Space(constraint(sees), a=1, b=When("c == 2", Int(5, 6)), c=Int(1, 2))
    space.check({"a": 1, "c": 1})
    assert seen == [{"a": 1, "c": 1}]
    config = space.sample(RNG(0))
    assert dict(seen[-1]) == config
    assert len(config) >= 2


def test_a_function_is_tested_also_where_the_last_parameter_is_not_active() -> None:
    space = Space(constraint(lambda config: config["a"] == 1), a=Int(0, 1), z=When("a == 1", Int(0, 1)))
    assert all(space.sample(RNG(seed))["a"] == 1 for seed in range(20))
    assert [config["a"] for config in space.grid()] == [1, 1]


def test_a_function_of_a_nested_space_sees_that_part_and_applies_where_it_is_active() -> None:
    block = Space(constraint(fits), low=Int(1, 9), high=Int(1, 9), more=When("low > 5", 1))
    space = Space(kind=Choice("a", "b"), blocks=When("kind == 'a'", Repeat(block, times=Int(1, 2))))
    assert [c.name for c in space.constraints] == ["blocks_1.fits", "blocks_2.fits"]
    config = {"kind": "a", "blocks.times": 1, "blocks_1.low": 5, "blocks_1.high": 6}
    assert space.legal(config)
    assert [c.name for c in space.violated({**config, "blocks_1.high": 7})] == ["blocks_1.fits"]
    assert space.legal({"kind": "b"})
    for seed in range(50):
        space.check(space.sample(RNG(seed)))


def test_a_function_keeps_its_names_however_deep_it_is_nested() -> None:
    inner = Space(constraint(fits), low=Int(1, 9), high=Int(1, 9))
    space = Space(outer=Space(blocks=Repeat(inner, 2)), low=Int(1, 9))
    assert [c.name for c in space.constraints] == ["outer.blocks_1.fits", "outer.blocks_2.fits"]
    config = {f"outer.blocks_{k}.{name}": 5 for k in (1, 2) for name in ("low", "high")}
    assert space.legal({**config, "low": 9})
    assert [c.name for c in space.violated({**config, "outer.blocks_2.high": 7})] == ["outer.blocks_2.fits"]


def test_a_function_that_raises_or_answers_oddly_is_named() -> None:
    def careless(config: dict[str, Any]) -> bool:
        config.clear()
        return bool(config["nosuch"])

    with pytest.raises(SpaceError, match=r"constraint 'careless' raised KeyError for \{'a': \d\}: 'nosuch'") as caught:
        Space(constraint(careless), a=Int(0, 1)).sample(RNG(0))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(SpaceError, match=r"constraint '<lambda>' must return True or False, got None for \{'a': 0\}"):
        Space(constraint(lambda config: None), a=Int(0, 1)).check({"a": 0})
    assert Space(constraint(lambda config: np.bool_(True)), a=Int(0, 1)).legal({"a": 0})


def test_a_space_with_a_function_is_not_serializable() -> None:
    assert PAIR.serializable
    assert not FITTING.serializable
    body = json.loads(json.dumps(FITTING.to_json()))
    assert body["constraints"] == ["low < high", {"function": "fits"}]
    stored = Space.from_json(body)
    assert stored == FITTING
    assert stored.digest() == FITTING.digest()
    assert repr(stored) == repr(FITTING)
    assert FITTING.diff(stored) == ()
    assert stored.size() == 81
    assert not stored.serializable
    assert stored.fix(low=1) == FITTING.fix(low=1)
    for evaluate in (
        lambda: stored.sample(RNG(0)),
        lambda: stored.check({"low": 1, "high": 2}),
        lambda: stored.legal({"low": 1, "high": 2}),
        lambda: next(stored.grid()),
        lambda: stored.rejection_rates(RNG(0)),
    ):
        with pytest.raises(SpaceError, match="constraint 'fits' is a Python function, and a stored space"):
            evaluate()


def test_pickling_keeps_the_function() -> None:
    limit = 12
    closed = Space(constraint(lambda config: config["low"] < limit), low=Int(1, 20))
    for space in (cloudpickle.loads(cloudpickle.dumps(closed)), cloudpickle.loads(cloudpickle.dumps(FITTING))):
        assert not space.serializable
        space.sample(RNG(0))
    assert not cloudpickle.loads(cloudpickle.dumps(closed)).legal({"low": 12})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(closed)


def test_constraints_are_tested_as_soon_as_they_are_decided() -> None:
    calls = {"a": 0, "z": 0}

    class Counted:
        def __init__(self, name: str) -> None:
            self.__name__ = name

        def __call__(self, config: dict[str, Any]) -> bool:
            calls[self.__name__] += 1
            return bool(config["x"] < 5)

    first, last = Space(constraint(Counted("a")), x=Int(0, 9)), Space(constraint(Counted("z")), x=Int(0, 9))
    space = Space(aa=first, zz=last)
    for seed in range(100):
        space.sample(RNG(seed))
    assert calls["z"] < 0.7 * calls["a"]  # half of the draws end at the first


@given(data=st.data())
def test_every_sample_is_legal_and_rejection_leaves_its_measure(data: Any, any_space: Any) -> None:
    space = data.draw(any_space)
    rng = RNG(data.draw(st.integers(0, 2**32)))
    for _ in range(3):
        assert space.legal(space.sample(rng))


def test_rejection_keeps_the_measure() -> None:
    space = Space(constraint("low < high"), low=Int(1, 3), high=Int(1, 3, prior=Prior(2)))
    rng = RNG(0)
    counts = dict.fromkeys(((1, 2), (1, 3), (2, 3)), 0)
    for _ in range(6000):
        config = space.sample(rng)
        counts[config["low"], config["high"]] += 1  # type: ignore[index]
    weights = {pair: space["high"].domain.prior_density(pair[1]) for pair in counts}
    expected = {pair: 6000 * weight / sum(weights.values()) for pair, weight in weights.items()}
    assert sum((counts[p] - expected[p]) ** 2 / expected[p] for p in counts) < 13.8  # 0.1 % of 2 degrees of freedom


def test_a_space_of_which_95_percent_are_rejected_is_sampled() -> None:
    space = Space({"y": Int(0, 1)}, constraint("x < 0.05"), x=Float(0, 1))
    rng = RNG(0)
    assert max(space.sample(rng)["x"] for _ in range(200)) < 0.05  # type: ignore[type-var]
    rejected = space.rejection_rates(rng, samples=2000)
    assert rejected.share == pytest.approx(0.95, abs=0.02)
    assert rejected.by_constraint == {"x < 0.05": rejected.share}


def test_how_much_each_constraint_rejects() -> None:
    space = Space(constraint("a > 2"), constraint("a > 0 and b > 4"), constraint("a < 9"), a=Int(0, 4), b=Int(0, 9))
    rejected = space.rejection_rates(RNG(0), samples=4000)
    assert rejected.share == pytest.approx(0.8, abs=0.03)
    assert [*rejected.by_constraint.values()] == sorted(rejected.by_constraint.values(), reverse=True)
    assert rejected.by_constraint == {
        "a > 2": pytest.approx(0.6, abs=0.03),
        "a > 0 and b > 4": pytest.approx(0.6, abs=0.03),
        "a < 9": 0,
    }
    assert Space(a=Int(0, 1)).rejection_rates(RNG(0)).share == 0
    with pytest.raises(SpaceError, match="samples must be at least 1, got 0"):
        space.rejection_rates(RNG(0), 0)


def test_an_empty_space_raises_one_error() -> None:
    space = Space(constraint("a > b"), constraint("b > a"), constraint("c > 9"), a=Int(0, 9), b=Int(0, 9), c=Int(0, 9))
    with pytest.raises(SpaceError) as caught:
        space.sample(RNG(0))
    text = str(caught.value)
    found = re.match(
        r"the space has no legal config, or hardly any: of 100,000 draws, (\d+)\.\d+% violated 'a > b', "
        r"(\d+)\.\d+% violated 'b > a' \(.*\); loosen a constraint, or change the domains",
        text,
    )
    assert found, text
    assert (int(found[1]), int(found[2])) == (pytest.approx(55, abs=2), pytest.approx(45, abs=2))


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Space(constraint("low < hi"), low=1, high=2), "constraint 'low < hi' reads an unknown parameter 'hi'"),
        (lambda: constraint("low <"), "constraint 'low <' does not parse"),
        (
            lambda: Space(rule=constraint("a < 1"), a=Int(0, 1)),
            "'rule' is constraint.*, and constraints have no name; write Space",
        ),
        (
            lambda: constraint("len(x)"),
            r"constraint 'len\(x\)' uses 'len\(x\)', .*; use names, constants",
        ),
        (lambda: forbidden("x.y()"), "use names, constants"),
        (lambda: constraint(3), "a constraint must be text such as .*, got 3"),
        (lambda: forbidden(fits), "a constraint must be text such as"),
        (lambda: constraint("1 < 2"), "constraint '1 < 2' reads no parameter, so it holds always or never; remove"),
        (lambda: Space(constraint(fits)), "constraint 'fits' is in a space without parameters"),
        (
            lambda: Space("low < high", low=1),
            r"must be constraints, .* got 'low < high'; write Space\(constraint",
        ),
        (lambda: Space({"a": 1}, {"b": 1}), r"must be constraints, .* got \{'b': 1\}"),
        (
            lambda: Space(constraint("a"), {"a": 1}),
            r"must be constraints, .* got \{'a': 1\}",
        ),
    ],
)
def test_what_is_invalid_is_refused_at_declaration(declare: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        declare()


def test_a_constraint_that_cannot_be_evaluated_is_named() -> None:
    space = Space(constraint("a < b"), a="text", b=Int(0, 1))
    with pytest.raises(SpaceError, match=r"constraint 'a < b' cannot be evaluated with \{'a': 'text', 'b': \d\}"):
        space.sample(RNG(0))


def test_a_union_keeps_the_constraints_of_both() -> None:
    union = PAIR | Space(constraint("x > y"), x=Int(0, 1), y=Int(0, 1))
    assert [c.name for c in union.constraints] == ["low < high", "x > y"]
    assert union.legal({"low": 1, "high": 2, "x": 1, "y": 0})
    assert not union.legal({"low": 1, "high": 2, "x": 1, "y": 1})
    loose = PAIR | Space(x=Int(0, 1), y=Int(0, 1))
    assert union != loose
    assert union.digest() != loose.digest()
    assert repr(PAIR).startswith("Space(constraint('low < high'), low=Int(")
