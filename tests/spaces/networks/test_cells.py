"""Cells: its space, which edges count, its size in known cases, and that each parameter reaches the network."""

from __future__ import annotations

from dataclasses import fields
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, max_pool2d

from archsearch import Cells, Choice, Inputs, Int, SpaceError
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.cells import OPERATIONS, edges
from archsearch.spaces.networks.costs import costs


def sampled(family, seed=0):
    return family.space.sample(np.random.default_rng(seed))


def build(family, shape=(8, 8), outputs=10, **changes):
    config = sampled(family) | changes
    return stacked(family, [config], Inputs(shape), outputs, [torch.Generator().manual_seed(0)])


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9))


def parameters(family, shape=(8, 8), **changes):
    return costs(family, sampled(family) | changes, Inputs(shape), 10).parameters


# The space


def test_every_pair_of_nodes_has_an_edge_where_the_cell_has_the_nodes():
    family = Cells(nodes=Int(1, 3), cells=1, channels=4)
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    assert [name for name in family.space if name.startswith("edge")] == [f"edge_{a}_{b}" for a, b in pairs]
    for seed in range(30):
        config = sampled(family, seed)
        assert [f"edge_{a}_{b}" in config for a, b in pairs] == [b <= config["nodes"] for _, b in pairs]


def test_three_nodes_are_the_edges_of_nas_bench_201():
    five = Choice("none", "skip", "conv", "separable", "average_pool")
    assert Cells(nodes=3, cells=5, channels=16, operation=five).space.size() == 5**6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nodes": 0}, "Cells nodes must be a whole number of at least 1, got 0"),
        ({"cells": Int(0, 2)}, "Cells cells must be a whole number of at least 1, got 0 from Int"),
        ({"channels": 1.5}, "Cells channels must be a whole number of at least 1, got 1.5"),
        ({"operation": Choice("conv", "pool")}, "unknown operation 'pool'; known: average_pool, conv, max_pool"),
        ({"stages": 0}, "Cells stages must be a whole number of at least 1, got 0"),
        ({"kernel": 0}, "Cells kernel must be a whole number of at least 1, got 0"),
        ({"norm": "layer"}, "unknown norm 'layer'; known: batch, none"),
        ({"activation": "rellu"}, "did you mean 'relu'?"),
        ({"dropout": 1.0}, r"Cells dropout must be a number in \[0, 1\), got 1.0"),
        ({"initialization": "kaiming"}, "unknown initialization 'kaiming'"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        Cells(**({"nodes": 1, "cells": 1, "channels": 8} | arguments))


# Which edges count


def edged(nodes, **operations):
    """A config of these edges, and no others."""
    pairs = [(a, b) for b in range(1, nodes + 1) for a in range(b)]
    return {"nodes": nodes} | {f"edge_{a}_{b}": operations.get(f"edge_{a}_{b}", "none") for a, b in pairs}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ({"edge_0_3": "conv"}, [(0, 3)]),
        ({"edge_0_1": "conv", "edge_1_2": "skip", "edge_2_3": "conv"}, [(0, 1), (1, 2), (2, 3)]),
        ({"edge_0_3": "conv", "edge_0_1": "conv", "edge_1_2": "conv"}, [(0, 3)]),  # node 2 leads nowhere
        ({"edge_0_3": "conv", "edge_1_2": "conv", "edge_2_3": "conv"}, [(0, 3)]),  # nothing leads to node 1
        ({"edge_0_1": "conv", "edge_2_3": "conv"}, []),
        ({}, []),
    ],
)
def test_only_edges_on_a_way_from_input_to_output_count(operations, expected):
    assert [(tail, head) for tail, head, _ in edges(edged(3, **operations))] == expected


def test_the_edges_that_count_are_those_of_all_ways():
    """Against every path of every cell of three nodes, whose edges are or are not."""
    paths = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    pairs = sorted({edge for path in paths for edge in path})
    for there in product([False, True], repeat=len(pairs)):
        given = {edge for edge, present in zip(pairs, there, strict=True) if present}
        config = edged(3, **{f"edge_{a}_{b}": "conv" for a, b in given})
        expected = {edge for path in paths if given.issuperset(path) for edge in path}
        assert {(tail, head) for tail, head, _ in edges(config)} == expected


# The network


def cell_of(**operations):
    """A cell of three nodes that does no more than these edges, between 6 channels."""
    family = Cells(nodes=3, cells=1, channels=6, stages=1)
    return build(family, **edged(3, **operations)).body[0]


def test_a_node_is_the_sum_of_what_its_edges_bring():
    x = images(2, 6, 5, 5)
    high, mean = max_pool2d(x, 3, 1, 1), avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    cell = cell_of(edge_0_1="max_pool", edge_0_2="average_pool", edge_1_2="skip", edge_0_3="skip", edge_2_3="skip")
    torch.testing.assert_close(cell(x), x + mean + high)
    torch.testing.assert_close(cell_of(edge_0_1="max_pool", edge_1_3="skip")(x), high)


@pytest.mark.parametrize("separable", [False, True])
def test_a_convolution_follows_its_activation(separable):
    x = images(2, 6, 5, 5)
    cell = cell_of(edge_0_3="separable" if separable else "conv")
    layer = cell.operations[0].convolution
    torch.testing.assert_close(cell(x), layer(torch.relu(x)))
    assert not torch.allclose(cell(x), torch.relu(layer(x)), atol=1e-2)


def test_a_cell_of_nothing_trains_and_answers_all_images_alike():
    model = build(Cells(nodes=2, cells=2, channels=4), edge_0_1="none", edge_0_2="none", edge_1_2="none")
    x = images(1, 5, 8, 8)
    outputs = model(x)
    assert torch.equal(outputs, outputs[:, :1].expand_as(outputs))
    gradients = torch.autograd.grad((outputs - 1).square().sum(), list(model.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_parameters_by_hand():
    """Two stages of 4 and 8 channels with one cell each, whose edges are a convolution and a separable one."""
    family = Cells(nodes=2, cells=1, channels=4, stages=2)
    norm = 2
    stem = (3 * 9 + norm) * 4
    cells = sum((c * 9 + norm) * c + c * 9 + (c + norm) * c for c in (4, 8))
    reduction = (4 * 9 + norm) * 8 + (8 * 9 + norm) * 8 + (4 + norm) * 8
    last = norm * 8 + (8 + 1) * 10
    operations = {"edge_0_1": "conv", "edge_0_2": "separable", "edge_1_2": "skip"}
    assert parameters(family, (3, 8, 8), **operations) == stem + cells + reduction + last
    # Edges that lead nowhere cost nothing.
    dead = operations | {"edge_0_2": "skip", "edge_1_2": "none"}
    assert parameters(family, (3, 8, 8), **dead) == stem + reduction + last


def test_without_norm_convolutions_have_a_bias():
    family = Cells(nodes=1, cells=1, channels=4, stages=1, norm="none", operation="conv")
    assert parameters(family) == (9 + 1) * 4 + (4 * 9 + 1) * 4 + (4 + 1) * 10


def test_stages_halve_the_size_and_double_the_channels():
    model, sizes = build(Cells(nodes=1, cells=2, channels=3, stages=6, operation="skip")), []
    for layer in model.body:
        layer.register_forward_hook(lambda layer, given, output: sizes.append(tuple(output.shape[1:])))
    model(images(1, 2, 8, 8))
    cells = [size for kind, size in zip(model.body, sizes, strict=True) if type(kind).__name__ == "_Cell"]
    assert cells[::2] == cells[1::2] == [(3, 8, 8), (6, 4, 4), (12, 2, 2), (24, 1, 1), (48, 1, 1), (96, 1, 1)]


# Every parameter

BASE = {
    "nodes": 2, "cells": 1, "channels": 4, "operation": "conv", "stages": 2, "kernel": 3, "norm": "none",
    "activation": "relu", "dropout": 0.0, "initialization": "auto",
}  # fmt: skip
OTHERS = {
    "nodes": [1, 3],
    "cells": [2],
    "channels": [5],
    "operation": sorted({*OPERATIONS} - {"conv"}),
    "stages": [1, 3],
    "kernel": [2, 5],
    "norm": ["batch"],
    "activation": ["tanh", "silu"],
    "dropout": [0.5],
    "initialization": ["xavier", "orthogonal", "small_normal", "zeros"],
}


@pytest.mark.parametrize("name", [field.name for field in fields(Cells)])
def test_every_parameter_changes_the_network(name):
    base, x = Cells(**BASE), images(1, 6, 8, 8)
    before = build(base)(x)
    assert torch.equal(build(base)(x), before)
    for value in OTHERS[name]:
        other = Cells(**{**BASE, name: value})
        assert not torch.allclose(build(other)(x), before, atol=1e-4), value
        same_graph = base.stack_key(sampled(base)) == base.stack_key(sampled(other))
        assert same_graph == (name == "dropout"), value


@pytest.mark.parametrize("edge", ["edge_0_1", "edge_0_2", "edge_1_2"])
def test_every_edge_changes_the_network(edge):
    family = Cells(**BASE)
    x = images(1, 6, 8, 8)
    seen = [build(family, **{edge: operation})(x) for operation in OPERATIONS]
    keys = {family.stack_key(sampled(family) | {edge: operation}) for operation in OPERATIONS}
    assert len(keys) == len(OPERATIONS)
    for index, outputs in enumerate(seen):
        assert not any(torch.allclose(outputs, other, atol=1e-4) for other in seen[:index])


def test_networks_that_differ_where_nothing_passes_share_a_stack():
    family = Cells(nodes=3, cells=1, channels=4)
    same = [sampled(family) | edged(3, edge_0_3="conv", edge_0_1=operation) for operation in ("conv", "skip")]
    assert family.stack_key(same[0]) == family.stack_key(same[1])
    model = stacked(family, same, Inputs((8, 8)), 10, [torch.Generator().manual_seed(seed) for seed in (0, 1)])
    assert model(images(2, 3, 8, 8)).shape == (2, 3, 10)
