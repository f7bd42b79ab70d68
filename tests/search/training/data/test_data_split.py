"""Split: fractions, stratification, seeds, and what cannot be split."""

from __future__ import annotations

import numpy as np
import pytest

from search.training.data import Split
from search.training.data.split import split_rows
from spaces.errors import DataError


def labels_of(*counts: int) -> np.ndarray:
    """Class 0 counts[0] times, and so on, in random order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"validation": 0.0}, r"validation must lie between 0 and 1, got 0.0"),
        ({"validation": 1.0}, r"validation must lie between 0 and 1, got 1.0"),
        ({"test": -0.1}, r"test must lie in \[0, 1\), got -0.1"),
        ({"test": float("nan")}, r"test must lie in"),
        ({"validation": 0.5, "test": 0.5}, r"nothing to train on: validation 0.5 \+ test 0.5"),
        ({"seed": -1}, r"seed must be a whole number"),
        ({"seed": None}, r"seed must be a whole number"),
    ],
)
def test_illegal_fractions_fail_at_construction(fractions, message):
    with pytest.raises(DataError, match=message):
        Split(**fractions)


def test_every_row_is_in_exactly_one_part():
    rows = split_rows(Split(validation=0.25, test=0.15), 200)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (120, 50, 30)
    assert sorted(np.concatenate([rows.train, rows.validation, rows.test])) == list(range(200))


def test_classes_keep_their_shares():
    labels = labels_of(100, 300, 600)
    rows = split_rows(Split(), 1000, labels=labels, classes="abc")
    for part in (rows.train, rows.validation, rows.test):
        np.testing.assert_allclose(np.bincount(labels[part]) / len(part), [0.1, 0.3, 0.6], atol=0.005)


def test_the_seed_decides():
    labels = labels_of(50, 50)
    first, again, other = (split_rows(Split(seed=seed), 100, labels=labels, classes="ab") for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert set(first.validation) != set(other.validation)


def test_an_official_test_part_is_kept_and_the_fractions_are_of_the_rest():
    rows = split_rows(Split(validation=0.25, test=0.5), 120, official_test=20)
    assert list(rows.test) == list(range(100, 120))
    assert (len(rows.train), len(rows.validation)) == (75, 25)


def test_no_test_part_when_none_is_wanted():
    assert split_rows(Split(test=0.0), 50).test is None


@pytest.mark.parametrize(("count", "parts"), [(2, 3), (1, 3)])
def test_a_class_with_fewer_samples_than_parts_is_named(count, parts):
    with pytest.raises(DataError, match=rf"class 'rare' has {count} samples? to split, and {parts} parts"):
        split_rows(Split(), 100 + count, labels=labels_of(100, count), classes=("common", "rare"))


def test_a_class_that_only_the_official_test_part_has_is_named():
    labels = np.array([0, 1] * 20 + [2, 2])
    with pytest.raises(DataError, match="class 'c' has 0 samples to split"):
        split_rows(Split(), 42, official_test=2, labels=labels, classes="abc")


def test_a_class_that_rounding_keeps_out_of_training_is_named():
    with pytest.raises(DataError, match="class 'rare' has 3"):
        split_rows(Split(validation=0.85, test=0.1), 103, labels=labels_of(100, 3), classes=("common", "rare"))


def test_more_classes_than_a_part_has_rows():
    with pytest.raises(DataError, match=r"20 rows of 5 classes cannot give a stratified part of 2"):
        split_rows(Split(validation=0.1, test=0.1), 20, labels=labels_of(4, 4, 4, 4, 4), classes="abcde")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_rows(count):
    with pytest.raises(DataError, match=f"{count} rows are too few"):
        split_rows(Split(), count)
