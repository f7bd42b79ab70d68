"""Each stacked layer is, row by row, the layer that torch has, and its rows never meet."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from archsearch.spaces.networks.layers import (
    BatchNorm,
    Conv,
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    MapDropout,
    Output,
    initialize,
    to_maps,
    to_rows,
)

ROWS = 3


def generators(rows=ROWS):
    return [torch.Generator().manual_seed(seed) for seed in range(rows)]


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def test_the_layouts_lead_into_each_other():
    x = noise(ROWS, 4, 5, 6, 7)
    assert to_maps(x).shape == (4, ROWS * 5, 6, 7)
    assert torch.equal(to_rows(to_maps(x), ROWS), x)
    assert torch.equal(to_maps(x)[2, 5 : 2 * 5], x[1, 2])


def test_linear_and_output_are_torchs_linear():
    for layer, outputs in ((Linear(5, 4, generators()), 4), (Output(5, 4, generators()), 4)):
        x = noise(ROWS, 7, 5)
        for row in range(ROWS):
            expected = x[row] @ layer.weight[row, :, :outputs] + layer.bias[row, :, :outputs]
            torch.testing.assert_close(layer(x)[row], expected)


def test_the_output_layer_counts_its_spare_columns():
    assert Output(5, 10, generators()).spare_parameters == 6 * (5 + 1)
    assert Output(5, 16, generators()).spare_parameters == 0
    weight = Output(5, 10, generators()).weight  # nothing in them, or the norm of the weights would count it
    assert weight[..., :10].all()
    assert not weight[..., 10:].any()


@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 1, 1), (4, 1, 1), (3, 2, 1), (3, 1, 4)])
def test_a_convolution_is_torchs(dimensions, kernel, stride, groups):
    layer = Conv(4, 8, kernel, generators(), dimensions=dimensions, stride=stride, groups=groups)
    nn.init.normal_(layer.bias)
    x = noise(ROWS, 2, 4, *(9,) * dimensions)
    y = to_rows(layer(to_maps(x)), ROWS)
    assert y.shape == (ROWS, 2, 8, *(math.ceil(9 / stride),) * dimensions)
    kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
    before, after = (kernel - 1) // 2, kernel // 2
    padded = nn.functional.pad(x, (before, after) * dimensions)
    for row in range(ROWS):
        peer = kind(4, 8, kernel, stride=stride, groups=groups)
        peer.load_state_dict({"weight": layer.weight[row], "bias": layer.bias[row]})
        torch.testing.assert_close(y[row], peer(padded[row]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("space", [(), (6,), (4, 5)])
def test_batch_norm_agrees_with_torchs_in_training_and_evaluation(space):
    norm = BatchNorm(2, 16)
    peers = [(nn.BatchNorm2d if len(space) == 2 else nn.BatchNorm1d)(16) for _ in range(2)]
    for _ in range(5):
        x = torch.randn(2, 9, 16, *space) * 3 + 1
        y = to_rows(norm(to_maps(x)), 2)
        for row, peer in enumerate(peers):
            torch.testing.assert_close(y[row], peer(x[row]), atol=1e-5, rtol=1e-5)
    x = to_maps(torch.randn(2, 9, 16, *space))
    trained = norm(x)
    evaluated = norm.eval()(x)
    assert not torch.allclose(trained, evaluated, atol=1e-2)
    for row, peer in enumerate(peers):
        mine = to_rows(x, 2)[row]
        peer(mine)  # the last training step
        torch.testing.assert_close(to_rows(evaluated, 2)[row], peer.eval()(mine), atol=1e-5, rtol=1e-5)


def test_batch_norm_survives_a_batch_of_one():
    norm = BatchNorm(1, 16)
    assert torch.isfinite(norm(torch.randn(1, 16))).all()
    assert torch.equal(norm.running_mean, torch.zeros(1, 16))
    assert torch.equal(norm.running_var, torch.ones(1, 16))


@pytest.mark.parametrize("between", [(), (5,)])
def test_layer_norm_is_torchs(between):
    norm = LayerNorm(ROWS, 8)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = noise(ROWS, 4, *between, 8)
    for row in range(ROWS):
        expected = nn.functional.layer_norm(x[row], (8,), norm.weight[row], norm.bias[row])
        torch.testing.assert_close(norm(x)[row], expected)


def test_an_embedding_looks_up_each_rows_own_table():
    layer = Embedding(6, 4, generators(), padding=0)
    codes = torch.tensor([[[0, 5], [2, 1]]] * ROWS, dtype=torch.int32)
    vectors = layer(codes)
    for row in range(ROWS):
        assert torch.equal(vectors[row, 0, 1], layer.weight[row, 5])
        assert torch.equal(vectors[row, 1, 0], layer.weight[row, 2])
    assert not vectors[:, 0, 0].any()
    vectors.sum().backward()
    assert not layer.weight.grad[:, 0].any()


def test_dropout_keeps_the_mean_at_each_rows_own_rate_and_is_off_in_evaluation():
    dropout = Dropout([0.0, 0.2, 0.5], generators())
    ones = torch.ones(3, 300, 700)  # more than a block
    noisy = dropout(ones)
    assert (noisy == 0).float().mean((1, 2)).tolist() == pytest.approx([0.0, 0.2, 0.5], abs=0.01)
    assert noisy.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=0.01)
    assert not torch.equal(dropout(ones), noisy)
    assert torch.equal(dropout.eval()(ones), ones)


def test_dropout_noise_is_fresh_at_each_step_within_a_block():
    dropout = Dropout([0.5], generators(1))
    first, second = dropout(torch.ones(1, 8, 16)), dropout(torch.ones(1, 8, 16))
    assert not torch.equal(first, second)


def test_map_dropout_drops_whole_channels_of_each_row():
    dropout = MapDropout([0.0, 0.5], generators(2))
    y = to_rows(dropout(torch.ones(200, 2 * 8, 3, 4)), 2)
    assert torch.equal(y[0], torch.ones_like(y[0]))
    assert torch.equal(y[1], y[1, :, :, :1, :1].expand_as(y[1]))
    assert (y[1] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kind", [Dropout, MapDropout])
def test_noise_depends_on_the_rows_own_generator_alone(kind):
    def noisy(rates, seeds):
        layer = kind(rates, [torch.Generator().manual_seed(seed) for seed in seeds])
        x = torch.ones(len(rates), 5, 8)
        return x * layer.noise(x.shape, x)

    together = noisy([0.0, 0.3], [1, 2])
    assert torch.equal(together[1:], noisy([0.3], [2]))


SCHEMES = [
    ("he", "relu", 2 / 200),
    ("xavier", "relu", 2 / 300),
    ("small_normal", "relu", 1e-4),
    ("auto", "relu", 2 / 200),
    ("auto", "tanh", 2 / 300),
    ("auto", None, 2 / 300),
    ("zeros", "relu", 0),
]


@pytest.mark.parametrize(("scheme", "activation", "variance"), SCHEMES)
def test_how_weights_start(scheme, activation, variance):
    weight = initialize(scheme, (200, 100), 200, 100, activation, generators(2))
    assert weight.var((1, 2)).tolist() == pytest.approx([variance] * 2, rel=0.06)
    assert torch.equal(weight[1:], initialize(scheme, (200, 100), 200, 100, activation, generators(2)[1:]))


@pytest.mark.parametrize(("activation", "gain"), [("relu", 2.0), ("tanh", 1.0), (None, 1.0)])
def test_orthogonal_starts_are_orthogonal(activation, gain):
    weight = initialize("orthogonal", (30, 20), 30, 20, activation, generators(1))[0]
    torch.testing.assert_close(weight.T @ weight, torch.eye(20) * gain, atol=1e-5, rtol=1e-5)


def test_nothing_is_drawn_on_the_meta_device():
    before = generators(1)
    with torch.device("meta"):
        layers = [Linear(3, 4, before), Conv(3, 4, 3, before), Embedding(5, 2, before), Dropout([0.1], before)]
    assert all(parameter.is_meta for layer in layers for parameter in layer.parameters())
    assert torch.equal(before[0].get_state(), generators(1)[0].get_state())
