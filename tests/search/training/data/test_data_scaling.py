"""Scaling: what the training part becomes, that nothing else decides it, and that the targets are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from archsearch import Split, arrays, csv, diabetes, digits, iris
from archsearch.search.training import data as sources
from archsearch.search.training.data.split import split_rows
from archsearch.spaces.errors import DataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(3,), (4, 5)], ids=["table", "images"])
def test_the_training_part_alone_reaches_from_0_to_1(shape):
    inputs, targets, split = RNG.normal(5, 3, (100, *shape)), np.arange(100) % 2, Split(seed=1)
    (rows,) = split_rows(split, 100, labels=targets, classes="ab")
    inputs[rows.validation] += 100
    inputs[rows.test] -= 100
    prepared = arrays(inputs, targets, scaling="min_max", split=split).prepare()
    axes = 0 if len(shape) == 1 else None  # per column of a table; one for all pixels
    np.testing.assert_allclose(prepared.train.inputs.min(axes), 0, atol=1e-6)
    np.testing.assert_allclose(prepared.train.inputs.max(axes), 1, atol=1e-6)
    assert prepared.test.inputs.max() < 0 < 1 < prepared.validation.inputs.min()
    least, most = inputs[rows.train].min(axes), inputs[rows.train].max(axes)
    scaled = (inputs[rows.validation] - least) / (most - least)
    np.testing.assert_allclose(prepared.validation.inputs, scaled, rtol=1e-5)


def test_missing_cells_and_categories_beside_scaled_numbers(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text("\n".join(["x,word,y", *(f"{row if row % 9 else ''},{'ab'[row % 2]},{row}" for row in range(60))]))
    prepared = csv(path, target="y", scaling="min_max").prepare()
    assert prepared.feature_names == ("x", "word=a", "word=b")
    assert prepared.train.inputs.min() == 0
    assert prepared.train.inputs.max() == 1


def test_constant_images_give_zeros_not_nan():
    prepared = arrays(np.full((60, 2, 2), 7), np.arange(60) % 2, scaling="min_max").prepare()
    assert (prepared.train.inputs == 0).all()


def test_the_targets_of_a_regression_stay_standardised():
    prepared, standard = diabetes(scaling="min_max").prepare(), diabetes().prepare()
    np.testing.assert_array_equal(prepared.train.targets, standard.train.targets)
    assert prepared.train.inputs.min() == 0 < prepared.train.inputs.max() <= 1.0001


def test_it_changes_the_fingerprint_and_the_default_does_not():
    base, same, other = (iris(**given).prepare() for given in ({}, {"scaling": "standard"}, {"scaling": "min_max"}))
    assert base.fingerprint == same.fingerprint != other.fingerprint
    np.testing.assert_array_equal(base.train.inputs, same.train.inputs)


SOURCES = {
    "arrays": ([[1.0]], [1]),
    "breast_cancer": (),
    "csv": ("no.csv",),
    "dataset": ([([1.0], 1)],),
    "diabetes": (),
    "digits": (),
    "idx": ("no",),
    "image_folder": ("no",),
    "iris": (),
    "npz": ("no.npz",),
    "parquet": ("no.parquet",),
    "wine": (),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_of_numbers_takes_it(name):
    target = {"target": "y"} if name in ("csv", "parquet") else {}
    assert getattr(sources, name)(*SOURCES[name], **target, scaling="min_max").scaling == "min_max"


def test_every_source_but_text_is_one_of_numbers():
    assert set(SOURCES) == {name for name in sources.__all__ if name[0].islower()} - {"text"}


def test_an_unknown_scaling_fails_at_the_declaration():
    with pytest.raises(DataError, match=r"unknown scaling 'minmax'; known: .*; did you mean 'min_max'"):
        digits(scaling="minmax")
