"""Int, Float, Choice: what they hold, and their way to the unit interval and back."""

from __future__ import annotations

import enum
import math
import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, SpaceError
from archsearch.spaces.domains import Domain, domain_from_json

UNIT = st.floats(0, 1)


@given(data=st.data())
def test_every_point_of_the_unit_interval_is_a_legal_value(data: Any, any_domain: Any) -> None:
    domain = data.draw(any_domain)
    for unit in (0.0, 1.0, data.draw(UNIT)):
        assert domain.from_unit(unit) in domain


@given(data=st.data())
def test_values_come_back_from_the_unit_interval(data: Any, any_domain: Any) -> None:
    domain = data.draw(any_domain)
    value = domain.from_unit(data.draw(UNIT))
    unit = domain.to_unit(value)
    assert 0 <= unit <= 1
    back = domain.from_unit(unit)
    match domain:
        case Float(log=True) if domain.low > 1e-307:  # below, floats have few digits left
            assert back == pytest.approx(value, rel=1e-9)
        case Float(step=None):
            assert back == pytest.approx(value, abs=1e-9 * (domain.high - domain.low) + 5e-324)
        case _:
            assert back == value
            assert type(back) is type(value)


@given(data=st.data())
def test_the_last_and_the_first_value_are_reached(data: Any, any_domain: Any) -> None:
    check_ends(data.draw(any_domain))


@pytest.mark.parametrize(
    "domain",
    [
        Float(0.3, 2.1999999999999997, step=1e-07),
        Float(0.3, 2.2, step=1e-07),
        Float(-4.0, 45.999999900000006, step=1e-07),
        Float(1e9, 1e9 + 1, step=1e-4),
        Float(1e15, 1e15 + 1, step=0.125),
    ],
    ids=str,
)
def test_rounding_does_not_lose_the_last_value(domain: Float) -> None:
    check_ends(domain)


def check_ends(domain: Domain) -> None:
    ends = (domain.from_unit(0.0), domain.from_unit(1.0))
    match domain:
        case Int():
            assert ends == (domain.low, domain.high - (domain.high - domain.low) % domain.step)
        case Float(step=None):
            near = 1e-9 * (0 if domain.log else domain.high - domain.low)
            assert ends[0] == pytest.approx(domain.low, rel=1e-9, abs=near)
            assert ends[1] == pytest.approx(domain.high, rel=1e-9, abs=near)
        case Float():
            assert ends[0] == domain.low
            assert domain.high - domain.step < ends[1] <= domain.high
        case Choice(values):
            assert ends == (values[0], values[-1])


@given(data=st.data())
def test_sampling_is_a_point_of_the_unit_interval(data: Any, any_domain: Any) -> None:
    domain = data.draw(any_domain)
    seed = data.draw(st.integers(0, 2**32))
    value = domain.sample(np.random.default_rng(seed))
    assert value in domain
    assert repr(value) == repr(domain.draw(np.random.default_rng(seed).random()))


@given(data=st.data())
def test_json_and_pickle_keep_a_domain(data: Any, any_domain: Any) -> None:
    import json

    domain = data.draw(any_domain)
    read = domain_from_json(json.loads(json.dumps(domain.to_json())))
    copied = pickle.loads(pickle.dumps(domain))
    assert repr(read) == repr(copied) == repr(domain)
    assert read == copied == domain
    assert hash(read) == hash(copied) == hash(domain)


@given(low=st.integers(-50, 50), width=st.integers(0, 60), step=st.integers(1, 9), log=st.booleans())
def test_every_int_has_its_share(low: int, width: int, step: int, log: bool) -> None:
    domain = Int(abs(low) + 1, abs(low) + 1 + width, log=True) if log else Int(low, low + width, step=step)
    legal = [n for n in range(domain.low, domain.high + 1) if n in domain]
    assert legal == list(range(domain.low, domain.high + 1, domain.step))
    assert len(legal) == domain.size()
    assert [domain.from_unit(domain.to_unit(n)) for n in legal] == legal
    units = [domain.to_unit(n) for n in legal]
    assert units == sorted(set(units))


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Int(1, 4), [1, 4, np.int8(3), np.uint64(2)], [0, 5, True, np.True_, 2.0, "2", None, np.float64(2), (2,)]),
        (Int(-300, 300, step=50), [-300, 0, np.uint8(50), np.int16(-50)], [1, np.uint8(51), np.int8(100 - 1)]),
        (Int(0, 10, step=4), [0, 4, 8], [10, 2]),
        (
            Float(0, 1),
            [0, 1, 0.5, np.float32(0.25), np.int64(1)],
            [-1e-9, True, np.False_, "0", math.nan, math.inf, 1j],
        ),
        (Float(0, 1), [0.0, -0.0], [None, np.complex64(0.5), np.array([0.1, 0.2]), 10**400, -(10**400)]),
        (Float(0, 1, step=0.1), [0.1 + 0.2, 0.3, 0.7, 1, np.float64(0.6)], [0.35, 0.3001]),
        (Float(-0.3, 0.3, step=0.1), [0, 0.0, -0.0, -0.1, 0.3], [1e-3, 0.05]),
        (Float(1e9, 1e9 + 1, step=1e-4), [1e9 + 1e-4, 1e9 + 0.5], [1e9 + 1.5e-4]),
        (Float(1e-9, 9e-9, step=1e-9), [3e-9, 0.000000007], [3.5e-9]),
        (Choice(True, False), [True, np.True_, np.False_], [1, 0, 1.0, np.int64(1), "True"]),
        (Choice(1, 0), [1, 1.0, np.int64(0)], [True, False, np.True_]),
        (Choice((3, 3), (5, 5)), [(3, 3), (np.int64(5), 5)], [[3, 3], (3,), 3, np.array([3, 3]), (3, 3, 3)]),
        (Choice((1, 2)), [(1, 2)], [(True, 2)]),
        (Choice(0.5, "a"), [np.float64(0.5), "a"], [np.complex64(0.5), 0.5 + 0j, Fraction(1, 2), Decimal("0.5")]),
        (Choice("relu", None, 0.5), ["relu", None, np.str_("relu"), 0.5], ["ReLU", "", 0, float]),
    ],
    ids=str,
)
def test_in(domain: Domain, inside: list[Any], outside: list[Any]) -> None:
    assert [value for value in inside if value not in domain] == []
    assert [value for value in outside if value in domain] == []


@pytest.mark.parametrize("value", [np.int64(3), np.uint8(3), np.int8(3)])
def test_numpy_numbers_have_a_place_like_plain_ones(value: Any) -> None:
    assert Int(-200, 200).to_unit(value) == Int(-200, 200).to_unit(3)
    assert Float(1, 5, log=True).to_unit(value) == Float(1, 5, log=True).to_unit(3)
    assert Choice(2, 3).to_unit(value) == 0.75


def test_a_domain_takes_numpy_numbers_and_keeps_plain_ones() -> None:
    assert repr(Int(np.int64(1), np.uint8(4))) == repr(Int(1, 4))
    assert repr(Float(np.float32(0.5), np.int64(4))) == repr(Float(0.5, 4))
    assert Choice(np.float64(0.5), np.bool_(True), np.str_("a"), (np.int64(2),)).values == (0.5, True, "a", (2,))
    assert [type(v) for v in Choice(np.float64(0.5), np.bool_(True), np.str_("a")).values] == [float, bool, str]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Int(4, 1), "low is above high; swap them"),
        (lambda: Int(1.0, 4), "must be a whole number, got 1.0; use Float"),
        (lambda: Int(True, 4), "must be a whole number, got True"),
        (lambda: Int(1, 4, step=0), "step must be at least 1"),
        (lambda: Int(1, 4, step=1.5), "step must be a whole number"),
        (lambda: Int(0, 4, log=True), "log=True needs low above 0"),
        (lambda: Int(1, 4, log=True, step=2), "log and step cannot be combined"),
        (lambda: Int(0, 10**400), "must fit into 64 bits"),
        (lambda: Float(0, math.inf), "must be a finite number, got inf"),
        (lambda: Float(math.nan, 1), "must be a finite number, got nan"),
        (lambda: Float("0", 1), "must be a finite number, got '0'"),
        (lambda: Float(0, 10**400), "too large for a float"),
        (lambda: Float(-1e308, 1e308), "too wide"),
        (lambda: Float(0, 1, log=True), "log=True needs low above 0"),
        (lambda: Float(0, 1, step=0), "step must be above 0"),
        (lambda: Float(0, 1, step=math.inf), "step must be a finite number"),
        (lambda: Float(0, 1, step=math.nan), "step must be a finite number"),
        (lambda: Float(0, 1, step="a"), "step must be a finite number"),
        (lambda: Float(0, 1, step=True), "step must be a finite number"),
        (lambda: Float(0, 1, step=1e-300), "step is too small"),
        (lambda: Float(1, 2, log=True, step=0.5), "log and step cannot be combined"),
        (lambda: Choice(), "Choice has no values"),
        (lambda: Choice("a", "b", "a"), "has the value 'a' twice"),
        (lambda: Choice(1, 1.0), "has the value 1.0 twice"),
        (lambda: Choice(1, True), "has 1 and True, which are equal in Python"),
        (lambda: Choice((0, "a"), (False, "a")), "which are equal in Python"),
        (lambda: Choice("a", "b", ordered=1), "ordered must be True or False, got 1"),
        (lambda: Int(1, 9, log=1), "Int log must be True or False, got 1"),
        (lambda: Float(1, 9, log=0.1), "Float log must be True or False, got 0.1"),
        (lambda: Choice(0.0, -0.0), "has the value -0.0 twice"),
        (lambda: Choice(math.nan), "must be finite, got nan"),
        (lambda: Choice((1, math.inf)), "must be finite, got inf"),
        (lambda: Choice([32, 64]), "must be plain"),
        (lambda: Choice(max), "its name, and look the object up"),
        (lambda: Choice(math), "its name, and look the object up"),
        (lambda: Choice(("a", math)), "its name, and look the object up"),
        (lambda: Choice("a").index("b"), "'b' is not one of"),
        (lambda: Int(1, 4).to_unit("b"), "holds numbers, got 'b'"),
        (lambda: Int(1, 4).to_unit(True), "holds numbers, got True"),
        (lambda: domain_from_json({"type": "flaot"}), "unknown domain type 'flaot'.*did you mean 'float'"),
    ],
)
def test_what_is_invalid_is_refused_with_a_fix(make: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        make()


def test_stepped_floats_read_as_a_person_wrote_them() -> None:
    domain = Float(-0.3, 0.5, step=0.1)
    values = [domain.from_unit((index + 0.5) / domain.size()) for index in range(int(domain.size()))]
    assert values == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Float(0, 1, step=1 / 3).from_unit(1.0) == 1.0
    assert Float(0, 1, step=0.4).from_unit(1.0) == 0.8
    assert Float(0, 1e-12, step=0.1).from_unit(1.0) == 0.0


@given(
    low=st.integers(-500, 500).map(lambda tenths: tenths / 10) | st.floats(-1e6, 1e6),
    step=st.sampled_from((1, 0.1, 0.25, 0.7, 1 / 3, 1e-3, 1e-5, 1e-7)) | st.floats(1e-7, 1e3),
    steps=st.integers(1, 10**9),
)
@example(low=0.3, step=1e-07, steps=19_000_000)
@example(low=-1000.1, step=1e-7, steps=10_001_000_000)
def test_whole_steps_reach_the_bound_that_a_person_computed(low: float, step: float, steps: int) -> None:
    exact = Fraction(repr(low)) + steps * Fraction(repr(step))
    for high in (low + steps * step, float(exact), math.nextafter(float(exact), -math.inf)):
        domain = Float(low, high, step=step)
        assert domain.size() == steps + 1
        assert domain.from_unit(1.0) == high
        assert high in domain
        assert domain.to_unit(high) == pytest.approx(1 - 0.5 / domain.size(), abs=0.01 / domain.size())


def test_steps_finer_than_twelve_digits_stay_apart() -> None:
    domain = Float(1e9, 1e9 + 1, step=1e-4)
    assert len({domain.from_unit((index + 0.5) / domain.size()) for index in range(2000)}) == 2000


@pytest.mark.parametrize("domain", [Int(-(2**63), 2**63 - 1), Int(1, 2**63 - 1, log=True), Int(0, 2**62, step=3)])
def test_huge_ranges_stay_legal_and_near(domain: Int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        value = domain.sample(rng)
        assert value in domain
        assert domain.from_unit(domain.to_unit(value)) == pytest.approx(value, rel=1e-12, abs=1e5)


def test_extreme_floats_stay_legal() -> None:
    wide = Float(5e-324, 1.7976931348623157e308, log=True)
    point = Float(1.9999999999999998, 2.0, log=True)
    for unit in np.linspace(0, 1, 101):
        assert wide.from_unit(unit) in wide
        assert point.from_unit(unit) in point
        assert 0 <= point.to_unit(point.from_unit(unit)) <= 1
    assert wide.from_unit(0.5) == pytest.approx(math.sqrt(5e-324) * math.sqrt(1.7976931348623157e308), rel=1e-9)


def test_one_point() -> None:
    for domain in (Int(3, 3), Int(3, 3, log=True), Float(2, 2), Float(2, 2, log=True), Float(2, 2, step=1), Choice(5)):
        assert domain.size() == 1
        assert domain.to_unit(domain.from_unit(0.9)) == 0.5
    assert Float(2, 3).size() == math.inf


def test_log_spreads_evenly_in_the_logarithm() -> None:
    rng = np.random.default_rng(1)
    drawn = np.log10([Float(1e-6, 1e2, log=True).sample(rng) for _ in range(8000)])
    counts, _ = np.histogram(drawn, bins=8, range=(-6, 2))
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    assert chi_square < 24.3  # 0.1 % of 7 degrees of freedom


def test_log_ints_are_drawn_by_their_share_of_the_logarithm() -> None:
    rng, domain = np.random.default_rng(2), Int(1, 8, log=True)
    drawn = [domain.sample(rng) for _ in range(8000)]
    shares = np.diff(np.log(np.arange(1, 10) - 0.5)) / math.log(8.5 / 0.5)
    counts = np.array([drawn.count(n) for n in range(1, 9)])
    assert float(((counts - 8000 * shares) ** 2 / (8000 * shares)).sum()) < 24.3


def test_plain_and_stepped_domains_are_drawn_evenly() -> None:
    for domain in (Int(1, 8), Int(0, 21, step=3), Float(0, 0.7, step=0.1), Choice(*"abcdefgh")):
        rng = np.random.default_rng(3)
        units = [domain.to_unit(domain.sample(rng)) for _ in range(8000)]
        counts, _ = np.histogram(units, bins=8, range=(0, 1))
        assert float(((counts - 1000) ** 2 / 1000).sum()) < 24.3, domain


def test_what_python_calls_equal_may_be_another_declaration() -> None:
    assert Choice(True, False) != Choice(1, 0)
    assert Choice(1) != Choice(1.0)
    assert Choice("a", "b") != Choice("b", "a")
    assert Choice("a", ordered=True) != Choice("a")
    assert Choice("a", "b") == Choice("a", "b")
    assert repr(Float(-0.0, 1, step=1)) == repr(Float(0, 1, step=1.0))


class Kind(enum.IntEnum):
    A = 1


@pytest.mark.parametrize(
    ("value", "hint"),
    [(Kind.A, r"got the Enum member .*; use .*\.value"), ([1, 2], r"write Choice\(1, 2\) if .* or a tuple")],
)
def test_what_looks_plain_and_is_not(value: object, hint: str) -> None:
    with pytest.raises(SpaceError, match=hint):
        Choice(value)
