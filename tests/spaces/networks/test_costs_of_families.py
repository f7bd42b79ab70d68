"""What each family costs, against networks counted by hand and against torch's counter on a plain twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archsearch import CNN, MLP, Cells, Inputs, Pretrained, TextCNN, TextTransformer
from archsearch.spaces.networks.costs import costs

IMAGE, TEXT, TABLE = Inputs((8, 8)), Inputs((12,), vocabulary=50), Inputs((20,))


def counted(family, inputs, outputs):
    found = costs(family, family.space.sample(np.random.default_rng(0)), inputs, outputs)
    return found.parameters, found.flops


def of_twin(module, sample):
    with FlopCounterMode(display=False) as counter:
        module(sample)
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops()


def test_mlp():
    twin = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
    assert counted(MLP(layers=2, units=32), TABLE, 3) == of_twin(twin, torch.zeros(1, 20))


def test_cnn():
    """The plain network: two 3x3 convolutions of 64 channels, and two dense layers."""
    twin = nn.Sequential(
        nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    family = CNN(blocks=2, channels=64, head="flatten", dense_layers=1, units=128)
    assert counted(family, IMAGE, 10) == of_twin(twin, torch.zeros(1, 1, 8, 8))


def test_cells():
    """One cell of one edge, a convolution, between the stem and the head; batch norm after both and before the head."""
    parameters = (9 * 4 + 2 * 4) + (9 * 4 * 4 + 2 * 4) + 2 * 4 + (4 + 1) * 10
    flops = 2 * (9 * 4 * 64 + 9 * 4 * 4 * 64 + 4 * 10)
    assert counted(Cells(nodes=1, cells=1, stages=1, channels=4, operation="conv"), IMAGE, 10) == (parameters, flops)


def test_text_cnn():
    """Kernels of 3 and 5 tokens over 12, padded, 6 filters of each."""
    parameters = 50 * 16 + (3 * 16 + 1) * 6 + (5 * 16 + 1) * 6 + (12 + 1) * 2
    flops = 2 * (12 * (3 + 5) * 16 * 6 + 12 * 2)
    assert counted(TextCNN(embedding=16, filters=6, kernels=(3, 5)), TEXT, 2) == (parameters, flops)


def test_text_transformer():
    """One layer of width 8: four projections, two products of 12 tokens with 12, and the feed-forward part."""
    _, flops = counted(TextTransformer(layers=1, heads=2, head_width=4, feed_forward=4), TEXT, 2)
    assert flops == 2 * (12 * 8 * 8 * 4 + 2 * 12 * 12 * 8 + 2 * 12 * 8 * 32 + 8 * 2)


def convolutional():
    return nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 5))


@pytest.mark.parametrize("freeze", ["none", "all"])
def test_pretrained(freeze):
    twin = nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(108, 7))
    assert counted(Pretrained(convolutional, freeze=freeze), IMAGE, 7) == of_twin(twin, torch.zeros(1, 8, 8))


def test_grey_images_without_a_channel_are_answered_with_the_argument():
    family = Pretrained(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5)))
    with pytest.raises(RuntimeError) as caught:
        counted(family, IMAGE, 7)
    assert any("channels=1), or 3" in note for note in caught.value.__notes__)
