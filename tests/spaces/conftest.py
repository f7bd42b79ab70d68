"""Hypothesis strategies for domains and for spaces whose parameters depend on each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from spaces import Choice, Domain, Float, Int, Space, SpaceError, When

NAMES = ("a", "b", "c", "d", "e", "f", "lr", "depth", "über", "zeta_1")

WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | WORDS
VALUES = PLAIN | st.tuples(PLAIN) | st.tuples(st.integers(0, 9), WORDS)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1, 2**40) | st.integers(1, 5) if log else st.integers(-(2**40), 2**40) | st.integers(-3, 3))
    width = draw(st.integers(0, 40) | st.integers(0, 2**40))
    return Int(low, low + width, log=log, step=1 if log else draw(st.integers(1, 7) | st.integers(1, 2**41)))


@st.composite
def floats(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(("plain", "log", "step")))
    if kind == "log":
        low, high = sorted(draw(st.tuples(*[st.floats(5e-324, 1.7e308)] * 2)))
        return Float(low, high, log=True)
    low, high = sorted(draw(st.tuples(*[st.floats(-8e307, 8e307) | st.floats(-1, 1) | st.integers(-9, 9)] * 2)))
    if kind == "plain":
        return Float(low, high)
    step = draw(st.sampled_from((0.1, 0.25, 1, 1e-3, 1 / 3, 0.7, 1e-7)))
    low = draw(st.integers(-40, 40)) / 10
    return Float(low, low + draw(st.floats(0, 50)), step=step)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    values: list[Any] = []
    for value in draw(st.lists(VALUES, min_size=1, max_size=6)):
        try:
            Choice(*values, value)
        except SpaceError:
            continue  # the same value once more
        values.append(value)
    return Choice(*values, ordered=draw(st.booleans()))


@st.composite
def conditions(draw: st.DrawFn, known: dict[str, Domain]) -> str:
    """Text over the known parameters that can be evaluated whatever their values are."""
    atoms = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(known)))
        value = known[name].from_unit(draw(st.floats(0, 1)))
        wide = isinstance(known[name], Choice)
        forms = ("{} == {!r}", "{} != {!r}", "{} in ({!r}, 'x')", "not {} == {!r}")
        form = draw(st.sampled_from(forms if wide else (*forms, "{} >= {!r}", "{} < {!r}", "{} - 1 <= {!r}")))
        atoms.append(form.format(name, value))
    return draw(st.sampled_from((" and ", " or "))).join(atoms)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Up to eight parameters, each under a condition on earlier ones or under none, declared in any order."""
    declared: dict[str, Any] = {}
    known: dict[str, Domain] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=8)):
        domain = draw(ints() | floats() | choices())
        conditional = bool(known) and draw(st.booleans())
        declared[name] = When(draw(conditions(known)), domain) if conditional else domain
        known[name] = domain
    order = draw(st.permutations(list(declared)))
    return Space({name: declared[name] for name in order})


@pytest.fixture(scope="session")
def any_domain() -> st.SearchStrategy[Domain]:
    return ints() | floats() | choices()


@pytest.fixture(scope="session")
def any_space() -> st.SearchStrategy[Space]:
    return spaces()
