"""Supervised as an objective: its space, keys, checks and pickling."""

from __future__ import annotations

import pickle
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import (
    MLP,
    Choice,
    DataError,
    ExecutionError,
    Float,
    Int,
    Random,
    Recipe,
    Space,
    SpaceError,
    SpecError,
    Study,
    Supervised,
    iris,
)
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.loop import Loop


def test_its_space_is_the_networks_and_the_recipes():
    objective = Supervised(
        iris(), MLP(layers=Int(1, 2), units=Choice(8, 16)), Recipe(learning_rate=Float(1e-4, 1e-1, log=True))
    )
    assert {"layers", "units_2", "learning_rate", "batch_size"} <= set(objective.space)
    objective.space.check(objective.space.sample(np.random.default_rng(0)))


def test_it_trains_whatever_its_space_draws(trial):
    objective = Supervised(
        iris(),
        MLP(layers=Int(1, 3), units=Int(1, 20), dropout=Float(0, 0.5), norm=Choice("none", "batch", "layer")),
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
        ({"norm": "batch"}, False),
    ],
)
def test_what_may_share_a_stack(blobs, objective_on, trial, change, shares):
    objective = objective_on(blobs())
    assert (objective.stack_key(trial().config) == objective.stack_key(trial(**change).config)) is shares


def test_a_stack_shares_its_budget(blobs, objective_on, trial):
    with pytest.raises(ValueError, match="share budget and device"):
        list(objective_on(blobs()).run_stack([trial(budget=1), trial(budget=2)]))


def test_it_says_that_it_needs_a_budget(blobs, objective_on, trial):
    with pytest.raises(SpecError, match="needs a budget, got None; set the number of epochs"):
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

        def build(self, config, inputs, outputs):
            raise AssertionError("nothing is built")

    with pytest.raises(SpaceError, match="declared by both"):
        _ = Supervised(iris(), Clash()).space


def test_costs_of_a_trial(blobs, objective_on, trial):
    """MLP(layers=2, units=16) of five features and three classes, 101 samples in training and 60 in validation."""
    prepared = blobs()
    objective = objective_on(prepared)
    found = objective.costs(trial(optimizer="sgd", batch_size=32).config, prepared)
    parameters = (5 * 16 + 16) + (16 * 16 + 16) + (16 * 3 + 3)
    assert (found.parameters, found.flops) == (parameters, 2 * (5 * 16 + 16 * 16 + 16 * 3))
    data = (101 + 60) * (5 * 4 + 8)
    assert (found.batch_size, found.optimizer_copies, found.data_bytes) == (32, 1, data)
    assert objective.costs(trial().config, prepared).optimizer_copies == 3


def test_a_network_is_counted_once_whatever_it_is_trained_with(blobs, trial, monkeypatch):
    class Family:
        space = Space(width=Int(1, 9))
        built = 0

        def build(self, config, inputs, outputs):
            Family.built += 1
            return nn.Sequential(nn.Linear(5, config["width"]), nn.Linear(config["width"], outputs))

    prepared = blobs()
    objective = Supervised(iris(), Family())
    recipe = trial().config
    for rate in (0.1, 0.01):
        for width in (2, 3):
            found = objective.costs(recipe | {"width": width, "learning_rate": rate}, prepared)
            assert found.parameters == 6 * width + 3 * (width + 1)
    assert Family.built == 2
    wider = objective.costs(recipe | {"width": 2}, replace(prepared, classes=("a", "b", "c", "d")))
    assert wider.parameters == 6 * 2 + 4 * 3


def test_a_rehearsal_is_that_of_its_network_on_its_data(blobs, objective_on, trial):
    prepared = blobs()
    objective = objective_on(prepared)
    assert objective.rehearse(trial().config, prepared) is None
    with pytest.raises(KeyError, match="units_3"):
        objective.rehearse(trial(layers=3).config, prepared)

    class Fixed:
        space = Space()

        def build(self, config, inputs, outputs):
            return nn.Linear(4, outputs)

    with pytest.raises(RuntimeError, match=r"\(2x5 and 4x3\)"):
        Supervised(iris(), Fixed()).rehearse(trial().config, prepared)
    with pytest.raises(RuntimeError, match=r"\(1x5 and 4x3\)"):
        Supervised(iris(), Fixed()).rehearse(trial(batch_size=1).config, prepared)


def test_every_report_holds_the_named_metrics(blobs, objective_on, trial):
    prepared = blobs()
    bare = list(objective_on(prepared)(trial()))
    objective = objective_on(prepared, metrics=("flops", "parameters"))
    assert objective.metrics_of(prepared) == ("train_loss", "val_loss", "val_accuracy", "flops", "parameters")
    named = list(objective(trial()))
    assert named == [{**metrics, "flops": 768.0, "parameters": 419.0} for metrics in bare]
    assert all(isinstance(value, float) for value in named[0].values())
    assert [set(metrics) for metrics in bare] == [{"train_loss", "val_loss", "val_accuracy"}] * 2
    (row, _), *_ = objective.run_stack([trial(), trial(seed=1)])
    assert row == named[0]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (("parameter",), "unknown metric 'parameter'; known: .*; did you mean 'parameters'?"),
        (
            "parameters",
            "metrics must be a tuple or list of names or functions, got 'parameters'; write \\('parameters',\\)",
        ),
    ],
)
def test_a_metric_that_there_is_not(metrics, message):
    with pytest.raises(SpecError, match=message):
        Supervised(iris(), MLP(layers=1, units=4), metrics=metrics)


def test_what_was_counted_is_not_pickled(blobs, objective_on, trial):
    objective = objective_on(blobs())
    small = len(pickle.dumps(Supervised(iris(), objective.network)))
    counted = Supervised(iris(), objective.network)
    counted.costs(trial().config, blobs())
    assert len(pickle.dumps(counted)) == small


class Wide:
    """width * (5 + outputs) + outputs parameters."""

    space = Space(width=Int(1, 4))

    def build(self, config, inputs, outputs):
        return nn.Sequential(nn.Linear(*inputs.shape, config["width"], bias=False), nn.Linear(config["width"], outputs))


def study_of(data, **arguments):
    objective = Supervised(data, Wide(), Recipe(learning_rate=Float(1e-3, 1e-1)), **arguments)
    return Study(
        name="wide",
        objective=objective,
        minimize="parameters",
        strategy=Random(),
        trials=6,
        budget=1,
        executor="inline",
    )


def test_a_study_may_search_for_few_parameters_once_they_are_named(tmp_path, blobs, objective_on):
    data = objective_on(blobs()).data
    with pytest.raises(
        SpecError, match=r"only where it is named; write Supervised\(\.\.\., metrics=\('parameters',\)\)"
    ):
        study_of(data).run(tmp_path / "wide.db", quiet=True)
    history = study_of(data, metrics=("parameters",)).run(tmp_path / "wide.db", quiet=True)
    widths = [trial.config["width"] for trial in history.trials]
    assert history.value(history.best) == 8 * min(widths) + 3


def test_a_preflight_tells_what_trials_cost(blobs, objective_on):
    found = preflight(study_of(objective_on(blobs()).data, metrics=["parameters"]), 50)
    parameters, flops = found.costs["parameters"], found.costs["flops"]
    assert (found.failed, parameters.least, parameters.most) == (0, 8 + 3, 8 * 4 + 3)
    assert (flops.least, flops.most) == (2 * 8, 2 * 8 * 4)
    # Weights, gradients, AdamW's three; inputs and hidden values of 64 samples; data in training and validation.
    assert found.costs["memory_bytes"].most == 4 * (5 * 35 + 64 * (5 + 4)) + 161 * 28


def test_out_of_memory_is_told_and_the_next_trial_trains(blobs, objective_on, trial, monkeypatch):
    objective = objective_on(blobs())
    expected = list(objective(trial()))

    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")

    with monkeypatch.context() as patched:
        patched.setattr("archsearch.search.training.loop.stacked", full)
        with pytest.raises(
            MemoryError, match=r"out of memory on cpu; make .* smaller \(CUDA .* 20.00 GiB.\)"
        ) as caught:
            list(objective(trial()))
    assert caught.value.__context__ is None
    assert list(objective(trial())) == expected


def test_a_trial_without_room_fails_and_the_study_goes_on(tmp_path, blobs, objective_on, monkeypatch):
    """The networks of width 4 ask for too much, in the middle of their training."""
    loops = []
    ordinary = Loop._step

    def step(self, gradient):
        loops.append(weakref.ref(self))
        if self._training.step == 1 and self._training.configs[0]["width"] == 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        ordinary(self, gradient)

    monkeypatch.setattr(Loop, "_step", step)
    history = study_of(objective_on(blobs()).data, metrics=["parameters"]).run(tmp_path / "wide.db", quiet=True)
    states = {trial.config["width"]: trial.state for trial in history.trials}
    assert states == {width: "failed" if width == 4 else "finished" for width in states}
    assert {4} < set(states)
    for failed in history.in_state("failed"):
        assert failed.outcome.error.startswith(
            "out of memory on cpu; make the network or its batch smaller (CUDA out of"
        )
    assert all(loop() is None for loop in loops)


def test_a_trial_that_diverges_fails_with_that_reason_and_the_study_goes_on(tmp_path, blobs, objective_on):
    recipe = Recipe(optimizer="sgd", learning_rate=Choice(1e-2, 1e38))
    objective = Supervised(objective_on(blobs()).data, Wide(), recipe)
    settings = {"strategy": Random(), "trials": 6, "budget": 2, "executor": "inline"}
    study = Study(name="wild", objective=objective, minimize="val_loss", **settings)
    history = study.run(tmp_path / "wild.db", quiet=True)
    assert {(trial.config["learning_rate"], trial.state) for trial in history.trials} == {
        (1e-2, "finished"),
        (1e38, "failed"),
    }
    for failed in history.in_state("failed"):
        assert re.match(r"Diverged: train_loss is nan after epoch 1; lower the learning rate", failed.outcome.error)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"rotation": 15.0}, r"Recipe rotation needs images, but the inputs have shape \(5,\); remove it"),
        ({"flip": Choice(True, False)}, "Recipe flip needs images"),
    ],
)
def test_a_technique_that_the_data_cannot_have_is_found_before_any_trial(blobs, objective_on, recipe, message):
    with pytest.raises(SpecError, match=message):
        objective_on(blobs(), recipe=Recipe(**recipe))


def test_classes_are_needed_for_label_smoothing(blobs, objective_on):
    with pytest.raises(SpecError, match="Recipe label_smoothing needs classes, but the task is regression; remove it"):
        objective_on(blobs(task="regression"), recipe=Recipe(label_smoothing=Float(0, 0.2)))


def test_it_tells_the_fingerprint_and_the_summary_of_its_data(blobs, objective_on):
    objective = Supervised(iris(), MLP(layers=1, units=4))
    prepared = objective.prepare()
    assert objective.fingerprint_of(prepared) == iris().prepare().fingerprint
    assert objective.summary_of(prepared) == (
        "classification: setosa (33.3%), versicolor (33.3%), virginica (33.3%); 4 numbers → 4 inputs; 150 rows, "
        "4 columns; 0 missing cells filled, 0 constant columns dropped"
    )
    elsewhere = objective_on(blobs())
    assert elsewhere.fingerprint_of(blobs()) is elsewhere.summary_of(blobs()) is None


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"space": {"u": Int(1, 8)}, "build": print}, r"`space` must be a Space, got \{'u': .*; write Space\(...\)"),
        ({"space": Recipe().space, "bild": print}, r"has the member 'bild', .*; did you mean 'build'\?"),
        ({"space": Recipe().space}, r"has no `build`; write def build\(self, config, inputs, outputs\)"),
    ],
)
def test_a_family_that_is_none_is_told_at_its_declaration(members, message):
    with pytest.raises(SpecError, match=message):
        Supervised(iris(), type("Family", (), members)())
