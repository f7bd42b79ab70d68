"""Priors: draws follow their density, nothing is excluded, and without one nothing changes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Choice, Float, Int, Prior, Space, SpaceError
from archsearch.spaces.domains import Domain, domain_from_json
from archsearch.spaces.priors import UNIFORM_SHARE, TruncatedNormal

LEANING: list[Domain] = [
    Float(0, 1, prior=Prior(0.3, width=0.1)),
    Float(1e-5, 1e-1, log=True, prior=Prior(1e-3)),
    Float(1e-5, 1e-1, log=True, prior=Prior(1e-5, width=0.02)),
    Float(0, 1, step=0.25, prior=Prior(0.25, width=0.3)),
    Int(1, 9, prior=Prior(7)),
    Int(1, 64, log=True, prior=Prior(64, width=1)),
    Int(0, 100, step=5, prior=Prior(50, width=0.05)),
    Choice("sgd", "adam", "adamw", prior=(1, 2, 5)),
]


@pytest.mark.parametrize("domain", LEANING, ids=str)
def test_draws_follow_the_density(domain: Domain) -> None:
    rng = np.random.default_rng(5)
    bins = 20 if domain.size() > 20 else int(domain.size())
    points = (np.arange(bins * 500) + 0.5) / (bins * 500)
    # Draws fall where their value's share of the unit interval is, so the density is averaged over whole shares.
    density = np.array([domain.prior_density(domain.from_unit(unit)) for unit in points])
    assert density.mean() == pytest.approx(1, abs=2e-3)
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(edges, [domain.to_unit(domain.from_unit(unit)) for unit in points]) - 1
    expected = 20_000 * np.bincount(places, weights=density, minlength=bins) / len(points)
    drawn = np.searchsorted(edges, [domain.to_unit(domain.sample(rng)) for _ in range(20_000)]) - 1
    counts = np.bincount(drawn, minlength=bins)
    some = expected > 0  # of log Ints, shares are uneven, and a bin may have none
    assert counts[~some].sum() == 0
    chi_square = float(((counts - expected)[some] ** 2 / expected[some]).sum())
    assert chi_square < bins + 4 * (2 * bins) ** 0.5  # four standard deviations


def test_weights_are_taken_as_given() -> None:
    domain = Choice("a", "b", "c", prior=(3, 1, 4))
    assert [domain.draw(u) for u in (0.0, 0.374, 0.375, 0.499, 0.5, 0.999999)] == ["a", "a", "b", "b", "c", "c"]
    assert [domain.prior_density(v) for v in "abc"] == [3 * 3 / 8, 3 / 8, 3 * 4 / 8]
    assert [domain.from_unit(u) for u in (0.0, 0.34, 0.7)] == ["a", "b", "c"]  # the unit interval stays uniform


def test_one_draw_in_five_is_even() -> None:
    domain = Float(0, 1, prior=Prior(0.9, width=0.01))
    assert [domain.draw(u) for u in (0.0, 0.1, 0.15)] == [0.0, 0.1 / UNIFORM_SHARE, pytest.approx(0.75)]
    assert all(0.85 < domain.draw(u) < 0.95 for u in np.linspace(0.21, 0.99, 50))
    assert domain.draw(0.6) == pytest.approx(0.9)  # the middle of the normal part
    assert domain.prior_density(0.1) == pytest.approx(UNIFORM_SHARE)
    assert domain.prior_density(0.9) == pytest.approx(UNIFORM_SHARE + 0.8 / (0.01 * (2 * np.pi) ** 0.5))


def test_a_normal_cut_off_at_its_middle_is_half_a_normal() -> None:
    bell = TruncatedNormal(0.0, 0.1)
    assert bell.quantile(UNIFORM_SHARE) == pytest.approx(0, abs=1e-12)
    assert bell.quantile(UNIFORM_SHARE + 0.8 * 0.6826894921) == pytest.approx(0.1)  # one standard deviation
    assert bell.density(0, 1) == pytest.approx(1)
    assert bell.density(0, 0.1) == pytest.approx(UNIFORM_SHARE + 0.8 * 6.826894921)


@given(middle=st.floats(0, 1), width=st.floats(1e-9, 1), uniform=st.floats(0, 1, exclude_max=True))
def test_every_draw_is_a_place(middle: float, width: float, uniform: float) -> None:
    bell = TruncatedNormal(middle, width)
    assert 0 <= bell.quantile(uniform) <= 1
    assert 0 <= bell.quantile(0.0) < bell.quantile(UNIFORM_SHARE * 0.999) <= 1
    assert bell.density(0, 1) == pytest.approx(1)


@given(data=st.data())
def test_draws_lie_in_the_domain_and_no_value_is_excluded(data: Any, any_domain: Any) -> None:
    domain, uniform = data.draw(any_domain), data.draw(st.floats(0, 1, exclude_max=True))
    assert domain.draw(uniform) in domain
    least = min(domain.prior) / sum(domain.prior) if isinstance(domain, Choice) and domain.prior else UNIFORM_SHARE
    assert domain.prior_density(domain.from_unit(data.draw(st.floats(0, 1)))) >= least * (1 - 1e-9)
    if domain.prior is None:
        assert repr(domain.draw(uniform)) == repr(domain.from_unit(uniform))
        assert domain.prior_density(domain.from_unit(uniform)) == 1


@pytest.mark.parametrize("domain", LEANING, ids=str)
def test_json_repr_equality_and_hash_carry_the_prior(domain: Domain) -> None:
    bare = domain_from_json({key: value for key, value in domain.to_json().items() if key != "prior"})
    for same in (domain_from_json(domain.to_json()), pickle.loads(pickle.dumps(domain))):
        assert same == domain
        assert hash(same) == hash(domain)
        assert [same.draw(u) for u in (0.1, 0.5, 0.9)] == [domain.draw(u) for u in (0.1, 0.5, 0.9)]
    assert bare != domain
    assert "prior" in repr(domain)
    assert "prior" not in repr(bare)
    assert "prior" not in bare.to_json()
    assert Space(a=domain).digest() != Space(a=bare).digest()


def test_a_prior_is_written_in_one_way() -> None:
    assert Float(0, 2, prior=Prior(1)) == Float(0.0, 2.0, prior=Prior(np.float64(1.0), width=0.2))
    assert Int(1, 4, prior=Prior(np.int64(2))) == Int(1, 4, prior=Prior(2))
    assert Choice("a", "b", prior=[1, 2]) == Choice("a", "b", prior=(1.0, np.int64(2)))
    assert Int(1, 4, prior=Prior(2, width=1)).to_json()["prior"] == {"value": 2, "width": 1.0}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Prior("a"), "Prior value must be a finite number, got 'a'"),
        (lambda: Prior(True), "Prior value must be a finite number, got True"),
        (lambda: Prior(float("nan")), "Prior value must be a finite number, got nan"),
        (lambda: Prior(1, width=0), r"Prior width must be in \(0, 1\].*got 0"),
        (lambda: Prior(1, width=1.5), r"Prior width must be in \(0, 1\].*got 1.5"),
        (lambda: Int(1, 4, prior=Prior(9)), "the prior's value 9 is not in the domain"),
        (lambda: Int(1, 4, prior=Prior(2.5)), "the prior's value 2.5 is not"),
        (lambda: Float(0, 1, step=0.5, prior=Prior(0.3)), "the prior's value 0.3 is not"),
        (lambda: Float(0, 1, prior=0.3), r"prior must be Prior\(value, width=…\), got 0.3"),
        (lambda: Choice("a", "b", prior=(1,)), r"one positive weight for each of the 2 values, got \(1,\)"),
        (lambda: Choice("a", "b", prior=(1, 0)), "one positive weight for each"),
        (lambda: Choice("a", "b", prior=(1, True)), "one positive weight for each"),
        (lambda: Choice("a", "b", prior=(1, float("inf"))), "one positive weight for each"),
        (lambda: Choice("a", "b", prior=Prior("a")), "Prior value must be a finite number"),
        (lambda: Choice(1, 2, prior=Prior(1)), "one positive weight for each"),
    ],
)
def test_what_is_invalid_is_refused_with_a_fix(make: Any, says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        make()
