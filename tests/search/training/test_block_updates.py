"""Local updates move the chosen block alone; the projection ends on the ball."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import MLP, Inputs
from archsearch.search.training.block_updates import Ball, Blocks
from archsearch.search.training.optimizers import flatten

ROWS, LAYERS = 2, 4  # three hidden layers and the output


def model(rows=ROWS):
    family = MLP(layers=3, units=16)
    config = family.space.sample(np.random.default_rng(0))
    generators = [torch.Generator().manual_seed(row) for row in range(rows)]
    network = family.stack([config] * rows, Inputs((5,)), 3, generators)
    return network, flatten(network, rows)


def moved(configs, steps=12, epochs=1, seeds=(1, 2)):
    """For each row and step, which layers an update of everything has moved: lists of layer numbers."""
    network, values = model(len(configs))
    blocks = Blocks(configs, values, network, seeds[: len(configs)])
    layers = [*network.hidden, network.last]
    found = [[] for _ in configs]
    for _ in range(epochs):
        blocks.epoch(steps)
        for step in range(steps):
            before = [[p.detach().clone() for p in layer.parameters()] for layer in layers]
            blocks.before()
            values += 1.0
            blocks.after(step)
            for row in range(len(configs)):
                changed = []
                for number, (olds, layer) in enumerate(zip(before, layers, strict=True)):
                    parts = {
                        bool((new[row] != old[row]).all()) if (new[row] != old[row]).any() else None
                        for old, new in zip(olds, layer.parameters(), strict=True)
                    }
                    assert parts in ({True}, {None})  # a layer moves as a whole or not at all
                    changed += [number] if parts == {True} else []
                found[row].append(changed)
    return found


def test_without_local_updates_everything_moves():
    assert moved([{}, {}]) == [[[0, 1, 2, 3]] * 12] * 2


def test_random_blocks_are_each_rows_own_and_of_the_size_asked_for():
    first, second = moved([{"local_updates": "random", "block_fraction": share} for share in (0.5, 0.2)], steps=40)
    assert {len(block) for block in first} == {2}
    assert {len(block) for block in second} == {1}
    assert len({tuple(block) for block in first}) == 6
    assert {block[0] for block in second} == {0, 1, 2, 3}


def test_a_rows_blocks_do_not_depend_on_its_neighbours():
    config = {"local_updates": "random", "block_fraction": 0.5}
    assert moved([config, config])[1] == moved([config], seeds=(2,))[0]


def test_cyclic_blocks_follow_in_turn_over_the_epochs():
    (blocks,) = moved([{"local_updates": "cyclic", "block_fraction": 0.25}], steps=3, epochs=2)
    assert blocks == [[0], [1], [2], [3], [0], [1]]
    (blocks,) = moved([{"local_updates": "cyclic", "block_fraction": 0.75}], steps=3)
    assert blocks == [[0, 1, 2], [0, 1, 3], [0, 2, 3]]


def test_last_blocks_are_those_nearest_to_the_output():
    (blocks,) = moved([{"local_updates": "last", "block_fraction": 0.5}], steps=3)
    assert blocks == [[2, 3]] * 3


@pytest.mark.parametrize("way", ["random", "cyclic"])
def test_a_restored_state_goes_on_with_the_same_blocks(way):
    config = {"local_updates": way, "block_fraction": 0.5}
    network, values = model(1)
    going, resumed = (Blocks([config], values, network, [3]) for _ in range(2))
    going.epoch(5)
    resumed.restore(going.state())
    for blocks in (going, resumed):
        blocks.epoch(20)
    assert torch.equal(going._chosen, resumed._chosen)


def test_the_projection_scales_each_weight_tensor_back_to_the_ball():
    network, values = model()
    values *= 10
    before = [layer.linear.weight.detach().clone() for layer in network.hidden]
    biases = [nn.init.constant_(layer.linear.bias, 50.0).detach().clone() for layer in network.hidden]
    Ball([{"max_norm": 3.0}, {}], values, network).project()
    for layer, weight, bias in zip(network.hidden, before, biases, strict=True):
        now = layer.linear.weight.detach()
        assert now[0].norm().item() == pytest.approx(3.0, rel=1e-5)
        torch.testing.assert_close(now[0], weight[0] * 3.0 / weight[0].norm())
        assert torch.equal(now[1], weight[1])
        assert torch.equal(layer.linear.bias, bias)


def test_the_projection_leaves_what_is_inside():
    network, values = model()
    before = values.clone()
    Ball([{"max_norm": 1e3}, {"max_norm": 1e3}], values, network).project()
    assert torch.equal(values, before)
