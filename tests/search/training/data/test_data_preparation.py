"""Data.prepare: tasks, shapes, and statistics that come from the training part alone."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import archsearch.search.training.data as package
from archsearch import Data, DataSource, Prepared, Split, arrays, breast_cancer, csv, diabetes, digits, idx, iris, wine
from archsearch.search.training.data.prepared import Cleaning, Part
from archsearch.search.training.data.split import split_rows
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)


def assert_same(left: Prepared, right: Prepared) -> None:
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(left, part).inputs, getattr(right, part).inputs)
        np.testing.assert_array_equal(getattr(left, part).targets, getattr(right, part).targets)


@pytest.mark.parametrize(
    ("data", "rows", "shape", "outputs", "task"),
    [
        (digits(), 1797, (8, 8), 10, "classification"),
        (iris(), 150, (4,), 3, "classification"),
        (wine(), 178, (13,), 3, "classification"),
        (breast_cancer(), 569, (30,), 2, "classification"),
        (diabetes(), 442, (10,), 1, "regression"),
    ],
)
def test_bundled(data, rows, shape, outputs, task):
    prepared = data.prepare()
    parts = (prepared.train, prepared.validation, prepared.test)
    assert sum(map(len, parts)) == rows
    assert (prepared.inputs.shape, prepared.outputs, prepared.task) == (shape, outputs, task)
    assert len(prepared.feature_names) == (0 if len(shape) > 1 else shape[0])
    for part in parts:
        assert part.inputs.dtype == np.float32
        assert part.inputs.flags.c_contiguous
        assert part.targets.dtype == (np.int64 if task == "classification" else np.float32)
        assert np.isfinite(part.inputs).all()


def test_classes_are_named():
    assert iris().prepare().classes == ("setosa", "versicolor", "virginica")
    assert digits().prepare().classes == tuple("0123456789")
    assert diabetes().prepare().classes == ()


def test_without_test_only_loses_the_test_part():
    prepared = iris().prepare()
    given = prepared.without_test()
    assert given.test is None
    assert given.train is prepared.train
    assert prepared.test is not None


@pytest.mark.parametrize("shape", [(3,), (4, 5)], ids=["table", "images"])
def test_other_parts_do_not_leak_into_the_statistics(shape):
    inputs, targets = RNG.normal(5, 3, (100, *shape)), np.arange(100) % 2
    clean = arrays(inputs, targets, split=Split(seed=1)).prepare()
    (rows,) = split_rows(Split(seed=1), 100, labels=targets, classes="ab")
    shifted = inputs.copy()
    shifted[np.concatenate([rows.validation, rows.test])] += 1e6
    leaked = arrays(shifted, targets, split=Split(seed=1)).prepare()
    np.testing.assert_array_equal(clean.train.inputs, leaked.train.inputs)
    assert clean.validation.inputs.max() < 10 < leaked.validation.inputs.min()
    axes = 0 if len(shape) == 1 else None  # per column of a table; one for all pixels
    np.testing.assert_allclose(clean.train.inputs.mean(axes), 0, atol=1e-6)
    np.testing.assert_allclose(clean.train.inputs.std(axes), 1, atol=1e-5)


def test_regression_targets_are_standardised_by_the_training_part():
    targets = RNG.normal(40, 7, 100)
    far = np.full(20, 1e6)
    inputs = np.column_stack([targets, RNG.normal(size=100)])
    prepared = arrays(inputs, targets, test=(np.zeros((20, 2)), far)).prepare()
    assert prepared.task == "regression"
    assert prepared.train.targets.mean() == pytest.approx(0, abs=1e-6)
    assert prepared.train.targets.std() == pytest.approx(1, abs=1e-5)
    assert 35 < prepared.target_mean < 45
    restored = prepared.test.targets * prepared.target_std + prepared.target_mean
    np.testing.assert_allclose(restored, far, rtol=1e-6)


def test_constant_images_give_zeros_not_nan():
    assert (arrays(np.full((60, 2, 2), 7), np.arange(60) % 2).prepare().train.inputs == 0).all()


@pytest.mark.parametrize(
    ("targets", "task", "classes"),
    [
        (["no", "yes"] * 30, "classification", ("no", "yes")),
        ([True, False] * 30, "classification", ("False", "True")),
        (np.array(["a", "b"] * 30, dtype=object), "classification", ("a", "b")),
        ([0, 1, 2] * 20, "classification", ("0", "1", "2")),
        ([0.0, 1.0] * 30, "classification", ("0", "1")),
        (np.array([0, 1.0] * 30, dtype=object), "classification", ("0", "1")),
        ([-2, 10, 9] * 20, "classification", ("-2", "9", "10")),
        ([0.5, 1.0] * 30, "regression", ()),
        (list(range(20)) * 5, "classification", tuple(map(str, range(20)))),
        ([*range(21)] * 5, "regression", ()),
    ],
)
def test_the_task_is_inferred(targets, task, classes):
    inputs = RNG.normal(size=(len(targets), 2))
    prepared = arrays(inputs, targets, split=Split(0.4, 0.2)).prepare()
    assert (prepared.task, prepared.classes) == (task, classes)


def test_the_task_can_be_said():
    inputs, targets = RNG.normal(size=(60, 2)), np.arange(60) % 3
    prepared = arrays(inputs, targets, task="regression").prepare()
    assert (prepared.task, prepared.outputs, prepared.train.targets.dtype) == ("regression", 1, np.float32)
    with pytest.raises(DataError, match=r"unknown task 'regresion'; known: .* did you mean 'regression'"):
        arrays(inputs, targets, task="regresion")
    with pytest.raises(DataError, match=r"task='regression' needs numeric targets, got 'a'"):
        arrays(inputs, ["a", "b"] * 30, task="regression").prepare()


def test_an_official_test_part_is_respected():
    test_inputs = RNG.normal(size=(10, 2))
    data = arrays(RNG.normal(size=(50, 2)), [0, 1] * 25, test=(test_inputs, [1, 0] * 5), split=Split(test=0.5))
    prepared = data.prepare()
    assert (len(prepared.train), len(prepared.validation)) == (40, 10)
    np.testing.assert_array_equal(prepared.test.targets, [1, 0] * 5)
    assert np.corrcoef(prepared.test.inputs[:, 0], test_inputs[:, 0])[0, 1] == pytest.approx(1)


def nan_at(*place: int, shape: tuple[int, ...] = (20, 3)) -> np.ndarray:
    values = np.zeros(shape)
    values[place] = np.nan
    return values


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (nan_at(7, 2), [0, 1] * 10, "inputs have 1 non-finite value, the first at row 7, column 2: nan"),
        (nan_at(3, 1, 0, shape=(20, 2, 2)), [0, 1] * 10, "the first at row 3, column 1, 0"),
        (np.full((20, 2), np.inf), [0, 1] * 10, "inputs have 40 non-finite values, .* row 0, column 0: inf"),
        (np.zeros((20, 2)), nan_at(4, shape=(20,)), "targets have 1 non-finite value, the first at row 4"),
        (np.zeros((20, 2)), [*"ab" * 9, "a", None], "targets have 1 missing value, the first at row 19"),
        (np.zeros((20, 2)), [0, 1] * 9, "20 inputs but 18 targets"),
        (np.zeros((0, 2)), [], "inputs are empty"),
        (np.zeros((20, 0)), [0, 1] * 10, "inputs are empty"),
        (np.zeros(20), [0, 1] * 10, r"inputs must have shape \(n, features\), got \(20,\)"),
        (np.zeros((20, 2)), np.zeros((20, 1, 1)), r"targets must have shape \(n,\), or .* got \(20, 1, 1\)"),
        ([["a", "b"]] * 20, [0, 1] * 10, r"inputs must be numbers, got <U1; .* csv\(\)"),
        (np.array([[1, "b"]] * 20, dtype=object), [0, 1] * 10, "inputs mix types"),
        (np.ones((20, 2)) * 1j, [0, 1] * 10, "inputs must be numbers, got complex128"),
        (np.zeros((20, 2)), [3] * 20, "every row has the class '3'"),
        (np.arange(40.0).reshape(20, 2), [0.5] * 20, "every target of the training part is 0.5"),
        (np.full((20, 2), 1e300), [0, 1] * 10, r"column 'x0' contains 1e\+300, beyond"),
    ],
)
def test_malformed_arrays(inputs, targets, message):
    data = arrays(inputs, np.array(targets, dtype=object) if None in list(targets) else targets)
    with pytest.raises(DataError, match=message):
        data.prepare()


@pytest.mark.parametrize("targets", [np.arange(20) % 2, np.arange(20) / 7, np.array([*"ab"] * 10, object)])
def test_a_column_of_targets_is_taken_as_one_target_per_row(targets):
    flat, column = (arrays(np.arange(40.0).reshape(20, 2), each) for each in (targets, targets[:, None]))
    assert column.task() == flat.task()
    np.testing.assert_array_equal(column.prepare().train.targets, flat.prepare().train.targets)
    assert column.prepare().fingerprint == flat.prepare().fingerprint
    official = arrays(np.arange(40.0).reshape(20, 2), targets, test=(np.ones((4, 2)), targets[:4, None]))
    assert official.prepare().test.targets.shape == (4,)


def test_ragged_lists_and_other_test_shapes():
    with pytest.raises(DataError, match="inputs cannot be converted to an array"):
        arrays([[1, 2], [3]], [0, 1])
    data = arrays(np.zeros((20, 3)), [0, 1] * 10, test=(np.zeros((4, 2)), [0, 1] * 2))
    with pytest.raises(DataError, match="test inputs have shape"):
        data.prepare()


def test_same_declaration_same_arrays_other_seed_others():
    assert_same(iris(split=Split(seed=5)).prepare(), iris(split=Split(seed=5)).prepare())
    other = iris(split=Split(seed=6)).prepare()
    assert not np.array_equal(iris(split=Split(seed=5)).prepare().train.inputs, other.train.inputs)


def test_data_and_prepared_pickle():
    for data in (
        digits(),
        csv("a.csv", target="y", categories="codes"),
        idx("mnist"),
        idx(("i", "l"), test=("ti", "tl")),
    ):
        assert pickle.loads(pickle.dumps(data)) == data
    data = arrays(RNG.normal(size=(30, 2)), [0, 1, 2] * 10)
    assert_same(pickle.loads(pickle.dumps(data)).prepare(), pickle.loads(pickle.dumps(data.prepare())))


def test_reprs_are_short_and_say_what_it_is():
    assert "digits" in repr(digits())
    assert "a.csv" in repr(csv("a.csv", target="y"))
    data = arrays(np.zeros((100, 50)), np.zeros(100))
    assert "float64 (100, 50)" in repr(data)
    assert len(repr(iris().prepare())) < 600


def test_a_part_refuses_what_cannot_be_shared():
    with pytest.raises(DataError, match=r"float32 .*inputs"):
        Part(np.zeros((3, 2)), np.zeros(3, dtype=np.int64))
    with pytest.raises(DataError, match="inputs"):
        Part(np.zeros((3, 2), dtype=np.float32), np.zeros(4, dtype=np.int64))
    with pytest.raises(DataError, match="C-contiguous"):
        Part(np.zeros((2, 3), dtype=np.float32).T, np.zeros(3, dtype=np.int64))


def test_a_user_can_bring_a_source():
    class Flowers(DataSource):
        def load(self):
            return iris().source.load()

    assert Data(Flowers()).prepare().outputs == 3


def test_all_is_sorted_and_complete():
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_a_declaration_loads_neither_sklearn_nor_data():
    code = (
        "import sys; from archsearch.search.training.data import csv, digits; digits(); csv('no-such.csv', target='y');"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_was_cleaned_is_counted_and_said(tmp_path):
    cells = {
        "x": ["", "?", *range(2, 60)],
        "zero": [0] * 60,
        "same": ["a"] * 60,
        "word": ["b", "NA", "c"] * 20,
        "half": ["5", ""] * 30,
        "y": [row * 1.5 for row in range(60)],
    }
    cells["word"][59] = "new"  # of the last rows, which test
    path = tmp_path / "cells.csv"
    path.write_text("\n".join(",".join(map(str, line)) for line in [list(cells), *zip(*cells.values(), strict=True)]))
    for categories, names in (("one_hot", ("x", "word=(missing)", "word=b", "word=c")), ("codes", ("x", "word"))):
        prepared = csv(path, target="y", categories=categories, split=Split(by_time=True)).prepare()
        assert prepared.feature_names == names
        assert prepared.cleaning == Cleaning(rows=60, columns=5, filled=2, constant=3, unseen=1)
        assert prepared.inputs.shape == (len(names),)
    told = "60 rows, 5 columns; 2 missing cells filled, 3 constant columns dropped, 1 cell of a category that is not in"
    assert str(prepared.cleaning) == f"{told} training"


def test_the_column_of_a_split_is_not_counted():
    data = arrays(RNG.normal(size=(45_211, 3)), RNG.normal(size=45_211), split=Split(by_time="x1"))
    assert str(data.prepare().cleaning) == "45,211 rows, 2 columns; 0 missing cells filled, 0 constant columns dropped"
    assert data.prepare().feature_names == ("x0", "x2")
    assert str(digits().prepare().cleaning) == "1,797 rows"


def test_a_constant_column_is_dropped_and_one_that_varies_in_training_is_not():
    inputs = np.column_stack([np.full(60, 0.1), np.arange(60) == 3, np.arange(60) > 50])
    prepared = arrays(inputs, np.arange(60.0), split=Split(by_time=True)).prepare()
    assert prepared.feature_names == ("x1",)
    assert prepared.cleaning.constant == 2
    with pytest.raises(DataError, match="no column varies in the training part of 36 rows"):
        arrays(inputs[:, ::2], np.arange(60.0), split=Split(by_time=True)).prepare()
