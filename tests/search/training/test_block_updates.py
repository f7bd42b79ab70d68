"""Local updates move the chosen block alone; the projection ends on the ball."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import MLP, Inputs, NetworkFamily, Recipe
from archsearch.search.training.block_updates import Ball, Blocks
from archsearch.search.training.loop import Loop
from archsearch.search.training.optimizers import flatten
from archsearch.search.training.tensors import Tensors

ROWS, LAYERS = 2, 4  # three hidden layers and the output


def model(rows=ROWS):
    family = MLP(layers=3, units=16)
    config = family.space.sample(np.random.default_rng(0))
    generators = [torch.Generator().manual_seed(row) for row in range(rows)]
    network = family.stack([config] * rows, Inputs((5,)), 3, generators)
    return network, flatten(network, rows)


def moved(training_of, configs, steps=12, epochs=1, seeds=(1, 2)):
    """For each row and step, which layers an update of everything has moved: lists of layer numbers."""
    network, values = model(len(configs))
    training = training_of(configs, values, model=network, steps=steps, seeds=seeds[: len(configs)])
    parts = [Blocks()] if Blocks.is_on(configs) else []
    for blocks in parts:
        blocks.training_begins(training)
    layers = [*network.hidden, network.last]
    found = [[] for _ in configs]
    for _ in range(epochs):
        for blocks in parts:
            blocks.epoch_begins(training)
        for training.step in range(steps):
            before = [[p.detach().clone() for p in layer.parameters()] for layer in layers]
            for blocks in parts:
                blocks.step_begins(training, values)
            values += 1.0
            for blocks in parts:
                blocks.step_ends(training)
            for row in range(len(configs)):
                changed = []
                for number, (olds, layer) in enumerate(zip(before, layers, strict=True)):
                    moves = {
                        bool((new[row] != old[row]).all()) if (new[row] != old[row]).any() else None
                        for old, new in zip(olds, layer.parameters(), strict=True)
                    }
                    assert moves in ({True}, {None})  # a layer moves as a whole or not at all
                    changed += [number] if moves == {True} else []
                found[row].append(changed)
    return found


def project(training):
    assert Ball.is_on(training.configs)
    ball = Ball()
    ball.training_begins(training)
    ball.step_ends(training)


def test_without_local_updates_everything_moves(training_of):
    assert moved(training_of, [{}, {}]) == [[[0, 1, 2, 3]] * 12] * 2


def test_random_blocks_are_each_rows_own_and_of_the_size_asked_for(training_of):
    first, second = moved(
        training_of, [{"local_updates": "random", "block_fraction": share} for share in (0.5, 0.2)], steps=40
    )
    assert {len(block) for block in first} == {2}
    assert {len(block) for block in second} == {1}
    assert len({tuple(block) for block in first}) == 6
    assert {block[0] for block in second} == {0, 1, 2, 3}


def test_a_rows_blocks_do_not_depend_on_its_neighbours(training_of):
    config = {"local_updates": "random", "block_fraction": 0.5}
    assert moved(training_of, [config, config])[1] == moved(training_of, [config], seeds=(2,))[0]


def test_cyclic_blocks_follow_in_turn_over_the_epochs(training_of):
    (blocks,) = moved(training_of, [{"local_updates": "cyclic", "block_fraction": 0.25}], steps=3, epochs=2)
    assert blocks == [[0], [1], [2], [3], [0], [1]]
    (blocks,) = moved(training_of, [{"local_updates": "cyclic", "block_fraction": 0.75}], steps=3)
    assert blocks == [[0, 1, 2], [0, 1, 3], [0, 2, 3]]


def test_last_blocks_are_those_nearest_to_the_output(training_of):
    (blocks,) = moved(training_of, [{"local_updates": "last", "block_fraction": 0.5}], steps=3)
    assert blocks == [[2, 3]] * 3


@pytest.mark.parametrize("way", ["random", "cyclic"])
def test_a_restored_state_goes_on_with_the_same_blocks(training_of, way):
    config = {"local_updates": way, "block_fraction": 0.5}
    network, values = model(1)
    training = training_of([config], values, model=network, steps=20, seeds=[3])
    going, resumed = Blocks(), Blocks()
    for blocks in (going, resumed):
        blocks.training_begins(training)
    going.epoch_begins(training)
    resumed.restore(going.state())
    for blocks in (going, resumed):
        blocks.epoch_begins(training)
    assert torch.equal(going._chosen, resumed._chosen)


def test_the_projection_scales_each_weight_tensor_back_to_the_ball(training_of):
    network, values = model()
    values *= 10
    before = [layer.linear.weight.detach().clone() for layer in network.hidden]
    biases = [nn.init.constant_(layer.linear.bias, 50.0).detach().clone() for layer in network.hidden]
    project(training_of([{"max_norm": 3.0}, {}], values, model=network))
    for layer, weight, bias in zip(network.hidden, before, biases, strict=True):
        now = layer.linear.weight.detach()
        assert now[0].norm().item() == pytest.approx(3.0, rel=1e-5)
        torch.testing.assert_close(now[0], weight[0] * 3.0 / weight[0].norm())
        assert torch.equal(now[1], weight[1])
        assert torch.equal(layer.linear.bias, bias)


def test_the_projection_leaves_what_is_inside(training_of):
    network, values = model()
    before = values.clone()
    project(training_of([{"max_norm": 1e3}, {"max_norm": 1e3}], values, model=network))
    assert torch.equal(values, before)


class Scaled(nn.Module):
    """A linear network whose outputs are multiplied by a parameter without axes."""

    def __init__(self, columns, outputs):
        super().__init__()
        self.scale, self.linear = nn.Parameter(torch.tensor(5.0)), nn.Linear(columns, outputs)

    def forward(self, inputs):
        return self.scale * self.linear(inputs)


class ScaledFamily(NetworkFamily):
    def build(self, config, inputs, outputs):
        return Scaled(*inputs.shape, outputs)

    def stack_key(self, config):
        return "scaled"


@pytest.mark.parametrize("settings", [{"max_norm": 0.1}, {"local_updates": "last"}])
def test_a_parameter_without_axes_is_not_projected(blobs, trial, one_thread, settings):
    data, recipe = Tensors.from_prepared("cpu", blobs()), Recipe(**settings)
    trials = [trial(seed=seed, **settings) for seed in (1, 2)]
    loops = [Loop(ScaledFamily(), data, some, 2, ("val_loss",), recipe) for some in (trials, trials[:1], trials[1:])]
    together, first, second = [[row["val_loss"] for row in loop.epoch()] for loop in loops]
    assert together == pytest.approx([*first, *second])
    state = loops[1].state()["model"]
    assert state["module.scale"] > 1
    assert "max_norm" not in settings or state["module.linear.weight"].norm() <= 0.1 + 1e-6
