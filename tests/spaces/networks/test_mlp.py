"""MLP: its space, its checks, and that each parameter reaches the network, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spaces import Choice, Float, Int, SpaceError
from spaces.networks import MLP, Inputs, stacked
from spaces.networks.layers import ACTIVATIONS

FIXED = {"layers": 2, "units_1": 16, "units_2": 8, "activation": "relu", "dropout": 0.0, "batch_norm": False}
ANY = MLP(layers=Int(1, 3), units=Int(1, 64), activation=Choice(*ACTIVATIONS), dropout=Float(0, 0.5),
          batch_norm=Choice(True, False))  # fmt: skip


def build(*configs, seeds=None, input_shape=(5,), outputs=3):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or range(len(configs))]
    return stacked(ANY, configs, Inputs(input_shape), outputs, generators)


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
