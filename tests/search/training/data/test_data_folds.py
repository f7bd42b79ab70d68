"""Folds: each row validates once, stratified, by groups or in windows of time; and each is fitted on its own rows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from archsearch import Split, arrays, csv, digits, iris, text
from archsearch.search.training.data.split import split_rows
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)
FOLDS = st.integers(2, 6)
SEEDS = st.integers(0, 99)


def validated(folds) -> list[int]:
    return sorted(np.concatenate([fold.validation for fold in folds]))


@given(count=st.integers(10, 60), k=FOLDS, seed=SEEDS, test=st.sampled_from([0.0, 0.2]))
def test_every_row_validates_once_and_trains_in_all_other_folds(count, k, seed, test):
    folds = split_rows(Split(folds=k, seed=seed, test=test), count)
    assert len(folds) == k
    free = validated(folds)
    tested = [] if folds[0].test is None else list(folds[0].test)
    assert sorted([*free, *tested]) == list(range(count))
    for fold in folds:
        assert sorted([*fold.train, *fold.validation]) == free
        assert abs(len(fold.validation) - len(free) / k) < 1


@given(labels=st.lists(st.integers(0, 2), max_size=60), k=FOLDS, seed=SEEDS)
def test_the_counts_of_a_class_differ_by_one_at_most(labels, k, seed):
    labels = np.array([*labels, *[0, 1, 2] * k])
    folds = split_rows(Split(folds=k, seed=seed, test=0), len(labels), labels=labels, classes="abc")
    assert validated(folds) == list(range(len(labels)))
    counts = np.array([np.bincount(labels[fold.validation], minlength=3) for fold in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()


@given(
    keys=st.lists(st.integers(0, 9), max_size=40),
    k=FOLDS,
    seed=SEEDS,
    test=st.sampled_from([0.0, 0.2]),
    classes=st.booleans(),
)
def test_no_group_is_in_two_folds(keys, k, seed, test, classes):
    keys = np.array([*keys, *range(10)])
    labels = np.random.default_rng(seed).integers(2, size=len(keys)) if classes else None
    try:
        folds = split_rows(
            Split(folds=k, seed=seed, test=test, groups="g"), len(keys), keys=keys, labels=labels, classes="ab"
        )
    except DataError:
        assume(not classes)  # a class may be too rare, or all in one fold
        raise
    tested = [] if folds[0].test is None else [folds[0].test]
    assert sorted(np.concatenate([*(fold.validation for fold in folds), *tested])) == list(range(len(keys)))
    parts = [set(keys[part]) for part in [*(fold.validation for fold in folds), *tested]]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10


def test_groups_are_stratified_as_far_as_they_let():
    keys = np.arange(300) // 3
    labels = np.repeat([0, 1], [240, 60])
    for fold in split_rows(Split(folds=5, test=0, groups="g"), 300, keys=keys, labels=labels, classes="ab"):
        assert 10 <= labels[fold.validation].sum() <= 14


@given(times=st.lists(st.integers(-5, 5), min_size=12, max_size=60), k=FOLDS, test=st.sampled_from([0.0, 0.2]))
def test_by_time_each_window_follows_all_that_it_is_trained_on(times, k, test):
    times = np.array(times)
    folds = split_rows(Split(folds=k, test=test, by_time="date"), len(times), keys=times)
    order = sorted(range(len(times)), key=lambda row: (times[row], row))
    size = (len(times) - (0 if folds[0].test is None else len(folds[0].test))) // (k + 1)
    before: list[int] = []
    for fold in folds:
        assert len(fold.validation) == size
        assert [*fold.train, *fold.validation] == order[: len(fold.train) + size]
        assert not before or [*fold.train] == before
        before = [*fold.train, *fold.validation]
    assert before + ([] if folds[0].test is None else list(folds[0].test)) == order


@pytest.mark.parametrize("split", [{}, {"groups": "g"}, {"by_time": "t"}])
def test_the_test_part_is_that_of_a_split_without_folds_and_in_no_fold(split):
    keys, labels = np.arange(120) // 2, np.arange(120) % 2
    given = {"keys": keys if split else None, "labels": labels, "classes": "ab"}
    folds = split_rows(Split(folds=4, seed=3, **split), 120, **given)
    (held_out,) = split_rows(Split(seed=3, **split), 120, **given)
    for fold in folds:
        np.testing.assert_array_equal(fold.test, held_out.test)
        assert not {*fold.train, *fold.validation} & {*held_out.test}
    official = split_rows(Split(folds=4, seed=3, **split), 120, official_test=20, **given)
    assert [list(fold.test) for fold in official] == [list(range(100, 120))] * 4
    assert set(validated(official)) <= set(range(100))


def test_the_seed_decides():
    first, again, other = (split_rows(Split(folds=3, seed=seed), 60) for seed in (1, 1, 2))
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left.validation, right.validation)
    assert set(first[0].validation) != set(other[0].validation)


def test_validation_is_not_asked():
    assert len(split_rows(Split(test=0.8, folds=2), 100)[0].validation) == 10


@pytest.mark.parametrize(
    ("split", "count", "given", "message"),
    [
        ({"folds": 6, "test": 0}, 5, {}, r"5 rows are too few for folds=6, test=0; .* give more data or fewer folds"),
        ({"folds": 5}, 5, {}, "5 rows are too few for folds=5, test=0.2"),
        ({"folds": 5, "by_time": True, "test": 0}, 5, {}, "5 rows are too few for folds=5"),
        ({"folds": 4, "groups": "g", "test": 0}, 30, {"keys": np.arange(30) % 3}, "3 groups are too few for folds=4"),
        (
            {"folds": 5, "test": 0},
            34,
            {"labels": np.repeat([0, 1], [30, 4]), "classes": ("common", "rare")},
            "class 'rare' has 4 samples outside the test part, and 5 folds need at least one each; add samples",
        ),
        (
            {"folds": 5, "test": 0.5},
            36,
            {"labels": np.repeat([0, 1], [30, 6]), "classes": ("common", "rare")},
            "class 'rare' has 3 samples outside the test part, and 5 folds",
        ),
        (
            {"folds": 2, "test": 0, "groups": "g"},
            40,
            {"labels": np.repeat([0, 1], [30, 10]), "classes": "ab", "keys": np.repeat([0, 1, 2, 3], 10)},
            "class 'b' has 10 samples but none in the training part; .* or use fewer folds, or try another Split",
        ),
        (
            {"folds": 4, "test": 0, "by_time": True},
            40,
            {"labels": np.repeat([0, 1], [30, 10]), "classes": ("early", "late")},
            "class 'late' has 10 samples but none in the training part; add samples, or use fewer folds$",
        ),
    ],
)
def test_folds_that_cannot_be(split, count, given, message):
    with pytest.raises(DataError, match=message):
        split_rows(Split(**split), count, **given)


@pytest.mark.parametrize("shape", [(3,), (4, 5)], ids=["table", "images"])
def test_no_fold_knows_more_than_its_training_part(shape):
    """Whatever the other rows hold, it changes neither a fold's training part nor how its inputs are scaled."""
    inputs, targets, split = RNG.normal(5, 3, (100, *shape)), RNG.normal(5, 3, 100), Split(seed=1, folds=4)
    clean = arrays(inputs, targets, split=split).prepare()
    for number, (fold, rows) in enumerate(zip(clean.folds, split_rows(split, 100), strict=True)):
        others = np.setdiff1d(np.arange(100), rows.train)
        shifted, high = inputs.copy(), targets.copy()
        shifted[others] += 1e6
        high[others] += 1e6
        leaked = arrays(shifted, high, split=split).prepare().folds[number]
        np.testing.assert_array_equal(fold.train.inputs, leaked.train.inputs)
        np.testing.assert_array_equal(fold.train.targets, leaked.train.targets)
        assert (fold.target_mean, fold.target_std) == (leaked.target_mean, leaked.target_std)
        assert fold.train.targets.std() == pytest.approx(1, abs=1e-5)
        assert fold.validation.inputs.max() < 10 < leaked.validation.inputs.min()


def test_each_fold_has_its_own_columns(tmp_path):
    """A category that only validates in a fold is no input of it."""
    path = tmp_path / "rare.csv"
    path.write_text(
        "\n".join(["x,word,y", *(f"{row},{'rare' if row == 7 else 'ab'[row % 2]},{row}" for row in range(40))])
    )
    prepared = csv(path, target="y", split=Split(folds=4, test=0)).prepare()
    seven = [(fold.validation.targets * fold.target_std + fold.target_mean).round() == 7 for fold in prepared.folds]
    assert [("word=rare" in fold.feature_names, len(fold.inputs.shape)) for fold in prepared.folds] == [
        (not validates.any(), 1) for validates in seven
    ]
    assert {fold.inputs.shape for fold in prepared.folds} == {(3,), (4,)}
    assert {fold.cleaning.unseen for fold in prepared.folds} == {0, 1}


def test_each_fold_has_its_own_vocabulary(tmp_path):
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(["y,text", *(f"{'no' if row % 2 else 'yes'},same own{row}" for row in range(20))]))
    prepared = text(path, target="y", text="text", split=Split(folds=4, test=0)).prepare()
    for fold in prepared.folds:
        assert len(fold.tokens) == 2 + 1 + 15
        assert (fold.train.inputs > 1).all()
        assert (fold.validation.inputs == 1).any(axis=1).all()  # its own word is unknown


def test_the_first_fold_carries_the_others_and_alone_the_test_part():
    prepared = iris(split=Split(folds=3)).prepare()
    assert prepared.folds == (prepared, *prepared.others)
    assert [fold.test is None for fold in prepared.folds] == [False, True, True]
    assert all(fold.test is None for fold in prepared.without_test().folds)
    assert [len(fold.validation) for fold in prepared.folds] == [40, 40, 40]
    (alone,) = iris().prepare().folds
    assert alone.others == ()
    copy = pickle.loads(pickle.dumps(prepared))
    np.testing.assert_array_equal(copy.others[1].train.inputs, prepared.others[1].train.inputs)


def test_folds_change_the_fingerprint_and_none_leaves_it_as_it_always_was():
    data = [digits(split=Split(folds=folds)).prepare().fingerprint for folds in (None, 2, 3)]
    assert len(set(data)) == 3
    inputs = np.arange(60.0).reshape(20, 3)
    before = arrays(inputs, np.arange(20) * 1.5, split=Split(by_time=True)).prepare().fingerprint
    assert before == "0b0dba047e41a9ce"  # as a store of before there were folds has it
