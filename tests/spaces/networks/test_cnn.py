"""CNN: its space, its checks, its size in known cases, and that each parameter reaches the network."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import CNN, Choice, Float, Inputs, Int, SpaceError
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.costs import costs


def sampled(family, seed=0):
    return family.space.sample(np.random.default_rng(seed))


def build(family, shape=(8, 8), outputs=10, rows=1, **changes):
    generators = [torch.Generator().manual_seed(seed) for seed in range(rows)]
    return stacked(family, [sampled(family) | changes] * rows, Inputs(shape), outputs, generators)


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def parameters(family, shape, outputs=10):
    return costs(family, sampled(family), Inputs(shape), outputs).parameters


# The space


def test_each_block_has_channels_and_each_dense_layer_units_of_its_own():
    family = CNN(blocks=Int(1, 3), channels=Choice(8, 16), dense_layers=Int(0, 2), units=Choice(32, 64))
    for seed in range(30):
        config = sampled(family, seed)
        assert [f"channels_{k}" in config for k in (1, 2, 3)] == [k <= config["blocks"] for k in (1, 2, 3)]
        assert [f"units_{k}" in config for k in (1, 2)] == [k <= config["dense_layers"] for k in (1, 2)]
    assert {"channels_1", "channels_2"} <= {parameter.name for parameter in family.space.free}


def test_fixed_arguments_are_in_every_config():
    assert sampled(CNN(blocks=2, channels=8)) == {
        "blocks": 2, "channels_1": 8, "channels_2": 8, "block": "plain", "convolutions": 1, "kernel": 3,
        "pooling": "max", "norm": "none", "activation": "relu", "head": "average", "dense_layers": 0,
        "channel_dropout": 0.0, "dropout": 0.0, "initialization": "auto",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 0}, "CNN blocks must be a whole number of at least 1, got 0"),
        ({"channels": Choice(8, 0)}, r"CNN channels .* got 0 from Choice\(8, 0\)"),
        ({"block": "resnet"}, "unknown block 'resnet'; known: plain, residual, separable"),
        ({"convolutions": Int(0, 2)}, "CNN convolutions must be a whole number of at least 1, got 0 from Int"),
        ({"kernel": 2.5}, "CNN kernel must be a whole number of at least 1, got 2.5"),
        ({"pooling": Choice("max", "avg")}, "unknown pooling 'avg'; known: average, max, none, stride"),
        ({"norm": "batch_norm"}, "unknown norm 'batch_norm'; known: batch, none"),
        ({"activation": "rellu"}, "did you mean 'relu'?"),
        ({"channel_dropout": 1.0}, r"CNN channel_dropout must be a number in \[0, 1\), got 1.0"),
        ({"head": "flat"}, "unknown head 'flat'; known: average, flatten; did you mean 'flatten'?"),
        ({"dense_layers": -1}, "CNN dense_layers must be a whole number of at least 0, got -1"),
        ({"units": 0}, "CNN units must be a whole number of at least 1, got 0"),
        ({"dropout": Float(-0.1, 0.5)}, "CNN dropout .* got -0.1 from Float"),
        ({"initialization": "kaiming"}, "unknown initialization 'kaiming'; known: auto, he"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        CNN(**({"blocks": 1, "channels": 8} | arguments))


# Its size, by hand


@pytest.mark.parametrize("hidden", [1, 2])
def test_two_convolutions_of_64_channels_and_two_dense_layers_are_one_point_of_it(hidden):
    """Two dense layers with the last, or before it."""
    family = CNN(blocks=2, channels=64, kernel=3, head="flatten", dense_layers=hidden, units=128)
    convolutions = (1 * 9 + 1) * 64 + (64 * 9 + 1) * 64
    dense = (7 * 7 * 64 + 1) * 128 + (hidden - 1) * (128 + 1) * 128 + (128 + 1) * 10
    assert parameters(family, (28, 28)) == convolutions + dense
    layers = [type(layer).__name__ for layer in build(family, (28, 28)).modules() if not list(layer.children())]
    assert [name for name in layers if name in ("Conv", "Linear", "Output")] == [
        *["Conv"] * 2, *["Linear"] * hidden, "Output",
    ]  # fmt: skip


def test_the_plain_network_is_torchs():
    family = CNN(blocks=2, channels=64, head="flatten", dense_layers=1, units=128)
    ours = build(family, (28, 28))
    peer = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    for index, block in ((0, ours.blocks[0]), (3, ours.blocks[1])):
        peer[index].weight.data = block.convolutions[0].convolution.weight[0]
        peer[index].bias.data = block.convolutions[0].convolution.bias[0]
    for index, layer in ((7, ours.dense[0].linear), (9, ours.last)):
        width = peer[index].out_features
        peer[index].weight.data = layer.weight[0, :, :width].T
        peer[index].bias.data = layer.bias[0, 0, :width]
    x = images(1, 5, 28, 28)
    torch.testing.assert_close(ours(x)[0], peer(x[0].unsqueeze(1)), atol=1e-4, rtol=1e-4)


def test_parameters_of_a_residual_network():
    family = CNN(blocks=2, channels=8, block="residual", convolutions=2, norm="batch", pooling="stride")
    first = (3 * 9 + 2) * 8 + (8 * 9 + 2) * 8 + (3 + 2) * 8  # two convolutions, the projection, their norms
    second = (8 * 9 + 2) * 8 * 2 + (8 + 2) * 8  # a projection here too, because of the stride
    assert parameters(family, (3, 32, 32)) == first + second + 9 * 10


def test_a_residual_block_of_equal_channels_has_no_projection():
    family = CNN(blocks=2, channels=8, block="residual", convolutions=2)
    assert parameters(family, (8, 8)) == (9 + 1) * 8 + (72 + 1) * 8 + (1 + 1) * 8 + (72 + 1) * 8 * 2 + 9 * 10


def test_parameters_of_a_separable_network():
    family = CNN(blocks=2, channels=8, block="separable", kernel=5)
    assert parameters(family, (3, 32, 32)) == 3 * 25 + (3 + 1) * 8 + 8 * 25 + (8 + 1) * 8 + 9 * 10


@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize(("blocks", "pixels"), [(1, 4 * 5), (2, 2 * 3), (3, 1 * 2), (6, 1)])
def test_a_search_over_depth_survives_small_images(pooling, blocks, pixels):
    family = CNN(blocks=blocks, channels=4, pooling=pooling, head="flatten")
    model = build(family, (8, 9))
    assert model(images(1, 2, 8, 9)).shape == (1, 2, 10)
    assert model.last.weight.shape[1] == 4 * pixels


def test_without_pooling_the_size_stays():
    model = build(CNN(blocks=3, channels=4, pooling="none", kernel=4, head="flatten"))
    assert model(images(1, 2, 8, 8)).shape == (1, 2, 10)
    assert model.last.weight.shape[1] == 4 * 64


# Every parameter

BASE = {
    "blocks": 2, "channels": 6, "block": "plain", "convolutions": 2, "kernel": 3, "pooling": "max", "norm": "none",
    "activation": "relu", "channel_dropout": 0.0, "head": "average", "dense_layers": 1, "units": 7, "dropout": 0.0,
    "initialization": "auto",
}  # fmt: skip
OTHERS = {
    "blocks": [1, 3],
    "channels": [5],
    "block": ["residual", "separable"],
    "convolutions": [1],
    "kernel": [2, 5],
    "pooling": ["average", "stride", "none"],
    "norm": ["batch"],
    "activation": ["tanh", "silu"],
    "channel_dropout": [0.5],
    "head": ["flatten"],
    "dense_layers": [0, 2],
    "units": [8],
    "dropout": [0.5],
    "initialization": ["xavier", "orthogonal", "small_normal", "zeros"],
}
RATES = {"channel_dropout", "dropout"}


@pytest.mark.parametrize("name", [field.name for field in fields(CNN)])
def test_every_parameter_changes_the_network(name):
    base, x = CNN(**BASE), images(1, 4, 8, 8)
    before = build(base)(x)
    assert torch.equal(build(base)(x), before)
    for value in OTHERS[name]:
        other = CNN(**{**BASE, name: value})
        assert not torch.allclose(build(other)(x), before, atol=1e-4), value
        same_graph = base.stack_key(sampled(base)) == base.stack_key(sampled(other))
        assert same_graph == (name in RATES), value


def test_each_blocks_channels_and_each_dense_layers_units_change_the_network():
    family = CNN(**{**BASE, "dense_layers": 2})
    x = images(1, 4, 8, 8)
    before, key = build(family)(x), family.stack_key(sampled(family))
    for name in ("channels_1", "channels_2", "units_1", "units_2"):
        assert not torch.allclose(build(family, **{name: 9})(x), before, atol=1e-4)
        assert family.stack_key(sampled(family) | {name: 9}) != key


def test_no_dropout_in_evaluation_and_each_rows_own_rates_in_training():
    family = CNN(**BASE)
    configs = [sampled(family) | {"dropout": rate, "channel_dropout": rate} for rate in (0.0, 0.5)]
    model = stacked(family, configs, Inputs((8, 8)), 10, [torch.Generator().manual_seed(3) for _ in configs])
    x = images(1, 4, 8, 8).expand(2, -1, -1, -1)
    quiet = model.eval()(x)
    torch.testing.assert_close(quiet[0], quiet[1])
    noisy = model.train()(x)
    torch.testing.assert_close(noisy[0], quiet[0])
    assert not torch.allclose(noisy[1], quiet[1], atol=1e-2)


def test_values_are_dropped_before_each_dense_layer_and_before_the_last():
    model, seen = build(CNN(**{**BASE, "dense_layers": 2, "units": 40, "activation": "tanh", "dropout": 0.5})), []
    for layer in (*(dense.linear for dense in model.dense), model.last):
        layer.register_forward_pre_hook(lambda layer, given: seen.append((given[0] == 0).float().mean().item()))
    model(images(1, 50, 8, 8))
    assert seen == pytest.approx([0.5] * 3, abs=0.1)
