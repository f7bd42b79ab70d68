"""Repeats, spaces within spaces, and conditions around them: the flat parameters they make, and the way back."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Repeat, Space, SpaceError, When, constraint

RNG = np.random.default_rng


def shown(space: Space) -> dict[str, str | None]:
    """Each parameter's condition."""
    return {p.name: p.condition.text if p.condition else None for p in space.parameters}


def test_a_repeat_is_a_count_and_elements() -> None:
    space = Space(units=Repeat(Choice(32, 64), times=Int(1, 4)))
    assert shown(space) == {
        "units.times": None,
        "units_1": None,
        "units_2": "units.times >= 2",
        "units_3": "units.times >= 3",
        "units_4": "units.times >= 4",
    }
    assert space["units.times"].domain == Int(1, 4)
    assert space["units_3"].domain == Choice(32, 64)
    config: dict[str, Any] = {"units.times": 2, "units_1": 32, "units_2": 64}
    space.check(config)
    assert space.nested(config) == {"units": [32, 64]}


@pytest.mark.parametrize(
    ("times", "conditions"),
    [
        (Int(0, 2), ["u.times >= 1", "u.times >= 2"]),
        (Int(2, 5, step=2), [None, None, "u.times >= 3", "u.times >= 4"]),
        (Choice(3, 1), [None, "u.times >= 2", "u.times >= 3"]),
        (Int(2, 2), [None, None]),
    ],
    ids=str,
)
def test_an_element_asks_only_where_there_may_be_fewer(times: Any, conditions: list[str | None]) -> None:
    space = Space(u=Repeat(Int(0, 1), times))
    assert list(shown(space).items()) == [("u.times", None), *((f"u_{k}", c) for k, c in enumerate(conditions, 1))]


def test_a_constant_count_makes_no_parameter() -> None:
    assert shown(Space(u=Repeat(Int(0, 1), 2))) == {"u_1": None, "u_2": None}
    assert shown(Space(u=Repeat(Int(0, 1), np.int64(1)))) == {"u_1": None}
    assert shown(Space(u=Repeat(Int(0, 1), times=0), v=1)) == {"v": None}


def test_a_repeat_may_count_by_a_parameter_of_the_same_space() -> None:
    space = Space(units=Repeat(Choice(32, 64), times="depth"), rates=Repeat(0.5, times="depth"), depth=Int(1, 2))
    assert shown(space) == {
        "units_1": None,
        "units_2": "depth >= 2",
        "rates_1": None,
        "rates_2": "depth >= 2",
        "depth": None,
    }
    shared = Space(units=Repeat(Choice(32, 64), times=Int(1, 2)), dropout=Repeat(Float(0, 1), times="units.times"))
    assert shown(shared)["dropout_2"] == "units.times >= 2"
    assert shown(Space(u=Repeat(Int(0, 1), times="n"), n=2)) == {"u_1": None, "u_2": None, "n": None}


def test_elements_go_with_a_count_that_is_not_active() -> None:
    space = Space(kind=Choice("a", "b"), n=When("kind == 'a'", Int(1, 2)), u=Repeat(Int(0, 1), times="n"))
    assert shown(space)["u_1"] == "n >= 1"
    assert space.active({"kind": "b"}) == ("kind",)


def test_a_nested_space_has_dotted_names_and_its_own_conditions() -> None:
    space = Space(
        block=Space(
            constraint("kernel < channels"),
            kind=Choice("conv", "pool"),
            kernel=When("kind == 'conv'", Int(1, 7, step=2)),
            channels=Int(2, 9),
        ),
        kind=Choice("x", "y"),
        outside=When("block.kernel >= 3 and kind == 'x'", Int(0, 1)),
    )
    assert shown(space) == {
        "block.kind": None,
        "block.kernel": "block.kind == 'conv'",
        "block.channels": None,
        "kind": None,
        "outside": "block.kernel >= 3 and kind == 'x'",
    }
    assert [c.name for c in space.constraints] == ["block.kernel < block.channels"]
    config = {"block.kind": "conv", "block.kernel": 3, "block.channels": 4, "kind": "x", "outside": 1}
    space.check(config)
    assert space.nested(config) == {
        "block": {"kind": "conv", "kernel": 3, "channels": 4},
        "kind": "x",
        "outside": 1,
    }


def test_blocks_of_layers() -> None:
    layer = Space(
        constraint("kernel <= width"), kernel=Int(1, 5), width=Int(1, 9), pool=When("kernel > 3", Choice(2, 3))
    )
    block = Space(layers=Repeat(layer, times=Int(1, 2)), skip=Choice(True, False))
    space = Space(head=Int(0, 1), blocks=When("head == 1", Repeat(block, times=Int(0, 2))))
    assert shown(space) == {
        "head": None,
        "blocks.times": "head == 1",
        **{
            f"blocks_{k}.{name}": " and ".join(["head == 1", f"blocks.times >= {k}", *more])
            for k in (1, 2)
            for name, more in {
                "layers.times": [],
                "layers_1.kernel": [],
                "layers_1.width": [],
                "layers_1.pool": [f"blocks_{k}.layers_1.kernel > 3"],
                "layers_2.kernel": [f"blocks_{k}.layers.times >= 2"],
                "layers_2.width": [f"blocks_{k}.layers.times >= 2"],
                "layers_2.pool": [f"blocks_{k}.layers.times >= 2", f"blocks_{k}.layers_2.kernel > 3"],
                "skip": [],
            }.items()
        },
    }
    assert [c.name for c in space.constraints] == [
        f"blocks_{k}.layers_{n}.kernel <= blocks_{k}.layers_{n}.width" for k in (1, 2) for n in (1, 2)
    ]
    config: dict[str, Any] = {
        "head": 1,
        "blocks.times": 1,
        "blocks_1.layers.times": 2,
        "blocks_1.layers_1.kernel": 1,
        "blocks_1.layers_1.width": 2,
        "blocks_1.layers_2.kernel": 5,
        "blocks_1.layers_2.width": 6,
        "blocks_1.layers_2.pool": 3,
        "blocks_1.skip": True,
    }
    space.check(config)
    assert space.nested(config) == {
        "head": 1,
        "blocks": [{"layers": [{"kernel": 1, "width": 2}, {"kernel": 5, "width": 6, "pool": 3}], "skip": True}],
    }
    assert space.nested({"head": 1, "blocks.times": 0}) == {"head": 1, "blocks": []}
    assert space.nested({"head": 0}) == {"head": 0, "blocks": []}


def test_nested_keeps_an_empty_repeat_and_drops_what_is_not_active() -> None:
    space = Space(
        depth=Int(0, 1),
        units=Repeat(Int(1, 2), times="depth"),
        block=Space(units=Repeat(Int(1, 2), times=Int(0, 1))),
        other=When("depth == 1", Space(x=Int(0, 1), ys=Repeat(Int(0, 1), 2))),
    )
    assert space.nested({"depth": 0, "block.units.times": 0}) == {"depth": 0, "units": [], "block": {"units": []}}
    config = {"depth": 1, "units_1": 2, "block.units.times": 1, "block.units_1": 1, "other.x": 0, "other.ys_1": 1}
    assert space.nested({**config, "other.ys_2": 0}) == {
        "depth": 1,
        "units": [2],
        "block": {"units": [1]},
        "other": {"x": 0, "ys": [1, 0]},
    }


def test_a_repeat_of_repeats_is_a_list_of_lists() -> None:
    space = Space(grid=Repeat(Repeat(Int(0, 9), 2), times=Int(1, 2)))
    assert list(space) == ["grid.times", "grid_1_1", "grid_1_2", "grid_2_1", "grid_2_2"]
    config = {"grid.times": 2, "grid_1_1": 1, "grid_1_2": 2, "grid_2_1": 3, "grid_2_2": 4}
    assert space.nested(config) == {"grid": [[1, 2], [3, 4]]}
    assert space.nested({"grid.times": 1, "grid_1_1": 1, "grid_1_2": 2}) == {"grid": [[1, 2]]}
    ragged = Space(grid=Repeat(Repeat(Int(0, 9), times=Int(0, 1)), times=Int(0, 2)))
    config = {"grid.times": 2, "grid_1.times": 0, "grid_2.times": 1, "grid_2_1": 7}
    assert ragged.nested(config) == {"grid": [[], [7]]}
    assert ragged.nested({"grid.times": 0}) == {"grid": []}


def test_a_list_of_more_than_nine_keeps_its_order() -> None:
    space = Space(u=Repeat(Int(0, 99), 12))
    assert space.nested({f"u_{k}": k for k in range(1, 13)}) == {"u": list(range(1, 13))}


def test_conditions_conjoin_to_any_depth() -> None:
    space = Space(
        a=Int(0, 1),
        b=Int(0, 1),
        c=When("a == 1", When("b == 1 or b == a", Space(d=When("e > 0", When("e < 2", 7)), e=Int(0, 3)))),
    )
    assert shown(space) == {
        "a": None,
        "b": None,
        "c.d": "a == 1 and (b == 1 or b == a) and c.e > 0 and c.e < 2",
        "c.e": "a == 1 and (b == 1 or b == a)",
    }
    assert space.active({"a": 1, "b": 1, "c.e": 1}) == ("a", "b", "c.d", "c.e")
    assert space.active({"a": 0, "b": 0, "c.e": 1}) == ("a", "b")


def test_a_name_of_the_outer_space_is_unknown_inside() -> None:
    with pytest.raises(SpaceError, match="the condition of 'x' reads an unknown parameter 'outer'; known: x"):
        Space(outer=Int(0, 1), inner=Space(x=When("outer == 1", 2)))


def test_paths_are_in_json_where_they_are_not_the_name() -> None:
    space = Space(plain=1, units=Repeat(Int(0, 1), times=Int(1, 2)), block=Space(x=Int(0, 1)))
    assert {name: body.get("path") for name, body in space.to_json()["parameters"].items()} == {
        "plain": None,
        "units.times": ["units", 0],
        "units_1": ["units", 1],
        "units_2": ["units", 2],
        "block.x": ["block", "x"],
    }
    flat = Space({"block.x": Int(0, 1)})
    assert flat.to_json()["parameters"]["block.x"].get("path") is None
    assert flat.nested({"block.x": 1}) == {"block.x": 1}
    assert flat != Space(block=Space(x=Int(0, 1)))


@given(data=st.data())
def test_nested_holds_every_value_at_its_path(data: Any, any_space: Any) -> None:
    space = data.draw(any_space)
    config = space.sample(RNG(data.draw(st.integers(0, 2**32))))
    through = [Space.from_json(json.loads(json.dumps(space.to_json()))), pickle.loads(pickle.dumps(space))]
    nested = space.nested(config)
    assert all(repr(other.nested(config)) == repr(nested) for other in through)
    for name, value in config.items():
        node: Any = nested
        *holders, last = space[name].path
        for key in holders:
            node = node[key - 1] if isinstance(key, int) else node[key]
        if last == 0:
            elements = [p for p in space.parameters if p.path[: len(holders)] == tuple(holders) and p.name != name]
            assert node == [] if not elements else len(node) == value
        else:
            assert repr(node[last - 1] if isinstance(last, int) else node[last]) == repr(value)


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: Repeat(Int(0, 1), -1), "Repeat times must be a whole number from 0 to 1000.*got -1"),
        (lambda: Repeat(Int(0, 1), 1.5), "Repeat times must be a whole number.*got 1.5"),
        (lambda: Repeat(Int(0, 1), True), "Repeat times must be a whole number.*got True"),
        (lambda: Repeat(Int(0, 1), Int(1, 10**6)), "Repeat times must be a whole number.*got Int"),
        (lambda: Repeat(Int(0, 1), Float(0, 1)), "Repeat times must be a whole number.*got Float"),
        (lambda: Repeat(Int(0, 1), Choice(1, "2")), "Repeat times must be a whole number.*got Choice"),
        (lambda: Repeat([1], 2), "must be plain"),
        (lambda: When("a", [1]), "must be plain"),
        (lambda: Space(u=Repeat(1, "deth"), depth=Int(0, 1)), "'u' is an unknown parameter 'deth'.*'depth'"),
        (lambda: Space(u=Repeat(1, "n"), n=Float(0, 1)), "'u' must name an Int, got 'n', Float"),
        (lambda: Space({"my n": Int(0, 1)}, u=Repeat(1, "my n")), "'my n', which conditions cannot read; rename"),
        (lambda: Space({"my units": Repeat(1, 2)}), "'my units' holds other parameters.*Python identifier"),
        (lambda: Space({"class": Space(a=1)}), "'class' holds other parameters"),
        (lambda: Space({"units_1": 1}, units=Repeat(1, 2)), "parameter 'units_1' is declared twice"),
        (lambda: Space({"b.x": 1}, b=Space(x=1)), "parameter 'b.x' is declared twice"),
        (
            lambda: Space(b=Space(x=1)) | Space(b=Repeat(1, 2)),
            "'b_1' and 'b.x' cannot both be nested at 'b'; rename one",
        ),
        (lambda: Space(b=Space(x=1)) | Space(b=2), "'b' and 'b.x' cannot both be nested at 'b'; rename one"),
        (lambda: Space(u=Repeat(1, "n"), n=When("u_1 == 1", Int(1, 2))), "depend on each other; remove one"),
        (lambda: Space(b=Space), "'b' must be a domain .* a Space, a Repeat, a When .* got <class"),
    ],
)
def test_what_is_invalid_is_refused_at_declaration(declare: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        declare()
