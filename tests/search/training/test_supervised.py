"""Supervised as an objective: its space, keys, checks and pickling."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from search.training import Recipe, Supervised, iris
from spaces import Choice, DataError, ExecutionError, Float, Int, SpaceError, SpecError
from spaces.networks import MLP


def test_its_space_is_the_networks_and_the_recipes():
    objective = Supervised(
        iris(), MLP(layers=Int(1, 2), units=Choice(8, 16)), Recipe(learning_rate=Float(1e-4, 1e-1, log=True))
    )
    assert {"layers", "units_2", "learning_rate", "batch_size"} <= set(objective.space)
    objective.space.check(objective.space.sample(np.random.default_rng(0)))


def test_it_trains_whatever_its_space_draws(trial):
    objective = Supervised(
        iris(),
        MLP(layers=Int(1, 3), units=Int(1, 20), dropout=Float(0, 0.5), batch_norm=Choice(True, False)),
        Recipe(optimizer=Choice("sgd", "adamw"), batch_size=Int(1, 50), momentum=Float(0, 0.9)),
    )
    objective.attach(objective.prepare())
    for seed in range(5):
        config = objective.space.sample(np.random.default_rng(seed))
        running = trial(budget=1)
        running.config.clear()
        running.config.update(config)
        (metrics,) = objective(running)
        assert np.isfinite(metrics["val_loss"])


def test_the_search_gets_no_test_part(blobs, objective_on):
    assert objective_on(blobs()).prepare().test is None


def test_metric_names_follow_the_task(blobs, objective_on):
    for task, name in (("classification", "val_accuracy"), ("regression", "val_rmse")):
        prepared = blobs(task=task)
        assert objective_on(prepared).metrics_of(prepared) == ("train_loss", "val_loss", name)


def test_a_batch_larger_than_the_training_part_is_found_before_any_trial(blobs, objective_on):
    with pytest.raises(DataError, match="batch_size may be 128, but there are only 101 training samples; lower"):
        objective_on(blobs(), recipe=Recipe(batch_size=Choice(32, 128)))


@pytest.mark.parametrize(
    ("change", "shares"),
    [
        ({"learning_rate": 0.5, "dropout": 0.3, "weight_decay": 0.1}, True),
        ({"batch_size": 8}, False),
        ({"optimizer": "sgd"}, False),
        ({"units_1": 8}, False),
        ({"batch_norm": True}, False),
    ],
)
def test_what_may_share_a_stack(blobs, objective_on, trial, change, shares):
    objective = objective_on(blobs())
    assert (objective.stack_key(trial().config) == objective.stack_key(trial(**change).config)) is shares


def test_a_stack_shares_its_budget(blobs, objective_on, trial):
    with pytest.raises(ValueError, match="share budget and device"):
        list(objective_on(blobs()).run_stack([trial(budget=1), trial(budget=2)]))


def test_it_says_that_it_needs_a_budget(blobs, objective_on, trial):
    with pytest.raises(SpecError, match="needs a budget, got none; say how many epochs"):
        list(objective_on(blobs())(trial(budget=None)))


def test_it_says_that_it_has_no_data_yet(trial):
    with pytest.raises(ExecutionError, match=r"no data yet; call attach\(prepare\(\)\)"):
        list(Supervised(iris(), MLP(layers=1, units=4))(trial()))


def test_it_pickles_without_the_attached_data(blobs, objective_on, trial):
    objective = objective_on(blobs(2000))
    expected = list(objective(trial()))
    copy = pickle.loads(pickle.dumps(Supervised(iris(), objective.network)))
    assert copy.space == objective.space
    attached = Supervised(iris(), objective.network)
    small = len(pickle.dumps(attached))
    attached.attach(objective.prepare())
    assert len(pickle.dumps(attached)) == small
    copy.attach(objective.prepare())
    assert list(copy(trial())) == expected


def test_new_data_replaces_the_old(blobs, objective_on, trial):
    objective = objective_on(blobs())
    first = list(objective(trial()))
    objective.attach(blobs(seed=1))
    assert list(objective(trial())) != first


def test_a_name_that_network_and_recipe_share_is_an_error(blobs, objective_on):
    class Clash:
        space = Recipe().space

    with pytest.raises(SpaceError, match="declared by both"):
        _ = Supervised(iris(), Clash()).space
