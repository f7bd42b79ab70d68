"""Reduced inputs: fitted on the training part, of the dimension asked for, and trained on by the whole loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.manifold import LocallyLinearEmbedding

from archsearch import MLP, Choice, Int, Recipe, SpecError, Supervised, digits
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.reduction import reduced


@pytest.fixture(scope="module")
def prepared():
    return digits().prepare().without_test()


@pytest.mark.parametrize("kind", ["pca", "lle"])
def test_inputs_have_the_dimension_and_a_deviation_of_one(prepared, kind):
    small = reduced(prepared, kind, 5)
    assert small.inputs.shape == (5,)
    assert small.train.inputs.dtype == np.float32
    assert small.train.inputs.std() == pytest.approx(1, abs=0.01)
    assert small.train.targets is prepared.train.targets
    assert np.array_equal(small.validation.inputs, reduced(prepared, kind, 5).validation.inputs)


@pytest.mark.parametrize("kind", ["pca", "lle"])
def test_the_validation_part_has_no_say(prepared, kind):
    other = replace(prepared, validation=Part(prepared.validation.inputs * 3 + 1, prepared.validation.targets))
    assert np.array_equal(reduced(prepared, kind, 3).train.inputs, reduced(other, kind, 3).train.inputs)


def test_principal_components_are_those_of_the_singular_values(prepared):
    train = prepared.train.inputs.reshape(len(prepared.train), -1).astype(np.float64)
    _, _, rows = np.linalg.svd(train - train.mean(0), full_matrices=False)
    expected = (train - train.mean(0)) @ rows[:4].T
    found = reduced(prepared, "pca", 4).train.inputs
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found, expected * signs / expected.std(), atol=1e-4)


@pytest.mark.parametrize("fitted_on", [2000, 500])
def test_a_locally_linear_embedding_is_scikit_learns(prepared, monkeypatch, fitted_on):
    """Of all training samples, or of as many as it is fitted on; the validation part is placed among them."""
    monkeypatch.setattr("archsearch.search.training.reduction.LLE_SAMPLES", fitted_on)
    flat = [part.inputs.reshape(len(part), -1).astype(np.float64) for part in (prepared.train, prepared.validation)]
    chosen = np.sort(np.random.default_rng(0).choice(len(flat[0]), min(fitted_on, len(flat[0])), replace=False))
    peer = LocallyLinearEmbedding(n_components=3, random_state=0).fit(flat[0][chosen])
    train, validation = (peer.transform(part) for part in flat)
    small = reduced(prepared, "lle", 3)
    np.testing.assert_allclose(small.train.inputs, train / train.std(), atol=1e-5)
    np.testing.assert_allclose(small.validation.inputs, validation / train.std(), atol=1e-5)


def test_none_leaves_the_data_as_it_is(prepared):
    assert reduced(prepared, "none", 0) is prepared


def test_a_search_over_reductions_trains_and_counts_the_smaller_network(trial):
    recipe = Recipe(learning_rate=0.02, reduction=Choice("none", "pca", "lle"), reduction_dimension=Int(2, 10))
    objective = Supervised(digits(), MLP(layers=1, units=16), recipe, metrics=("parameters",))
    shared = objective.prepare()
    objective.attach(shared)
    assert {"reduction", "reduction_dimension"} <= set(objective.space)
    config = objective.space.fix(reduction="pca", reduction_dimension=8).sample(np.random.default_rng(0))
    objective.rehearse(config, shared)
    assert objective.costs(config, shared).parameters == (8 + 1) * 16 + (16 + 1) * 10
    running = replace(trial(budget=3), config=config)
    *_, metrics = objective(running)
    assert metrics["parameters"] == (8 + 1) * 16 + (16 + 1) * 10
    assert metrics["val_accuracy"] > 0.5
    plain = objective.space.fix(reduction="none").sample(np.random.default_rng(0))
    assert objective.stack_key(plain) != objective.stack_key(config)


def test_what_the_data_has_no_room_for_is_refused(blobs, objective_on):
    with pytest.raises(SpecError, match="reduction_dimension may be 6, but the data allows at most 5"):
        objective_on(blobs(), recipe=Recipe(reduction="pca", reduction_dimension=6))
    with pytest.raises(SpecError, match="Recipe rotation needs images, but the reduction flattens them; remove it"):
        Supervised(digits(), MLP(layers=1, units=4), Recipe(reduction="pca", rotation=15.0)).prepare()


@pytest.mark.parametrize("reduction", ["lle", Choice("none", "pca", "lle")])
def test_lle_needs_more_samples_than_neighbors(blobs, objective_on, reduction):
    recipe = Recipe(reduction=reduction, batch_size=2)
    with pytest.raises(SpecError, match=r"'lle' reconstructs each .* 5 nearest neighbors, but there are only 5 train"):
        objective_on(blobs(5), recipe=recipe)
    objective_on(blobs(5), recipe=Recipe(reduction="pca", batch_size=2))
    prepared = blobs(6)
    objective_on(prepared, recipe=recipe)
    assert reduced(prepared, "lle", 2).train.inputs.shape == (6, 2)
