"""Split: fractions, stratification, seeds, and what cannot be split."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Split
from archsearch.search.training.data.split import SplitRows, split_rows
from archsearch.spaces.errors import DataError


def labels_of(*counts: int) -> np.ndarray:
    """Class 0 counts[0] times, and so on, in random order."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels)


def held_out(*arguments, **options) -> SplitRows:
    """The rows where one part is held out."""
    (rows,) = split_rows(*arguments, **options)
    return rows


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"validation": 0.0}, r"validation must be between 0 and 1, got 0.0"),
        ({"validation": 1.0}, r"validation must be between 0 and 1, got 1.0"),
        ({"test": -0.1}, r"test must be in \[0, 1\), got -0.1"),
        ({"test": float("nan")}, r"test must be in"),
        ({"validation": 0.5, "test": 0.5}, r"nothing to train on: validation 0.5 \+ test 0.5"),
        ({"seed": -1}, r"seed must be an integer"),
        ({"seed": None}, r"seed must be an integer"),
        ({"folds": 1}, r"folds must be an integer of at least 2, got 1; 5 is common"),
        ({"folds": True}, r"folds must be an integer of at least 2, got True"),
        ({"folds": 2.5}, r"folds must be an integer of at least 2, got 2.5"),
        ({"by_time": 3}, r"by_time must be the name of a column, or True .* got 3"),
        ({"by_time": ""}, r"by_time must be the name of a column, or True .* got ''"),
        ({"folds": 5, "validation": 0.2}, "takes validation= or folds=, got both: each of the 5 folds .*; omit valid"),
        ({"groups": "patient", "by_time": True}, r"takes groups= or by_time=, got both"),
        ({"groups": [[1], [2]]}, r"one label per row, shape \(n,\), got shape \(2, 1\)"),
        ({"groups": [1.0, float("nan")]}, r"has 1 missing label, the first at row 1"),
        ({"groups": ["a", None, None]}, r"has 2 missing labels, the first at row 1"),
    ],
)
def test_illegal_fractions_fail_at_construction(fractions, message):
    with pytest.raises(DataError, match=message):
        Split(**fractions)


def test_every_row_is_in_exactly_one_part():
    rows = held_out(Split(validation=0.25, test=0.15), 200)
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (120, 50, 30)
    assert sorted(np.concatenate([rows.train, rows.validation, rows.test])) == list(range(200))


def test_classes_keep_their_shares():
    labels = labels_of(100, 300, 600)
    rows = held_out(Split(), 1000, labels=labels, classes="abc")
    for part in (rows.train, rows.validation, rows.test):
        np.testing.assert_allclose(np.bincount(labels[part]) / len(part), [0.1, 0.3, 0.6], atol=0.005)


def test_the_seed_decides():
    labels = labels_of(50, 50)
    first, again, other = (held_out(Split(seed=seed), 100, labels=labels, classes="ab") for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.train, again.train)
    np.testing.assert_array_equal(first.validation, again.validation)
    assert set(first.validation) != set(other.validation)


def test_an_official_test_part_is_kept_and_the_fractions_are_of_the_rest():
    rows = held_out(Split(validation=0.25, test=0.5), 120, official_test=20)
    assert list(rows.test) == list(range(100, 120))
    assert (len(rows.train), len(rows.validation)) == (75, 25)


def test_no_test_part_when_none_is_wanted():
    assert held_out(Split(test=0.0), 50).test is None


@pytest.mark.parametrize(("count", "parts"), [(2, 3), (1, 3)])
def test_a_class_with_fewer_samples_than_parts_is_named(count, parts):
    with pytest.raises(DataError, match=rf"class 'rare' has {count} samples? to split, and {parts} parts"):
        held_out(Split(), 100 + count, labels=labels_of(100, count), classes=("common", "rare"))


def test_a_class_that_only_the_official_test_part_has_is_named():
    labels = np.array([0, 1] * 20 + [2, 2])
    with pytest.raises(DataError, match="class 'c' has 0 samples to split"):
        held_out(Split(), 42, official_test=2, labels=labels, classes="abc")


def test_a_class_that_rounding_keeps_out_of_training_is_named():
    with pytest.raises(DataError, match="class 'rare' has 3"):
        held_out(Split(validation=0.85, test=0.1), 103, labels=labels_of(100, 3), classes=("common", "rare"))


def test_more_classes_than_a_part_has_rows():
    with pytest.raises(DataError, match=r"20 rows of 5 classes are too few for a stratified part of 2"):
        held_out(Split(validation=0.1, test=0.1), 20, labels=labels_of(4, 4, 4, 4, 4), classes="abcde")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_rows(count):
    with pytest.raises(DataError, match=rf"{count} rows? (is|are) too few"):
        held_out(Split(), count)


@given(
    keys=st.lists(st.integers(0, 9), min_size=10, max_size=80),
    seed=st.integers(0, 99),
    test=st.sampled_from([0.0, 0.2, 0.4]),
)
def test_no_group_is_in_two_parts(keys, seed, test):
    keys = np.array([*keys, *range(10)])
    rows = held_out(Split(validation=0.3, test=test, seed=seed, groups="g"), len(keys), keys=keys)
    parts = [rows.train, rows.validation, *([] if rows.test is None else [rows.test])]
    assert sorted(np.concatenate(parts)) == list(range(len(keys)))
    groups = [set(keys[part]) for part in parts]
    assert [len(group) for group in groups] == [7 - round(test * 10), 3, round(test * 10)][: len(parts)]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 10


def test_the_seed_decides_the_groups():
    keys = np.arange(200) // 4
    first, again, other = (held_out(Split(seed=seed, groups="g"), 200, keys=keys) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.train, again.train)
    assert set(first.validation) != set(other.validation)


@given(times=st.lists(st.integers(-5, 5), min_size=10, max_size=60), test=st.sampled_from([0.0, 0.2]))
def test_by_time_the_past_trains_and_the_future_tests(times, test):
    times = np.array(times)
    rows = held_out(Split(test=test, by_time="date"), len(times), keys=times)
    size = round(0.2 * len(times))
    parts = [rows.train, rows.validation, *([] if rows.test is None else [rows.test])]
    assert [len(part) for part in parts[1:]] == [size] * (len(parts) - 1)
    order = np.concatenate(parts)
    # In the order of time, and of the rows within one time.
    assert [(times[row], row) for row in order] == sorted((time, row) for row, time in enumerate(times))


def test_by_time_without_times_is_the_order_of_the_rows():
    rows = held_out(Split(validation=0.25, test=0.15, by_time=True), 20)
    np.testing.assert_array_equal(np.concatenate([rows.train, rows.validation, rows.test]), np.arange(20))
    assert (len(rows.train), len(rows.validation), len(rows.test)) == (12, 5, 3)


@pytest.mark.parametrize(("split", "expected"), [({"by_time": "t"}, range(75, 100)), ({"groups": "g"}, None)])
def test_an_official_test_part_is_kept_by_time_and_by_groups(split, expected):
    keys = np.concatenate([np.arange(100), np.full(20, -1)])  # the official part is the oldest, and stays so
    rows = held_out(Split(validation=0.25, test=0.5, **split), 120, official_test=20, keys=keys)
    assert list(rows.test) == list(range(100, 120))
    assert (len(rows.train), len(rows.validation)) == (75, 25)
    assert sorted(np.concatenate([rows.train, rows.validation])) == list(range(100))
    assert expected is None or list(rows.validation) == list(expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_fewer_than_parts(groups):
    with pytest.raises(DataError, match=rf"{groups} groups? (is|are) too few .* at least one group: give more"):
        held_out(Split(groups="g"), 90, keys=np.arange(90) % groups)


def test_a_class_that_groups_or_time_keep_out_of_training_is_named():
    labels = np.repeat([0, 1], [80, 20])
    told = "class 'late' has 20 samples but none in the training part; add samples, or make the other parts smal"
    with pytest.raises(DataError, match=f"{told}ler$"):
        held_out(Split(by_time=True), 100, labels=labels, classes=("early", "late"))
    keys = np.repeat([0, 1, 2, 3], [40, 20, 20, 20])
    found = []
    for seed in range(9):
        try:
            held_out(Split(seed=seed, groups="g"), 100, labels=labels, classes=("early", "late"), keys=keys)
        except DataError as error:
            found.append(str(error))
    assert 0 < len(found) < 9
    assert set(found) == {f"{told}ler, or try another Split(seed=)"}


def test_labels_compare_travel_and_are_short_when_shown():
    split = Split(groups=np.arange(5000))
    assert split == Split(groups=list(range(5000))) == pickle.loads(pickle.dumps(split))
    assert split != Split(groups=[1, *range(1, 5000)])
    assert hash(split) == hash(pickle.loads(pickle.dumps(split)))
    assert "groups=<5,000 labels>" in repr(split)
