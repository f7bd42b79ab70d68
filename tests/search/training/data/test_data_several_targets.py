"""Several targets per row: what they are taken for, how they are prepared, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from archsearch import Data, DataError, DataSource, Samples, Split, Streaming, arrays, dataset, npz
from archsearch.search.training.data.targets import resolve_task

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(60, 3))
LABELS = RNG.integers(2, size=(60, 4))
NUMBERS = RNG.normal(size=(60, 2)) * [1.0, 1000.0] + [5.0, -300.0]
ONE_HOT = np.eye(3, dtype=int)[np.arange(60) % 3]
COUNTS = RNG.integers(5, size=(60, 2))


@pytest.mark.parametrize(
    ("declared", "targets", "task"),
    [
        (None, LABELS, "multilabel"),
        (None, LABELS.astype(bool), "multilabel"),
        (None, LABELS.astype(float), "multilabel"),
        ("classification", LABELS, "multilabel"),
        ("multilabel", LABELS, "multilabel"),
        ("multilabel", ONE_HOT, "multilabel"),
        ("regression", LABELS, "regression"),
        (None, NUMBERS, "regression"),
        (None, RNG.integers(1000, size=(60, 2)), "regression"),
        ("regression", COUNTS, "regression"),
    ],
)
def test_what_several_targets_are_taken_for(declared, targets, task):
    data = arrays(INPUTS, targets, task=declared)
    assert data.prepare().task == resolve_task(declared, targets) == task
    assert declared is not None or data.task() == task


@pytest.mark.parametrize(
    ("targets", "task", "message"),
    [
        (
            ONE_HOT,
            None,
            r"of shape \(60, 3\) have exactly one 1 in every row, .* targets.argmax\(axis=1\) .*'multilabel'",
        ),
        (ONE_HOT, "classification", "exactly one 1 in every row"),
        (COUNTS, None, "are whole numbers from 0 to 4, which may be classes or quantities; pass task='regression'"),
        (COUNTS, "classification", r"labels must be 0 or 1, got \d at row \d, column \d of targets \(60, 2\)"),
        (NUMBERS, "multilabel", "labels must be 0 or 1, got"),
        (LABELS[:, 0], "multilabel", r"needs targets of shape \(n, labels\), .* got \(60,\)"),
        (np.array([["a", "b"]] * 60), None, "must be numbers or bools, got text; encode labels as columns of 0 and 1"),
        (np.array([["a", "b"]] * 60, object), "regression", "must be numbers or bools, got text"),
        (np.array([[1, "b"]] * 60, object), None, "targets mix types"),
        (np.array([[1.5, None]] * 60, object), None, "60 missing values, the first at row 0"),
        (
            np.where(np.arange(120).reshape(60, 2) == 9, np.nan, 0.5),
            None,
            "1 non-finite value, the first at row 4, col",
        ),
        (np.zeros((60, 0)), None, r"must have shape \(n,\), or \(n, k\) for several per row, got \(60, 0\)"),
        (np.zeros((60, 2, 2)), None, r"or \(n, k\) for several per row, got \(60, 2, 2\)"),
        (LABELS * [1, 1, 0, 1], None, "label 2, a column of the targets .*, is 0 in every row; remove it"),
        (NUMBERS * [1, 0], None, "every target of the training part in column 1 is -?0, so there is nothing to learn"),
    ],
)
def test_what_is_refused(targets, task, message):
    with pytest.raises(DataError, match=message):
        arrays(INPUTS, targets, task=task).prepare()


def test_labels_are_zeros_and_ones():
    prepared = arrays(INPUTS, LABELS, split=Split(seed=3)).prepare()
    assert (prepared.outputs, prepared.classes) == (4, ("0", "1", "2", "3"))
    assert (prepared.target_mean, prepared.target_std) == (0.0, 1.0)
    parts = (prepared.train, prepared.validation, prepared.test)
    assert all(part.targets.dtype == np.float32 for part in parts)
    rows = np.concatenate([part.targets for part in parts]).tolist()
    assert sorted(rows) == sorted(LABELS.tolist())


def test_each_number_is_standardized_by_the_training_part():
    prepared = arrays(INPUTS, NUMBERS).prepare()
    assert prepared.outputs == 2
    np.testing.assert_allclose(prepared.train.targets.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(prepared.train.targets.std(axis=0), 1, atol=1e-6)
    undone = [
        part.targets * prepared.target_std + prepared.target_mean
        for part in (prepared.train, prepared.validation, prepared.test)
    ]
    undone = np.concatenate(undone)
    np.testing.assert_allclose(undone[undone[:, 0].argsort()], NUMBERS[NUMBERS[:, 0].argsort()], rtol=1e-4, atol=1e-2)


class Columns(DataSource):
    def load(self):
        return Samples({"x": INPUTS[:, 0], "kind": ["a", "b"] * 30}, NUMBERS, official_test=6)


@pytest.mark.parametrize("targets", [LABELS, NUMBERS])
def test_every_source_of_arrays_has_them(tmp_path, targets):
    known = arrays(INPUTS.astype(np.float32), targets).prepare()
    np.savez(tmp_path / "x.npz", x=INPUTS.astype(np.float32), y=targets)
    frame = pd.DataFrame(targets)
    tensors = TensorDataset(torch.tensor(INPUTS.astype(np.float32)), torch.tensor(targets))
    streaming = Streaming(above_bytes=0, folder=tmp_path)
    for data in (
        npz(tmp_path / "x.npz"),
        arrays(INPUTS.astype(np.float32), frame),
        arrays(INPUTS.astype(np.float32), frame.astype(object)),
        dataset(tensors),
        arrays(INPUTS.astype(np.float32), targets, streaming=streaming),
    ):
        prepared = data.prepare()
        assert (prepared.task, prepared.outputs) == (known.task, targets.shape[1])
        np.testing.assert_allclose(prepared.validation.targets, known.validation.targets, rtol=1e-6)


def test_a_table_of_columns_with_an_official_test_part():
    prepared = Data(Columns()).prepare()
    assert (prepared.outputs, len(prepared.test)) == (2, 6)
    np.testing.assert_allclose(
        prepared.test.targets * prepared.target_std + prepared.target_mean, NUMBERS[-6:], rtol=1e-4
    )


def test_an_official_test_part_has_as_many_targets():
    test = (INPUTS[:6], LABELS[:6])
    np.testing.assert_array_equal(arrays(INPUTS, LABELS, test=test).prepare().test.targets, LABELS[:6])
    data = arrays(INPUTS, LABELS, test=(INPUTS[:6], LABELS[:6, :2]))
    for read in (data.prepare, data.task):
        with pytest.raises(DataError, match=r"test targets have shape \(6, 2\), the others \(60, 4\)"):
            read()


def test_folds_and_the_fingerprint():
    folds = arrays(INPUTS, NUMBERS, split=Split(folds=3)).prepare().folds
    assert len({tuple(fold.target_mean) for fold in folds}) == 3
    other = NUMBERS.copy()
    other[7, 1] += 1
    prints = {arrays(INPUTS, targets).prepare().fingerprint for targets in (NUMBERS, other, NUMBERS[:, ::-1])}
    assert len(prints) == 3
