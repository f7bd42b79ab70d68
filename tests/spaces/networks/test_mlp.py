"""MLP: its space, its checks, and that each parameter reaches the network, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spaces import Choice, Float, Int, SpaceError
from spaces.networks import MLP
from spaces.networks.mlp import ACTIVATIONS

FIXED = {"layers": 2, "units_1": 16, "units_2": 8, "activation": "relu", "dropout": 0.0, "batch_norm": False}
ANY = MLP(layers=Int(1, 3), units=Int(1, 64), activation=Choice(*ACTIVATIONS), dropout=Float(0, 0.5),
          batch_norm=Choice(True, False))  # fmt: skip


def build(*configs, seeds=None, input_shape=(5,), outputs=3):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or range(len(configs))]
    return ANY.stack(configs, input_shape, outputs, generators)


def inputs(rows, batch=7, shape=(5,)):
    return torch.randn(rows, batch, *shape, generator=torch.Generator().manual_seed(0))


def without(config, *names, **changes):
    return {name: value for name, value in (config | changes).items() if name not in names}


def test_the_space_holds_each_parameter_and_each_layers_own_width():
    space = MLP(layers=Int(1, 3), units=Choice(8, 16), activation=Choice("relu", "elu"), dropout=Float(0, 0.5)).space
    assert list(space) == ["layers", "units_1", "units_2", "units_3", "activation", "dropout", "batch_norm"]
    for seed in range(30):
        config = space.sample(np.random.default_rng(seed))
        assert [f"units_{k}" in config for k in (1, 2, 3)] == [k <= config["layers"] for k in (1, 2, 3)]


def test_fixed_arguments_are_in_every_config():
    config = MLP(layers=2, units=8).space.sample(np.random.default_rng(0))
    assert config == {**FIXED, "units_1": 8, "units_2": 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "MLP layers must be a whole number of at least 1, got 0"),
        ({"layers": Int(0, 3)}, r"got 0 from Int\(low=0"),
        ({"layers": 2.5}, "got 2.5"),
        ({"layers": True}, "got True"),
        ({"units": Choice(32, -1)}, r"MLP units .* got -1 from Choice\(32, -1\)"),
        ({"dropout": 1.0}, r"MLP dropout must be a number in \[0, 1\), got 1.0"),
        ({"dropout": Float(-0.1, 0.5)}, "got -0.1 from Float"),
        ({"dropout": "some"}, "got 'some'"),
        ({"batch_norm": 1}, "MLP batch_norm must be True, False or"),
        ({"activation": "rellu"}, "unknown activation 'rellu'; known: .*; did you mean 'relu'?"),
        ({"activation": Choice("relu", "gelo")}, "did you mean 'gelu'?"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        MLP(**({"layers": 1, "units": 8} | arguments))


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("outputs", [1, 10, 17])
def test_shapes(rows, shape, outputs):
    configs = [FIXED | {"batch_norm": True, "dropout": 0.1}] * rows
    model = build(*configs, input_shape=shape, outputs=outputs)
    assert model(inputs(rows, 7, shape)).shape == (rows, 7, outputs)
    assert all(len(tensor) == rows for tensor in [*model.parameters(), *model.buffers()])


def test_a_row_is_the_network_that_torch_would_build():
    model = build(FIXED, FIXED).eval()
    x = inputs(2)
    for row in range(2):
        y = x[row]
        for layer in model.hidden:
            y = torch.relu(y @ layer.linear.weight[row] + layer.linear.bias[row])
        y = y @ model.last.weight[row] + model.last.bias[row]
        torch.testing.assert_close(model(x)[row], y[:, :3])


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
def test_activation_changes_the_network(activation):
    x = inputs(1)
    assert not torch.allclose(build(FIXED)(x), build(FIXED | {"activation": activation})(x), atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        without(FIXED, "units_2", layers=1),
        FIXED | {"units_1": 17},
        FIXED | {"units_2": 9},
        FIXED | {"dropout": 0.5},
        FIXED | {"batch_norm": True},
    ],
)
def test_every_other_parameter_changes_the_network(other):
    x = inputs(1)
    assert not torch.allclose(build(FIXED)(x), build(other)(x), atol=1e-4)


def test_stack_key_tells_apart_what_cannot_share_a_graph():
    keys = {
        ANY.stack_key(config)
        for config in (
            FIXED,
            without(FIXED, "units_2", layers=1),
            FIXED | {"units_2": 16},
            FIXED | {"activation": "elu"},
            FIXED | {"batch_norm": True},
        )
    }
    assert len(keys) == 5
    assert ANY.stack_key(FIXED) == ANY.stack_key(FIXED | {"dropout": 0.3})


def test_a_stack_of_unlike_graphs_is_refused():
    with pytest.raises(ValueError, match="one stack_key"):
        build(FIXED, FIXED | {"units_1": 4})


def test_a_rows_start_depends_on_its_generator_alone():
    together, alone = build(FIXED, FIXED | {"dropout": 0.5}, seeds=[1, 2]), build(FIXED, seeds=[2])
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours[1:], theirs)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 200), ("tanh", 2 / (200 + 100))])
def test_start_variance(activation, variance):
    config = without(FIXED, "units_2", layers=1, units_1=100, activation=activation)
    weight = build(config, input_shape=(200,)).hidden[0].linear.weight
    assert weight.var().item() == pytest.approx(variance, rel=0.05)


def test_dropout_keeps_the_mean_at_each_rows_own_rate_and_is_off_in_evaluation():
    configs = [without(FIXED, "units_2", layers=1, dropout=rate) for rate in (0.0, 0.2, 0.5)]
    dropout = build(*configs).hidden[0].dropout
    ones = torch.ones(3, 300, 700)  # more than a block
    noisy = dropout(ones)
    assert (noisy == 0).float().mean((1, 2)).tolist() == pytest.approx([0.0, 0.2, 0.5], abs=0.01)
    assert noisy.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.01)
    assert not torch.equal(dropout(ones), noisy)
    assert torch.equal(dropout.eval()(ones), ones)


def test_dropout_noise_is_fresh_at_each_step_within_a_block():
    dropout = build(without(FIXED, "units_2", layers=1, dropout=0.5)).hidden[0].dropout
    first, second = dropout(torch.ones(1, 8, 16)), dropout(torch.ones(1, 8, 16))
    assert not torch.equal(first, second)


def test_batch_norm_agrees_with_torchs_in_training_and_evaluation():
    norm = build(*[without(FIXED, "units_2", layers=1, batch_norm=True)] * 2).hidden[0].norm
    peers = [nn.BatchNorm1d(16) for _ in range(2)]
    for _ in range(5):
        x = torch.randn(2, 9, 16) * 3 + 1
        y = norm(x)
        for row, peer in enumerate(peers):
            torch.testing.assert_close(y[row], peer(x[row]))
    x = torch.randn(2, 9, 16)
    trained = norm(x)
    evaluated = norm.eval()(x)
    assert not torch.allclose(trained, evaluated, atol=1e-2)
    for row, peer in enumerate(peers):
        peer(x[row])  # the last training step
        torch.testing.assert_close(evaluated[row], peer.eval()(x[row]))


def test_batch_norm_survives_a_batch_of_one():
    norm = build(without(FIXED, "units_2", layers=1, batch_norm=True)).hidden[0].norm
    assert torch.isfinite(norm(torch.randn(1, 1, 16))).all()
    assert torch.equal(norm.running_mean, torch.zeros(1, 16))
    assert torch.equal(norm.running_var, torch.ones(1, 16))
