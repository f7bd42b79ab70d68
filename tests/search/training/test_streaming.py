"""Training on data that streams: the same numbers as in memory, nothing copied, and what cannot stream is refused."""

from __future__ import annotations

import gc
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from archsearch import CNN, MLP, Choice, Float, Int, Random, Recipe, SpecError, Streaming, Study, Supervised, arrays
from archsearch.search.engine.preflight import preflight
from archsearch.search.training import tensors as tensors_module
from archsearch.search.training.tensors import Tensors

RNG = np.random.default_rng(0)
LABELS = np.arange(2000) % 3  # with a validation part of more than one chunk
IMAGES = (RNG.normal(size=(2000, 6, 6)) + LABELS[:, None, None]).astype(np.float32)


def data(folder, above_bytes=0, rows=2000):
    return arrays(IMAGES[:rows], LABELS[:rows], streaming=Streaming(above_bytes, folder))


def study(objective, **settings):
    given = {"name": "s", "maximize": "val_accuracy", "strategy": Random(), "trials": 3, "budget": 2}
    return Study(objective=objective, **{**given, "executor": "inline", **settings})


@pytest.mark.parametrize("network", [MLP(layers=1, units=Int(8, 32)), CNN(blocks=1, channels=8)], ids=["mlp", "cnn"])
def test_a_streamed_study_gets_the_metrics_that_it_gets_in_memory(network, tmp_path):
    recipe = Recipe(learning_rate=Float(1e-3, 1e-1, log=True), batch_size=Choice(32, 48), shift=Choice(0, 1))
    found = []
    for limit in (10**9, 0):
        objective = Supervised(data(tmp_path, limit), network, recipe, metrics=("val_f1",))
        history = study(objective).run(tmp_path / f"{limit}.db", quiet=True)
        found.append([[report.metrics for report in trial.reports] for trial in history.trials])
    assert found[0] == found[1]
    assert not [entry for entry in tmp_path.iterdir() if entry.is_dir() and entry.name.startswith("archsearch-data")]


def test_the_files_go_when_the_study_cannot_begin(tmp_path, monkeypatch):
    def refuse(*_):
        raise SpecError("no such budget")

    monkeypatch.setattr(Supervised, "check_budget", refuse)
    declared = study(Supervised(data(tmp_path), MLP(layers=1, units=8)), maximize="val_accuracy")
    with pytest.raises(SpecError, match="no such budget"):
        declared.run(tmp_path / "s.db", quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_tensors_on_the_cpu_share_the_memory_of_the_arrays_and_of_the_file(tmp_path, recwarn):
    for above_bytes in (10**9, 0):
        prepared = data(tmp_path, above_bytes).prepare()
        prepared.train.targets.flags.writeable = False  # as on a Ray worker
        tensors = Tensors.from_prepared("cpu", prepared)
        for tensor, array in (
            (tensors.train_inputs, prepared.train.inputs),
            (tensors.train_targets, prepared.train.targets),
            (tensors.validation_inputs, prepared.validation.inputs),
            (tensors.validation_targets, prepared.validation.targets),
        ):
            assert tensor.data_ptr() == array.ctypes.data
    assert not recwarn.list


def test_two_copies_of_a_streamed_part_map_one_file(tmp_path):
    prepared = data(tmp_path).prepare()
    other = pickle.loads(pickle.dumps(prepared))
    with Path(prepared.train.file).open("r+b") as file:  # seen in both: neither is a copy
        file.seek(-4, 2)
        file.write(np.float32(7).tobytes())
    assert prepared.train.inputs[-1, -1, -1] == other.train.inputs[-1, -1, -1] == 7


def test_inputs_on_the_host_come_to_the_device_batch_by_batch(tmp_path, monkeypatch):
    """With torch's device without numbers in the place of a GPU, shapes and devices can be seen anywhere."""
    tensors = Tensors.from_prepared("cpu", data(tmp_path).prepare())
    away = replace(
        tensors,
        train_targets=tensors.train_targets.to("meta"),
        validation_targets=tensors.validation_targets.to("meta"),
    )
    gathered = []
    rows_of = tensors_module._rows
    monkeypatch.setattr(tensors_module, "_rows", lambda *given: (gathered.append(given[1]), rows_of(*given))[1])
    orders = torch.stack([torch.randperm(1200) for _ in range(2)])
    known = list(tensors.batches(orders, 500))
    for found, (inputs, targets) in zip(away.batches(orders, 500), known, strict=True):
        assert [part.device.type for part in found] == ["meta", "meta"]
        assert [part.shape for part in found] == [inputs.shape, targets.shape]
    assert torch.equal(torch.cat(gathered[len(known) :]), torch.cat(gathered[: len(known)]))  # picked on the host
    assert torch.equal(known[1][0][1, 3], tensors.train_inputs[orders[1, 503]])
    assert torch.equal(known[1][1], tensors.train_targets[orders[:, 500:1000]])
    assert [part.device.type for chunk in away.validation_chunks(300) for part in chunk] == ["meta"] * 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_data_larger_than_the_gpu_streams_to_it_with_the_same_numbers(tmp_path, trial, monkeypatch):
    found = []
    for free in (2**40, 0):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**40))
        objective = Supervised(data(tmp_path), MLP(layers=2, units=16))
        objective.attach(objective.prepare())
        found.append(list(objective(trial(device="cuda"))))
    assert found[0] == found[1]


def test_a_reduction_is_refused_before_the_first_trial(tmp_path):
    recipe = Recipe(reduction=Choice("none", "pca"), reduction_dimension=2)
    with pytest.raises(SpecError, match=r"reduction needs all inputs in memory.*above_bytes"):
        Supervised(data(tmp_path), MLP(layers=1, units=4), recipe).prepare()
    assert Supervised(data(tmp_path, 10**9), MLP(layers=1, units=4), recipe).prepare().streamed == ()


def test_check_says_what_streams_from_where_and_leaves_nothing(tmp_path):
    declared = study(Supervised(data(tmp_path), MLP(layers=1, units=4)))
    found = preflight(declared, 3)
    shares = "classification: 1 (33.4%), 0 (33.3%), 2 (33.3%)"
    assert found.data == f"{shares}; 2,000 rows; streams 225 KiB from files in {tmp_path}"
    assert list(tmp_path.iterdir()) == []
    streamed = Supervised(data(tmp_path), MLP(layers=1, units=4))
    shared = streamed.prepare()
    targets = shared.train.targets.nbytes + shared.validation.targets.nbytes
    assert streamed.costs(streamed.space.sample(RNG), shared).data_bytes == targets
    streamed.release()
    assert list(tmp_path.iterdir()) == []


def test_the_objective_keeps_the_files_when_the_driver_lets_go_of_the_data(tmp_path):
    objective = Supervised(data(tmp_path), MLP(layers=1, units=4))
    shared = objective.prepare()
    file = Path(shared.train.file)
    del shared
    gc.collect()
    assert file.exists()
