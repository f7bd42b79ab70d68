"""TextCNN is the network that plain torch would build of each text by itself, without any padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from archsearch import Choice, Inputs, TextCNN
from archsearch.spaces.networks.base import stacked

FIXED = TextCNN(embedding=8, filters=6)


def test_the_space_holds_every_argument():
    config = FIXED.space.sample(np.random.default_rng(0))
    assert config == {
        "embedding": 8, "filters": 6, "kernels": (3, 4, 5), "layers": 1, "activation": "relu", "pooling": "max",
        "hidden": 0, "dropout": 0.0, "initialization": "auto",
    }  # fmt: skip


def test_tuples_of_kernels_survive_a_space_s_json():
    space = TextCNN(embedding=8, filters=6, kernels=Choice((3,), (3, 4, 5))).space
    assert type(space).from_json(space.to_json()) == space


def alone(model, row, codes, pooling):
    """The outputs for one unpadded text (tokens,), by the paper's formulas."""
    x = model.embedding.weight[row, codes.long()].T  # (embedding, tokens)
    pooled = []
    for branch in model.branches:
        y = x
        for convolution in branch.convolutions:
            kernel = convolution.weight.shape[-1]
            padded = functional.pad(y, ((kernel - 1) // 2, kernel // 2))
            y = torch.relu(functional.conv1d(padded, convolution.weight[row], convolution.bias[row]))
        assert y.shape[-1] == len(codes)
        pooled.append(y.amax(-1) if pooling == "max" else y.mean(-1))
    x = torch.cat(pooled)
    if model.hidden is not None:
        x = torch.relu(x @ model.hidden.linear.weight[row] + model.hidden.linear.bias[row, 0])
    return (x @ model.last.weight[row] + model.last.bias[row, 0])[:3]


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("hidden", [0, 5])
def test_a_row_is_the_network_that_torch_would_build(pooling, layers, hidden):
    family = TextCNN(embedding=8, filters=6, kernels=(1, 4, 5), layers=layers, pooling=pooling, hidden=hidden)
    config = family.space.sample(np.random.default_rng(0))
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    model = stacked(family, [config] * 2, Inputs((9,), vocabulary=20), 3, generators)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    lengths = (9, 4, 1)
    codes = torch.randint(1, 20, (2, 3, 9), generator=torch.Generator().manual_seed(5), dtype=torch.int32)
    for text, length in enumerate(lengths):
        codes[:, text, length:] = 0
    outputs = model(codes)
    for row in range(2):
        for text, length in enumerate(lengths):
            expected = alone(model, row, codes[row, text, :length], pooling)
            torch.testing.assert_close(outputs[row, text], expected, atol=1e-3, rtol=1e-4)
