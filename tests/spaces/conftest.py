"""Hypothesis strategies for domains, and for spaces with conditions, constraints, repeats and spaces in them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Prior, Repeat, Space, SpaceError, When, constraint, forbidden
from archsearch.spaces.domains import Domain

NAMES = ("a", "b", "c", "d", "e", "f", "lr", "depth", "über", "zeta_1")

WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | WORDS
VALUES = PLAIN | st.tuples(PLAIN) | st.tuples(st.integers(0, 9), WORDS)


@st.composite
def priors(draw: st.DrawFn, domain: Int | Float) -> Prior | None:
    """Now and then one."""
    if not draw(st.booleans()):
        return None
    return Prior(domain.from_unit(draw(st.floats(0, 1))), draw(st.floats(1e-3, 1)))


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1, 2**40) | st.integers(1, 5) if log else st.integers(-(2**40), 2**40) | st.integers(-3, 3))
    width = draw(st.integers(0, 40) | st.integers(0, 2**40))
    domain = Int(low, low + width, log=log, step=1 if log else draw(st.integers(1, 7) | st.integers(1, 2**41)))
    return replace(domain, prior=draw(priors(domain)))


@st.composite
def floats(draw: st.DrawFn) -> Float:
    kind = draw(st.sampled_from(("plain", "log", "step")))
    if kind == "log":
        low, high = sorted(draw(st.tuples(*[st.floats(5e-324, 1.7e308)] * 2)))
        domain = Float(low, high, log=True)
    elif kind == "plain":
        low, high = sorted(draw(st.tuples(*[st.floats(-8e307, 8e307) | st.floats(-1, 1) | st.integers(-9, 9)] * 2)))
        domain = Float(low, high)
    else:
        step = draw(st.sampled_from((0.1, 0.25, 1, 1e-3, 1 / 3, 0.7, 1e-7)))
        low = draw(st.integers(-40, 40)) / 10
        domain = Float(low, low + draw(st.floats(0, 50)), step=step)
    return replace(domain, prior=draw(priors(domain)))


@st.composite
def choices(draw: st.DrawFn, max_size: int = 6) -> Choice:
    values: list[Any] = []
    for value in draw(st.lists(VALUES, min_size=1, max_size=max_size)):
        try:
            Choice(*values, value)
        except SpaceError:
            continue  # the same value once more
        values.append(value)
    weights = st.none() | st.lists(st.floats(0.01, 100), min_size=len(values), max_size=len(values))
    return Choice(*values, ordered=draw(st.booleans()), prior=draw(weights))


@st.composite
def conditions(draw: st.DrawFn, known: dict[str, Domain]) -> str:
    """Text over the known parameters that can be evaluated whatever their values are."""
    atoms = []
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(known)))
        value = known[name].from_unit(draw(st.floats(0, 1)))
        wide = isinstance(known[name], Choice)
        forms = ("{} == {!r}", "{} != {!r}", "{} in ({!r}, 'x')", "not {} == {!r}")
        form = draw(st.sampled_from(forms if wide else (*forms, "{} >= {!r}", "{} - 0 < {!r}", "{} - 1 <= {!r}")))
        atoms.append(form.format(name, value))
    return draw(st.sampled_from((" and ", " or "))).join(atoms)


@st.composite
def counts(draw: st.DrawFn, known: dict[str, Domain]) -> int | Int | str:
    """The times of a Repeat: a number, a domain, or the name of one that is known."""
    low = draw(st.integers(0, 2))
    names = [name for name, domain in known.items() if isinstance(domain, Int) and 0 <= domain.low <= domain.high <= 3]
    return draw(st.just(low) | st.just(Int(low, low + draw(st.integers(0, 2)))) | st.sampled_from(names or [low]))


@st.composite
def spaces(draw: st.DrawFn, domains: st.SearchStrategy[Domain], entries: int = 6, depth: int = 1) -> Space:
    """Some parameters, repeats and spaces, each under a condition on earlier ones or under none, in any order; with
    constraints that leave enough of it.
    """
    declared: dict[str, Any] = {}
    known: dict[str, Domain] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=entries)):
        what: Any = draw(domains | st.builds(Int, st.just(0), st.integers(0, 3)))
        if depth and draw(st.integers(0, 3)) == 0:
            what = draw(spaces(domains, entries=2, depth=depth - 1))
        if draw(st.integers(0, 3)) == 0:
            what = Repeat(what, draw(counts(known)))
        if known and draw(st.booleans()):
            what = When(draw(conditions(known)), what)
        declared[name] = what
        known = {parameter.name: parameter.domain for parameter in Space(declared).parameters}
    order = draw(st.permutations(list(declared)))
    space, own = Space({name: declared[name] for name in order}), []
    for rule in draw(st.lists(conditions(known), max_size=2)) if known else []:
        form = draw(st.sampled_from((constraint, forbidden)))
        narrower = Space({name: declared[name] for name in order}, *own, form(rule))
        if narrower.rejection_rates(np.random.default_rng(0), 50).share < 0.8:
            space, own = narrower, [*own, form(rule)]
    return space


@pytest.fixture(scope="session")
def any_domain() -> st.SearchStrategy[Domain]:
    return ints() | floats() | choices()


@pytest.fixture(scope="session")
def any_space() -> st.SearchStrategy[Space]:
    return spaces(ints() | floats() | choices())


@pytest.fixture(scope="session")
def small_space() -> st.SearchStrategy[Space]:
    """Up to a thousand ways to give each parameter a value or none."""
    few = st.builds(Int, st.just(0), st.integers(0, 2)) | choices(max_size=3) | st.just(Float(0, 0.5, step=0.25))
    return spaces(few, entries=4).filter(lambda s: math.prod(p.domain.size() + 1 for p in s.parameters) < 1000)
