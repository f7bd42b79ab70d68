"""The registry of pruners: it resolves, lists itself, and corrects a mistaken name."""

from __future__ import annotations

import pytest

from archsearch import Extrapolation, Median, Never, Patience, Percentile, SpecError, SuccessiveHalving
from archsearch.search.pruners import PRUNERS, pruner


def test_each_name_gives_the_pruner_with_its_defaults() -> None:
    made = {name: pruner(name) for name in PRUNERS}
    known = {"extrapolation": Extrapolation(), "halving": SuccessiveHalving(), "median": Median(), "none": Never()}
    assert made == {**known, "patience": Patience(), "percentile": Percentile()}


@pytest.mark.parametrize("name", ["Halving", "SuccessiveHalving", "successive_halving"])
def test_a_name_is_known_in_any_case_and_by_its_class(name: str) -> None:
    assert pruner(name) == SuccessiveHalving()


def test_a_mistaken_name_is_corrected() -> None:
    with pytest.raises(SpecError, match=r"unknown pruner 'medain'; known: extrapolation, .*; did you mean 'median'"):
        pruner("medain")
