"""Space: which configs are legal, and that nothing depends on the order of declaration."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, ConfigError, Float, Int, Prior, Repeat, Space, SpaceError, When, constraint
from archsearch.spaces.choices import tupled
from archsearch.spaces.flattening import Parameter

SEEDS = st.integers(0, 2**63)

NET = Space(
    optimizer=Choice("sgd", "adam"),
    layers=Int(1, 3),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
    nesterov=When("momentum > 0.5", Choice(True, False)),
    units_2=When("layers >= 2", Int(8, 64)),
    activation="relu",
)


@given(data=st.data())
def test_every_sample_is_legal(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space), data.draw(SEEDS)
    config = space.sample(np.random.default_rng(seed))
    space.check(config)
    assert tuple(config) == space.active(config) == tuple(name for name in space if name in config)


@given(data=st.data())
def test_a_sample_changed_in_one_name_is_no_longer_legal(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space.filter(len)), data.draw(SEEDS)
    config = space.sample(np.random.default_rng(seed))
    name = data.draw(st.sampled_from(tuple(space)))
    if name in config:
        broken = (
            {k: v for k, v in config.items() if k != name} if data.draw(st.booleans()) else {**config, name: object}
        )
    else:
        broken = {**config, name: space[name].domain.from_unit(0.3)}  # a legal value, were it active
    with pytest.raises(ConfigError) as caught:
        space.check(broken)
    assert caught.value.parameter == name
    assert f"'{name}'" in str(caught.value)
    assert caught.value.value is broken.get(name)


@given(data=st.data())
def test_the_order_of_declaration_does_not_matter(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space), data.draw(SEEDS)
    body = space.to_json()
    parameters, constraints = body["parameters"], body["constraints"]
    other = Space.from_json(
        {
            "parameters": {name: parameters[name] for name in data.draw(st.permutations(list(parameters)))},
            "constraints": data.draw(st.permutations(constraints)),
        }
    )
    assert other == space
    assert hash(other) == hash(space)
    assert other.digest() == space.digest()
    assert len(space.digest()) == 16
    left, right = (s.sample(np.random.default_rng(seed)) for s in (space, other))
    assert left == right
    assert sorted(map(repr, left.items())) == sorted(map(repr, right.items()))


@given(data=st.data())
def test_another_domain_or_condition_is_another_space(data: Any, any_space: Any, any_domain: Any) -> None:
    space = data.draw(any_space.filter(len))
    name = data.draw(st.sampled_from(tuple(space)))
    body = space.to_json()
    parameters = body["parameters"]
    kept = {key: parameters[name][key] for key in ("when", "path") if key in parameters[name]}
    changed = data.draw(any_domain).to_json() | kept
    other = Space.from_json({**body, "parameters": {**parameters, name: changed}})
    same = json.dumps(changed, sort_keys=True) == json.dumps(parameters[name], sort_keys=True)
    assert (other == space) is (other.digest() == space.digest()) is same
    assert Space.from_json({**body, "parameters": {**parameters, "another": data.draw(any_domain).to_json()}}) != space


@given(data=st.data())
def test_json_pickle_and_copies_keep_a_space(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space), data.draw(SEEDS)
    through_text = Space.from_json(json.loads(json.dumps(space.to_json())))
    for other in (through_text, pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert other == space
        assert repr(other) == repr(space)
        assert hash(other) == hash(space)
        drawn = other.sample(np.random.default_rng(seed))
        assert repr(drawn) == repr(space.sample(np.random.default_rng(seed)))
        config = {name: tupled(value) for name, value in json.loads(json.dumps(drawn)).items()}
        space.check(config)


@given(data=st.data())
def test_walk_asks_each_active_parameter_once_after_those_it_reads(data: Any, any_space: Any) -> None:
    space, seed = data.draw(any_space), data.draw(SEEDS)
    rng, asked = np.random.default_rng(seed), []

    def choose(parameter: Parameter) -> Any:
        assert parameter.condition is None or parameter.condition.names <= set(asked)
        asked.append(parameter.name)
        return parameter.domain.sample(rng)

    config = space.walk(choose)
    assert sorted(asked) == sorted(config)


def test_conditions_nest_and_fall_with_their_parents() -> None:
    sgd = {"optimizer": "sgd", "layers": 1, "momentum": 0.9, "nesterov": True, "activation": "relu"}
    NET.check(sgd)
    NET.check({"optimizer": "adam", "layers": 2, "units_2": 8, "activation": "relu"})
    assert NET.active(sgd) == ("optimizer", "layers", "momentum", "nesterov", "activation")
    assert NET.active({**sgd, "optimizer": "adam"}) == ("optimizer", "layers", "activation")
    with pytest.raises(ConfigError, match=r"'nesterov' is True, but is active only when momentum > 0\.5; leave it out"):
        NET.check({"optimizer": "adam", "layers": 1, "nesterov": True, "activation": "relu"})


@pytest.mark.parametrize(
    ("change", "parameter", "says"),
    [
        ({"layers": ...}, "layers", r"'layers' is missing; add a value of Int\(low=1, high=3"),
        ({"layres": 1}, "layres", "unknown parameter 'layres'; known: .*; did you mean 'layers'"),
        ({"layers": 4}, "layers", r"'layers' is 4, which is not in Int\(low=1, high=3"),
        ({"layers": True}, "layers", "'layers' is True, which is not in Int"),
        ({"layers": "2"}, "layers", "'layers' is '2', which is not in Int"),
        ({"layers": 1.0}, "layers", "'layers' is 1.0, which is not in Int"),
        ({"nesterov": 1}, "nesterov", r"'nesterov' is 1, which is not in Choice\(True, False\)"),
        ({"momentum": math.nan}, "momentum", "'momentum' is nan, which is not in Float"),
        ({"momentum": np.array([0.1, 0.2])}, "momentum", "which is not in Float"),
        ({"optimizer": np.array(["sgd", "adam"])}, "optimizer", "which is not in Choice"),
        ({"units_2": 8}, "units_2", "'units_2' is 8, but is active only when layers >= 2; leave it out"),
        ({"activation": "gelu"}, "activation", r"'activation' is 'gelu', which is not in Choice\('relu'\)"),
        ({"activation": ...}, "activation", "'activation' is missing"),
    ],
    ids=str,
)
def test_check_names_parameter_value_and_domain(change: dict[str, Any], parameter: str, says: str) -> None:
    config = {"optimizer": "sgd", "layers": 1, "momentum": 0.9, "nesterov": True, "activation": "relu", **change}
    config = {name: value for name, value in config.items() if value is not ...}
    with pytest.raises(ConfigError, match=says) as caught:
        NET.check(config)
    assert caught.value.parameter == parameter
    assert caught.value.value is config.get(parameter)


def test_numpy_scalars_are_legal_values() -> None:
    NET.check(
        {
            "optimizer": np.str_("sgd"),
            "layers": np.int64(2),
            "momentum": np.float32(0.75),
            "nesterov": np.True_,
            "units_2": np.uint8(64),
            "activation": "relu",
        }
    )


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Space(a=When("b > 1", Int(0, 1))), "the condition of 'a' reads an unknown parameter 'b'; known: a"),
        (
            lambda: Space(layers=Int(1, 2), a=When("layer > 1", Int(0, 1))),
            "unknown parameter 'layer'; known: a, layers; did you mean 'layers'",
        ),
        (lambda: Space(a=When("a > 1", Int(0, 1))), "the conditions of a depend on each other"),
        (
            lambda: Space(a=When("b > 0", Int(0, 1)), b=When("c > 0", Int(0, 1)), c=When("a > 0", Int(0, 1)), d=1),
            "the conditions of a, b, c depend on each other; remove one",
        ),
        (lambda: Space(a=When("__import__('os')", Int(0, 1))), "use names, constants"),
        (lambda: Space({"a": 1}, a=2), "'a' is declared twice"),
        (lambda: Space({1: 2}), "a parameter's name must be a non-empty string, got 1"),
        (lambda: Space({"": 2}), "a parameter's name must be a non-empty string"),
        (lambda: Space(a=[1, 2]), r"'a' must be a domain .* got \[1, 2\]"),
        (lambda: Space(a=max), "must be a domain"),
        (lambda: Space(a=Int), "must be a domain"),
        (lambda: Space(a=math.nan), "must be finite"),
        (lambda: Space(a=1)["b"], "unknown parameter 'b'; known: a"),
        (lambda: Space(a=1, b=2) | Space(b=3), "'b' is declared by both spaces; rename one"),
    ],
)
def test_what_is_invalid_is_refused_at_declaration(declare: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        declare()


def test_a_condition_on_text_compared_with_a_number_fails_with_its_name() -> None:
    space = Space(opt=Choice("sgd", "adam"), a=When("opt > 1", Int(0, 1)))
    with pytest.raises(SpaceError, match=r"condition 'opt > 1' cannot be evaluated with \{'opt': '"):
        space.sample(np.random.default_rng(0))


def test_constants_are_held_by_every_config_and_are_not_free() -> None:
    space = Space(a="relu", b=None, c=Choice((3, 3)), d=np.int64(5), e=When("f == 1", 7), f=Int(0, 1), g=Int(4, 4))
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(20)]
    fixed = {"a": "relu", "b": None, "c": (3, 3), "d": 5, "g": 4}
    assert all({**config, **fixed} == config for config in drawn)
    assert {("e" in config, config["f"]) for config in drawn} == {(True, 1), (False, 0)}
    assert [p.name for p in space.free] == ["f"]
    assert type(drawn[0]["d"]) is int


def test_union_holds_both_with_their_conditions() -> None:
    union = Space(a=Int(0, 1), b=When("a == 1", Float(0, 1))) | Space(c=When("d == 'x'", Int(1, 2)), d=Choice("x", "y"))
    assert list(union) == ["a", "b", "c", "d"]
    union.check({"a": 0, "d": "y"})
    union.check({"a": 1, "b": 0.5, "c": 1, "d": "x"})
    assert Space() | union == union


def test_mapping_protocol() -> None:
    assert len(NET) == 6
    assert "layers" in NET
    assert "layres" not in NET
    assert 3 not in NET
    assert NET["layers"].domain == Int(1, 3)
    assert Space({"not an identifier": Int(1, 2)}).sample(np.random.default_rng(0)).keys() == {"not an identifier"}
    assert "momentum=Float(low=0.0, high=0.99, log=False, step=None) when optimizer == 'sgd'" in repr(NET)


def test_size() -> None:
    assert Space().size() == 1
    assert Space(a=Int(1, 3), b=Choice("x", "y"), c="z").size() == 6
    assert Space(a=Int(1, 3), b=Float(0, 1)).size() == math.inf
    many = {f"p{n}": Int(0, 2**60) for n in range(60)}
    assert Space(many, x=Float(0, 1)).size() == math.inf
    assert Space(many).size() == (2**60 + 1) ** 60


def test_the_empty_space_has_one_config() -> None:
    assert Space().sample(np.random.default_rng(0)) == {}
    Space().check({})
    with pytest.raises(ConfigError, match="unknown parameter 'a'; known: none"):
        Space().check({"a": 1})


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (Space(a=Float(-0.0, 1)), Space(a=Float(0.0, 1)), True),
        (Space(a=Float(0, 1, step=1)), Space(a=Float(0.0, 1.0, step=1.0)), True),
        (Space(a=When("b==1", 2), b=1), Space(b=1, a=When("(b == 1)", Choice(2))), True),
        (Space(a=Choice(True, False)), Space(a=Choice(1, 0)), False),
        (Space(a=Choice(1, 2)), Space(a=Choice(1.0, 2.0)), False),
        (Space(a=Choice(1, 2)), Space(a=Choice(2, 1)), False),
        (Space(a=Choice(1, 2)), Space(a=Choice(1, 2, ordered=True)), False),
        (Space(a=Int(1, 2)), Space(a=Float(1, 2)), False),
        (Space(a=Int(1, 2)), Space(a=Int(1, 2, log=True)), False),
        (Space(a="1"), Space(a=1), False),
        (Space(a=When("b == 1", 2), b=1), Space(a=When("b == 2", 2), b=1), False),
    ],
)
def test_equal_spaces_share_hash_and_digest_and_no_others(left: Space, right: Space, equal: bool) -> None:
    assert (left == right) is equal
    assert (left.digest() == right.digest()) is equal
    if equal:
        assert hash(left) == hash(right)
    assert left != "a space"


def test_a_digest_is_the_same_in_every_process_and_release() -> None:
    """Studies hold digests: a change here is a change of the store's format."""
    assert NET.digest() == "c683954cd42587ec"
    assert (
        Space(
            constraint("block.low < block.high and units_1 in (32, 64)"),
            units=When("block.low > 1", Repeat(Choice(32, 64, prior=(1, 3)), times=Int(1, 2, prior=Prior(2)))),
            block=Space(constraint(max), low=Float(0, 9), high=Int(1, 9)),
        ).digest()
        == "0c2d31da8950e6cc"
    )


def test_a_seed_draws_the_same_config_in_every_release() -> None:
    assert NET.sample(np.random.default_rng(1)) == {
        "optimizer": "sgd",
        "layers": 3,
        "momentum": 0.9391629526658715,
        "nesterov": True,
        "units_2": 25,
        "activation": "relu",
    }


def test_deep_chains_of_conditions() -> None:
    names = [f"p{n:03}" for n in range(150)]
    declared: dict[str, Any] = {names[0]: Int(0, 1)}
    declared |= {name: When(f"{before} == 1", Int(0, 1)) for before, name in itertools.pairwise(names)}
    order = list(declared)
    random.Random(0).shuffle(order)
    space = Space({name: declared[name] for name in order})
    full = dict.fromkeys(names, 1)
    space.check(full)
    assert set(space.active({**full, "p070": 0})) == set(names[:71])


def test_active_parameters_of_a_part_of_a_config() -> None:
    space = Space(n=Int(1, 3), second=When("n > 1", Int(0, 9)), third=When("second > 4", Int(0, 9)))
    assert space.active({}) == ("n",)
    assert space.active({"n": 2}) == ("n", "second")
    assert space.active({"n": 2, "second": 5}) == ("n", "second", "third")
    assert space.active({"n": 1, "second": 5}) == ("n",)
