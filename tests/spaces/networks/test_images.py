"""What the families for images share: their inputs, their blocks, and that networks in a stack do not meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import CNN, Cells, Choice, Float, Inputs, Int, SpaceError, Supervised, digits
from archsearch.search.protocols import TrialContext
from archsearch.search.training.loop import Diverged
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.cnn import BLOCKS, HEADS, POOLINGS
from archsearch.spaces.networks.images import NORMS, Block, ConvOptions, halved, image_maps
from archsearch.spaces.networks.layers import (
    ACTIVATIONS,
    HALVING_POOLINGS,
    INITIALIZATIONS,
    SAME_SIZE_POOLINGS,
    SeparableConv,
    to_maps,
    to_rows,
)

ROWS = 2
SHAPES = [(8, 8), (28, 28), (3, 32, 32)]
WIDE = {
    "CNN": CNN(
        blocks=Int(1, 6), channels=Int(1, 6), block=Choice(*BLOCKS), convolutions=Int(1, 2), kernel=Int(1, 5),
        pooling=Choice(*POOLINGS), norm=Choice(*NORMS), activation=Choice(*ACTIVATIONS),
        channel_dropout=Float(0, 0.9), head=Choice(*HEADS), dense_layers=Int(0, 2), units=Int(1, 9),
        dropout=Float(0, 0.9), initialization=Choice(*sorted(set(INITIALIZATIONS) - {"zeros"})),
    ),
    "Cells": Cells(
        nodes=Int(1, 4), cells=Int(1, 2), channels=Int(1, 4), stages=Int(1, 4), kernel=Int(1, 5), norm=Choice(*NORMS),
        activation=Choice(*ACTIVATIONS), dropout=Float(0, 0.9),
        initialization=Choice(*sorted(set(INITIALIZATIONS) - {"zeros"})),
    ),
}  # fmt: skip
SMALL = {
    "plain": CNN(blocks=2, channels=8, channel_dropout=Float(0, 0.2), head="flatten", dense_layers=1, units=16),
    "residual": CNN(blocks=2, channels=6, block="residual", convolutions=2, norm="batch", dropout=Float(0, 0.5)),
    "separable": CNN(blocks=2, channels=8, block="separable", norm="batch", head="flatten", dropout=Float(0, 0.5)),
    "cells": Cells(nodes=3, cells=1, channels=4, stages=2, dropout=Float(0, 0.5)),
}
# Not AdamW, which makes a whole step of a gradient that is nothing but rounding.
RATES = {"optimizer": "sgd", "learning_rate": 3e-2, "momentum": 0.9, "batch_size": 128, "weight_decay": 0.0}
# A cell with something of each kind.
EDGES = {"edge_0_1": "conv", "edge_0_2": "max_pool", "edge_1_2": "separable",
         "edge_0_3": "average_pool", "edge_1_3": "skip", "edge_2_3": "conv"}  # fmt: skip


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sampled(family, seed):
    return family.space.sample(np.random.default_rng(seed))


def options(norm="batch", activation="relu"):
    return ConvOptions(norm, activation, "auto", generators(*range(ROWS)))


@pytest.fixture(scope="module")
def objective_of():
    """The objective of a family on scikit-learn's digits, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shared = Supervised(digits(), SMALL["plain"]).prepare()

    def objective(family):
        made = Supervised(digits(), family)
        made.attach(shared)
        return made

    yield objective
    torch.set_num_threads(threads)


def trial(family, seed, device="cpu", **changes):
    config = {**sampled(family, seed), **RATES, **changes}
    return TrialContext(number=seed, attempt=1, config=config, budget=1, seed=seed, device=device)


# Their inputs


@pytest.mark.parametrize("family", [CNN(blocks=1, channels=4), Cells(nodes=1, cells=1, channels=4)])
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Inputs((5,)), r"needs images, \(height, width\) or .*, got inputs of shape \(5,\); use .* such as MLP"),
        (Inputs((2, 3, 8, 8)), r"got inputs of shape \(2, 3, 8, 8\); use"),
        (Inputs((40,), vocabulary=99), "got texts; use data of such a shape, or .* such as TextCNN"),
        (Inputs((7, 2), categories=(3,)), r"got inputs of shape \(7, 2\)"),
    ],
)
def test_what_is_no_image_is_refused(family, inputs, message):
    with pytest.raises(SpaceError, match=f"{type(family).__name__} .*{message}"):
        stacked(family, [sampled(family, 0)], inputs, 3, generators(0))


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
@pytest.mark.parametrize("rows", [1, 2])
def test_images_become_maps_with_their_channels_innermost(shape, rows):
    x = images(rows, 4, *shape)
    maps = image_maps(x)
    channels = shape[0] if len(shape) == 3 else 1
    assert torch.equal(to_rows(maps, rows), x.view(rows, 4, channels, 6, 5))
    assert maps.stride(1) == 1


# Their layers and blocks


def test_a_separable_convolution_is_torchs_two():
    layer = SeparableConv(4, 6, 3, generators(0, 1), stride=2)
    nn.init.normal_(layer.pointwise.bias)
    x = images(ROWS, 5, 4, 9, 9)
    y = to_rows(layer(to_maps(x)), ROWS)
    for row in range(ROWS):
        peer = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4, bias=False), nn.Conv2d(4, 6, 1))
        peer[0].weight.data, peer[1].weight.data = layer.depthwise.weight[row], layer.pointwise.weight[row]
        peer[1].bias.data = layer.pointwise.bias[row]
        torch.testing.assert_close(y[row], peer(x[row]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("pool", HALVING_POOLINGS)
def test_halves_round_up_and_count_what_is_there(pool, size):
    halves = HALVING_POOLINGS[pool](torch.ones(1, 1, size, 7))
    assert halves.shape[2:] == (halved(size), 4)
    assert torch.equal(halves, torch.ones_like(halves))


@pytest.mark.parametrize("pool", SAME_SIZE_POOLINGS)
def test_smoothing_keeps_the_size_and_counts_what_is_there(pool):
    smooth = SAME_SIZE_POOLINGS[pool](-torch.ones(1, 1, 1, 4))
    assert torch.equal(smooth, -torch.ones(1, 1, 1, 4))


def test_halving_often():
    assert [halved(28, times) for times in range(7)] == [28, 14, 7, 4, 2, 1, 1]


def torchs(ours, row):
    """torch's own convolution and batch norm, with the weights of one row of ours."""
    weight = ours.convolution.weight[row]
    out, wide, kernel, _ = weight.shape
    stride = ours.convolution._stride
    bias = ours.convolution.bias is not None
    conv, norm = nn.Conv2d(wide, out, kernel, stride=stride, padding=kernel // 2, bias=bias), nn.BatchNorm2d(out)
    conv.weight.data, norm.weight.data, norm.bias.data = weight, ours.norm.weight[row], ours.norm.bias[row]
    return nn.Sequential(conv, norm)


@pytest.mark.parametrize(("wide", "stride"), [(4, 1), (4, 2), (6, 1)])
def test_a_residual_block_is_torchs_layers_around_a_shortcut(wide, stride):
    block = Block(wide, 6, 3, options(), convolutions=2, stride=stride, residual=True)
    for norm in (layer for layer in block.modules() if hasattr(layer, "running_mean")):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    assert (block.projection is None) == (wide == 6)
    x = images(ROWS, 5, wide, 9, 9)
    y = to_rows(block(to_maps(x)), ROWS)
    for row in range(ROWS):
        first, second = (torchs(layer, row) for layer in block.convolutions)
        shortcut = nn.Identity() if block.projection is None else torchs(block.projection, row)
        expected = torch.relu(second(torch.relu(first(x[row]))) + shortcut(x[row]))
        torch.testing.assert_close(y[row], expected, atol=1e-5, rtol=1e-5)


def test_a_block_ends_in_its_activation_and_the_norm_takes_the_bias_away():
    x = to_maps(images(ROWS, 5, 4, 9, 9))
    assert (Block(4, 6, 3, options(), convolutions=2)(x) >= 0).all()
    biases = [
        [conv.convolution.bias for conv in Block(4, 6, 3, options(norm)).convolutions] for norm in ("batch", "none")
    ]
    assert biases[0] == [None]
    assert biases[1][0].shape == (ROWS, 6)


# Their networks


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WIDE)
def test_every_config_of_a_wide_space_builds_and_has_gradients(name, shape):
    family = WIDE[name]
    for seed in range(10):
        config = sampled(family, seed)
        model = stacked(family, [config] * ROWS, Inputs(shape), 3, generators(*range(ROWS)))
        outputs = model(images(ROWS, 3, *shape))
        assert outputs.shape == (ROWS, 3, 3), config
        assert all(len(tensor) == ROWS for tensor in [*model.parameters(), *model.buffers()])
        gradients = torch.autograd.grad(outputs.square().sum(), list(model.parameters()))
        assert all(torch.isfinite(gradient).all() for gradient in gradients), config


@pytest.mark.parametrize("name", WIDE)
def test_on_the_meta_device_nothing_is_drawn_and_a_batch_passes(name):
    family = WIDE[name]
    for seed in range(6):
        ours = generators(1, 2)
        with torch.device("meta"):
            model = stacked(family, [sampled(family, seed)] * 2, Inputs((3, 32, 32)), 10, ours).eval()
            assert model(torch.empty(2, 4, 3, 32, 32)).shape == (2, 4, 10)
        assert all(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
        assert all(torch.equal(a.get_state(), b.get_state()) for a, b in zip(ours, generators(1, 2), strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_a_rows_start_depends_on_its_generator_alone(name):
    config = sampled(SMALL[name], 0)
    together = stacked(SMALL[name], [config, config | {"dropout": 0.1}], Inputs((8, 8)), 10, generators(1, 2))
    alone = stacked(SMALL[name], [config], Inputs((8, 8)), 10, generators(2))
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours[1:], theirs)


# Stacks


def trials(name, *seeds, **changes):
    """Of one graph, each with rates of dropout of its own."""
    edges = EDGES if name == "cells" else {}
    return [trial(SMALL[name], seed, **edges, **changes) for seed in seeds]


def three_steps(model, x):
    """The outputs before each of three steps down their squares."""
    parameters = list(model.parameters())
    seen = []
    for _ in range(3):
        outputs = model(x)
        seen.append(outputs.detach())
        gradients = torch.autograd.grad(outputs.square().sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.data.sub_(gradient, alpha=1e-3)
    return torch.stack([*seen, model.eval()(x).detach()], dim=1)  # (K, steps, batch, outputs)


@pytest.mark.parametrize("name", SMALL)
def test_a_row_of_a_stack_is_that_network_alone(name):
    """In double precision, where rounding leaves no room for anything else."""
    configs = [each.config for each in trials(name, 1, 2) + trials(name, 3, dropout=0.0)]
    x = images(3, 9, 8, 8).double()

    def alone(rows):
        chosen = [configs[row] for row in rows]
        return stacked(SMALL[name], chosen, Inputs((8, 8)), 10, generators(*rows)).double()

    together = three_steps(alone([0, 1, 2]), x)
    for row in range(3):
        torch.testing.assert_close(together[row], three_steps(alone([row]), x[[row]])[0], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", SMALL)
def test_a_stack_trains_as_each_network_alone(objective_of, name):
    objective = objective_of(SMALL[name])
    stack = trials(name, 1, 2) + trials(name, 3, dropout=0.0)
    ((*together,),) = objective.run_stack(stack)
    for ours, each in zip(together, stack, strict=True):
        (alone,) = objective(each)
        assert ours["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(alone["val_loss"], rel=1e-3)  # after all the steps


@pytest.mark.parametrize("name", SMALL)
def test_a_row_that_turns_nan_hurts_none(objective_of, name):
    objective = objective_of(SMALL[name])
    ((healthy, sick),) = objective.run_stack(trials(name, 1) + trials(name, 2, learning_rate=1e38))
    (alone,) = objective(*trials(name, 1))
    assert healthy["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-5)
    assert healthy["val_loss"] == pytest.approx(alone["val_loss"], rel=1e-3)
    assert isinstance(sick, Diverged)


@pytest.mark.parametrize("name", SMALL)
def test_an_epoch_teaches_the_digits(objective_of, name):
    (after,) = objective_of(SMALL[name])(*trials(name, 1, batch_size=16, dropout=0.0))
    assert after["val_accuracy"] > 0.3  # chance: 0.1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch sees none")
@pytest.mark.parametrize("name", SMALL)
def test_an_epoch_on_a_gpu(objective_of, name):
    objective = objective_of(SMALL[name])
    stack = trials(name, 1, 2, device="cuda", dropout=0.0)
    ((*together,),) = objective.run_stack(stack)
    for ours, each in zip(together, stack, strict=True):
        (alone,), (cpu,) = objective(each), objective(replace(each, device="cpu"))
        assert ours == pytest.approx(alone, abs=1e-2)
        assert ours == pytest.approx(cpu, abs=5e-2)
