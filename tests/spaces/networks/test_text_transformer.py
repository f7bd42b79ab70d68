"""TextTransformer against torch's own transformer, of each text by itself, without any padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import Inputs, TextTransformer
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.layers import LearnedPositions, SelfAttention, SinusoidalPositions

ROWS = 2


def generators(rows=ROWS):
    return [torch.Generator().manual_seed(seed) for seed in range(rows)]


def stirred(module):
    """Every parameter away from its start, so that zeros and ones hide nothing."""
    for seed, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(seed))
    return module


def attention_state(layer, row):
    """A row's weights as torch's attention names them."""
    return {
        "in_proj_weight": layer.queries_keys_values.weight[row].T,
        "in_proj_bias": layer.queries_keys_values.bias[row, 0],
        "out_proj.weight": layer.last.weight[row].T,
        "out_proj.bias": layer.last.bias[row, 0],
    }


def encoder_state(layer, row):
    state = {f"self_attn.{name}": value for name, value in attention_state(layer.attention, row).items()}
    for number, linear in ((1, layer.feed_forward.first), (2, layer.feed_forward.second)):
        state |= {f"linear{number}.weight": linear.weight[row].T, f"linear{number}.bias": linear.bias[row, 0]}
    for number, norm in enumerate(layer.norms, 1):
        state |= {f"norm{number}.weight": norm.weight[row], f"norm{number}.bias": norm.bias[row]}
    return state


def test_the_space_holds_every_argument():
    config = TextTransformer(layers=1, heads=2, head_width=4).space.sample(np.random.default_rng(0))
    assert config == {
        "layers": 1, "heads": 2, "head_width": 4, "feed_forward": 4, "positions": "learned", "pooling": "average",
        "activation": "gelu", "pre_norm": True, "dropout": 0.0, "initialization": "auto",
    }  # fmt: skip


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_torchs(heads):
    layer = stirred(SelfAttention(heads, 4, generators()))
    width = 4 * heads
    x = torch.randn(ROWS, 5, 7, width, generator=torch.Generator().manual_seed(9))
    mask = torch.arange(7) < torch.tensor([7, 1, 3, 5, 2])[:, None]  # (batch, tokens)
    y = layer(x, mask.expand(ROWS, 5, 7))
    for row in range(ROWS):
        peer = nn.MultiheadAttention(width, heads, batch_first=True)
        peer.load_state_dict(attention_state(layer, row))
        expected, _ = peer(x[row], x[row], x[row], key_padding_mask=~mask, need_weights=False)
        torch.testing.assert_close(y[row], expected, atol=1e-5, rtol=1e-5)


def test_sinusoidal_positions_by_the_papers_formula():
    layer = SinusoidalPositions(6, 5, ROWS)
    waves = layer(torch.zeros(ROWS, 2, 6, 5))
    for position in range(6):
        for place in range(5):
            angle = position / 10_000 ** (2 * (place // 2) / 5)
            wave = math.sin(angle) if place % 2 == 0 else math.cos(angle)
            assert waves[1, 1, position, place].item() == pytest.approx(0.3 * wave, abs=1e-6)


def test_learned_positions_are_each_rows_own():
    layer = LearnedPositions(6, 5, generators(), std=0.5)
    y = layer(torch.ones(ROWS, 2, 4, 5))
    for row in range(ROWS):
        assert torch.equal(y[row], (1 + layer.weight[row, :4]).expand(2, 4, 5))


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("pooling", ["average", "max", "class_token"])
def test_a_row_is_the_network_that_torch_would_build(pre_norm, positions, pooling):
    family = TextTransformer(2, 2, 4, feed_forward=3, positions=positions, pooling=pooling, pre_norm=pre_norm)
    config = family.space.sample(np.random.default_rng(0))
    model = stirred(stacked(family, [config] * ROWS, Inputs((9,), vocabulary=20), 3, generators()))
    lengths = (9, 4, 1)
    codes = torch.randint(1, 20, (ROWS, 3, 9), generator=torch.Generator().manual_seed(5), dtype=torch.int32)
    for text, length in enumerate(lengths):
        codes[:, text, length:] = 0
    outputs = model(codes)
    for row in range(ROWS):
        peers = [nn.TransformerEncoderLayer(8, 2, 24, 0.0, "gelu", norm_first=pre_norm) for _ in model.layers]
        for peer, layer in zip(peers, model.layers, strict=True):
            peer.load_state_dict(encoder_state(layer, row))
        for text, length in enumerate(lengths):
            table = model.positions.weight if positions == "learned" else model.positions.waves
            x = model.embedding.weight[row, codes[row, text, :length].long()] + table[row, :length]
            if pooling == "class_token":
                x = torch.cat([model.class_token[row, None], x])
            for peer in peers:
                x = peer(x)
            if pre_norm:
                x = nn.functional.layer_norm(x, (8,), model.norm.weight[row], model.norm.bias[row])
            x = {"average": x.mean(0), "max": x.amax(0), "class_token": x[0]}[pooling]
            expected = (x @ model.last.weight[row] + model.last.bias[row, 0])[:3]
            torch.testing.assert_close(outputs[row, text], expected, atol=1e-4, rtol=1e-4)
