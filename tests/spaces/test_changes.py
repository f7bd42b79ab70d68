"""The difference of two spaces names each change, and is empty exactly when their digests are equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Prior, Repeat, Space, When, constraint, forbidden
from archsearch.spaces.changes import Change


def edited(body: dict[str, Any], name: str, **parts: Any) -> Space:
    """The space of this JSON with some parts of a parameter exchanged; None takes a part away."""
    whole = {**body["parameters"][name], **parts}
    parameter = {key: part for key, part in whole.items() if part is not None or key not in parts}
    return Space.from_json({**body, "parameters": {**body["parameters"], name: parameter}})


@given(data=st.data())
def test_no_change_means_an_equal_digest(data: Any, any_space: Any) -> None:
    one, other = data.draw(any_space), data.draw(any_space)
    assert one.diff(Space.from_json(one.to_json())) == ()
    assert (one.diff(other) == ()) is (one.digest() == other.digest()) is (one == other)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    back = {Change(turned[c.kind], c.what, c.after, c.before) for c in other.diff(one)}  # type: ignore[arg-type]
    assert set(one.diff(other)) == back


@given(data=st.data())
def test_each_kind_of_edit_is_named(data: Any, any_space: Any, any_domain: Any) -> None:
    space = data.draw(any_space.filter(len))
    body = space.to_json()
    name = data.draw(st.sampled_from(tuple(space)))
    own = body["parameters"][name]
    kind = data.draw(st.sampled_from(("domain", "prior", "condition", "path", "constraint", "parameter")))
    match kind:
        case "domain":
            bare = {key: part for key, part in data.draw(any_domain).to_json().items() if key != "prior"}
            rest = {key: part for key, part in own.items() if key in ("when", "path")}
            assume(bare != {key: part for key, part in own.items() if key not in ("when", "path", "prior")})
            changed = {**body["parameters"], name: {**bare, **rest}}
            changes = space.diff(Space.from_json({**body, "parameters": changed}))
            assert [c.kind for c in changes] == ["changed"] * (1 + ("prior" in own))
        case "prior":
            prior = {"value": space[name].domain.from_unit(0.1), "width": 0.123}
            weights = [7.5] * int(space[name].domain.size()) if isinstance(space[name].domain, Choice) else None
            other = edited(body, name, prior=None if "prior" in own else weights or prior)
            changes = space.diff(other)
            assert [c.kind for c in changes] == ["changed"]
            assert "no prior" in (changes[0].before, changes[0].after)
        case "condition":
            changes = space.diff(edited(body, name, when=None if "when" in own else "True"))
            assert [c.kind for c in changes] == ["changed"]
            assert "always active" in (changes[0].before, changes[0].after)
        case "path":
            changes = space.diff(edited(body, name, path=["elsewhere", "here"]))
            assert [(c.kind, c.after) for c in changes] == [("changed", "nested as ['elsewhere', 'here']")]
        case "constraint":
            other = Space.from_json(
                {**body, "constraints": [*body["constraints"], "x != 77"]}
                | {"parameters": {**body["parameters"], "x": Int(0, 1).to_json()}}
            )
            changes = space.diff(other)
            assert [(c.kind, c.what) for c in changes] == [("added", "x"), ("added", "x != 77")]
            assert [(c.kind, c.what) for c in other.diff(space)] == [("removed", "x"), ("removed", "x != 77")]
            return
        case _:
            changes = space.diff(space | Space(another=data.draw(any_domain)))
            assert [(c.kind, c.what, c.before) for c in changes] == [("added", "another", None)]
            return
    assert {c.what for c in changes} == {name}


BEFORE = Space(
    constraint("low < high"),
    low=Int(1, 9),
    high=Int(1, 9, prior=Prior(5)),
    optimizer=Choice("sgd", "adam"),
    momentum=When("optimizer == 'sgd'", Float(0.0, 0.9)),
    units=Repeat(Choice(32, 64), times=2),
)
AFTER = Space(
    forbidden("low == high"),
    constraint(lambda config: True),
    low=Int(1, 8),
    high=Int(1, 9),
    optimizer=Choice("sgd", "adam", prior=(1, 2)),
    momentum=Float(0.0, 0.9),
    units=Repeat(Choice(32, 64), times=Int(1, 2)),
)


def test_changes_as_text() -> None:
    assert [str(change) for change in BEFORE.diff(AFTER)] == [
        "changed high: prior Prior(value=5, width=0.2) → no prior",
        "changed low: Int(low=1, high=9, log=False, step=1) → Int(low=1, high=8, log=False, step=1)",
        "changed momentum: when optimizer == 'sgd' → always active",
        "changed optimizer: no prior → prior (1.0, 2.0)",
        "added units.times: Int(low=1, high=2, log=False, step=1)",
        "changed units_2: always active → when units.times >= 2",
        "removed low < high: a constraint",
        "added <lambda>: a constraint in Python",
        "added not low == high: a constraint",
    ]


@pytest.mark.parametrize(
    ("one", "other", "kinds"),
    [
        (Space(constraint("a"), a=Int(0, 1)), Space(constraint(a := lambda c: True), a=Int(0, 1)), 2),
        (Space(constraint("a"), constraint("a"), a=Int(0, 1)), Space(constraint("a"), a=Int(0, 1)), 1),
        (Space(a=Choice(1, 2)), Space(a=Choice(1.0, 2.0)), 1),
        (Space(a=Choice(1, 2)), Space(a=Choice(True, 2)), 1),
        (Space(b=Space(x=1)), Space({"b.x": 1}), 1),
        (Space(constraint("a<1"), a=Int(0, 1)), Space(constraint("(a < 1)"), a=Int(0, 1)), 0),
    ],
)
def test_what_only_looks_alike(one: Space, other: Space, kinds: int) -> None:
    assert len(one.diff(other)) == kinds
    assert (one.digest() == other.digest()) is (kinds == 0)
