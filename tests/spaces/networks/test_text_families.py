"""What both families for texts promise: padding is nothing, rows are apart, every parameter reaches the network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from archsearch import Choice, Float, Inputs, Int, SpaceError, TextCNN, TextTransformer
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.layers import ACTIVATIONS, INITIALIZATIONS, POSITIONS, Dropout
from archsearch.spaces.networks.text import POOLINGS, masked_max, masked_mean, token_mask

CNN = {
    "embedding": 8, "filters": 6, "kernels": (3, 4, 5), "layers": 2, "activation": "relu", "pooling": "max",
    "hidden": 10, "dropout": 0.0, "initialization": "auto",
}  # fmt: skip
TRANSFORMER = {
    "layers": 2, "heads": 2, "head_width": 4, "feed_forward": 3, "positions": "learned", "pooling": "average",
    "activation": "gelu", "pre_norm": True, "dropout": 0.0, "initialization": "auto",
}  # fmt: skip
FIXED = {"cnn": CNN, "transformer": TRANSFORMER}
WIDE = {
    "cnn": TextCNN(
        embedding=Int(1, 20),
        filters=Int(1, 20),
        kernels=Choice((3,), (3, 4, 5), (1, 2), (2, 2, 13)),
        layers=Int(1, 3),
        activation=Choice(*ACTIVATIONS),
        pooling=Choice(*POOLINGS),
        hidden=Choice(0, 1, 9),
        dropout=Float(0, 0.9),
        initialization=Choice(*INITIALIZATIONS),
    ),
    "transformer": TextTransformer(
        layers=Int(1, 3),
        heads=Int(1, 4),
        head_width=Int(1, 7),
        feed_forward=Int(1, 4),
        positions=Choice(*POSITIONS),
        pooling=Choice(*POOLINGS, "class_token"),
        activation=Choice(*ACTIVATIONS),
        pre_norm=Choice(True, False),
        dropout=Float(0, 0.9),
        initialization=Choice(*INITIALIZATIONS),
    ),
}
# For each parameter the values that must make another network than FIXED.
OTHERS = {
    "cnn": {
        "embedding": [9],
        "filters": [7],
        "kernels": [(3, 4), (3, 4, 4)],
        "layers": [1, 3],
        "activation": sorted(set(ACTIVATIONS) - {"relu"}),
        "pooling": sorted(set(POOLINGS) - {"max"}),
        "hidden": [0, 11],
        "dropout": [0.5],
        "initialization": sorted(set(INITIALIZATIONS) - {"auto"}),
    },
    "transformer": {
        "layers": [1, 3],
        "heads": [1, 3],
        "head_width": [5],
        "feed_forward": [4],
        "positions": sorted(set(POSITIONS) - {"learned"}),
        "pooling": sorted({*POOLINGS, "class_token"} - {"average"}),
        "activation": sorted(set(ACTIVATIONS) - {"gelu"}),
        "pre_norm": [False],
        "dropout": [0.5],
        "initialization": sorted(set(INITIALIZATIONS) - {"auto"}),
    },
}
both = pytest.mark.parametrize("family", ["cnn", "transformer"])
TEXT = Inputs((12,), vocabulary=30)


def build(family, *changes, seeds=None):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or range(len(changes))]
    return stacked(WIDE[family], [FIXED[family] | change for change in changes], TEXT, 3, generators)


def texts(rows=1, batch=7, length=12):
    """Each text one token shorter than the one before, filled up with padding."""
    codes = torch.randint(1, 30, (rows, batch, length), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    for text in range(batch):
        codes[:, text, length - text :] = 0
    return codes


def test_every_parameter_has_a_case():
    for family, wide in WIDE.items():
        assert set(OTHERS[family]) == set(FIXED[family]) == set(wide.space)


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [(family, name, value) for family in OTHERS for name in OTHERS[family] for value in OTHERS[family][name]],
)
def test_every_parameter_changes_the_network(family, name, value):
    x = texts()
    assert not torch.allclose(build(family, {})(x), build(family, {name: value})(x), atol=1e-5)


@both
def test_stack_key_tells_apart_what_cannot_share_a_graph(family):
    for name, values in OTHERS[family].items():
        keys = {WIDE[family].stack_key(FIXED[family] | {name: value}) for value in values}
        keys.add(WIDE[family].stack_key(FIXED[family]))
        assert len(keys) == (1 if name == "dropout" else len(values) + 1)


@both
@effort(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), rows=st.sampled_from([1, 2]))
def test_every_config_builds_and_learns(family, seed, rows):
    config = WIDE[family].space.sample(np.random.default_rng(seed))
    model = stacked(WIDE[family], [config] * rows, TEXT, 3, [torch.Generator().manual_seed(k) for k in range(rows)])
    y = model(texts(rows))
    assert y.shape == (rows, 7, 3)
    assert y.isfinite().all()
    assert all(len(tensor) == rows for tensor in [*model.parameters(), *model.buffers()])
    y.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("family", "change"),
    [
        *(("cnn", {"pooling": pooling, "layers": layers}) for pooling in POOLINGS for layers in (1, 3)),
        *(("transformer", {"pooling": pooling}) for pooling in (*POOLINGS, "class_token")),
        ("transformer", {"pre_norm": False, "positions": "sinusoidal"}),
    ],
)
def test_padding_changes_no_output(family, change):
    model = build(family, change).eval()
    short = texts(length=9)
    long = torch.cat([short, torch.zeros(1, 7, 3, dtype=torch.int32)], dim=2)
    torch.testing.assert_close(model(short), model(long), atol=1e-6, rtol=1e-5)
    other = long.clone()
    other[0, 1, 8] = 5
    assert not torch.allclose(model(other), model(long), atol=1e-6)


@pytest.mark.parametrize(
    ("family", "change"),
    [
        *(("cnn", {"pooling": pooling}) for pooling in POOLINGS),
        *(("transformer", {"pooling": pooling}) for pooling in (*POOLINGS, "class_token")),
    ],
)
def test_a_text_of_padding_alone_gives_numbers_and_gradients(family, change):
    model = build(family, change)
    empty = torch.zeros(1, 2, 12, dtype=torch.int32)
    y = model(empty)
    assert y.isfinite().all()
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    torch.testing.assert_close(model.eval()(empty[..., :4]), model(empty), atol=1e-6, rtol=1e-5)


@both
def test_a_row_is_what_it_would_be_alone(family):
    """Its start, its noise and its outputs, whatever rate its neighbour has."""
    together, alone = build(family, {}, {"dropout": 0.4}, seeds=[1, 2]), build(family, {"dropout": 0.4}, seeds=[2])
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours[1:], theirs)
    x = texts(2)
    for _ in range(2):
        torch.testing.assert_close(together(x)[1:], alone(x[1:]), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(alone(x[1:]), alone.eval()(x[1:]), atol=1e-6)


@pytest.mark.parametrize(("family", "places"), [("cnn", 2), ("transformer", 1 + 2 * 2)])
def test_dropout_is_wherever_it_should_be(family, places):
    model = build(family, {"dropout": 0.5})
    dropped = []
    for layer in model.modules():
        if isinstance(layer, Dropout):
            layer.register_forward_hook(lambda layer, given, x: dropped.append((x == 0).float().mean().item()))
    model(texts())
    assert len(dropped) == places
    assert min(dropped) > 0.4


COUNTS = [
    ("cnn", {}, 30 * 8 + (8 + 6) * 6 * 12 + 6 * 6 + 18 * 10 + 10 + 10 * 3 + 3),
    ("cnn", {"hidden": 0, "layers": 1, "kernels": (2,)}, 30 * 8 + 8 * 6 * 2 + 6 + 6 * 3 + 3),
    # per layer: queries, keys and values; the linear layer after the heads; the two of feed-forward; two norms
    ("transformer", {}, 30 * 8 + 12 * 8 + 2 * (216 + 72 + 416 + 32) + 16 + 8 * 3 + 3),
    ("transformer", {"pre_norm": False}, 30 * 8 + 12 * 8 + 2 * (216 + 72 + 416 + 32) + 8 * 3 + 3),
    ("transformer", {"positions": "sinusoidal"}, 30 * 8 + 2 * (216 + 72 + 416 + 32) + 16 + 8 * 3 + 3),
    ("transformer", {"pooling": "class_token"}, 30 * 8 + 13 * 8 + 2 * (216 + 72 + 416 + 32) + 16 + 8 * 3 + 3),
]


@pytest.mark.parametrize(("family", "change", "count"), COUNTS)
def test_parameters_counted_by_hand(family, change, count):
    model = build(family, change, change)
    spare = 2 * model.last.spare_parameters
    assert sum(parameter.numel() for parameter in model.parameters()) - spare == 2 * count


FLOPS = [  # a multiplication and an addition for each weight and token that meet
    ("cnn", {}, 2 * (12 * (8 + 6) * 6 * 12 + 18 * 10 + 10 * 3)),
    ("cnn", {"hidden": 0, "layers": 1, "kernels": (2,)}, 2 * (12 * 8 * 6 * 2 + 6 * 3)),
    ("transformer", {}, 2 * (2 * (12 * 8 * (24 + 8 + 24 + 24) + 2 * 12 * 12 * 8) + 8 * 3)),
    ("transformer", {"pooling": "class_token"}, 2 * (2 * (13 * 8 * (24 + 8 + 24 + 24) + 2 * 13 * 13 * 8) + 8 * 3)),
]


@pytest.mark.parametrize(("family", "change", "flops"), FLOPS)
def test_operations_counted_by_hand_without_drawing(family, change, flops):
    generator = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        model = stacked(WIDE[family], [FIXED[family] | change], TEXT, 3, [generator]).eval()
        with FlopCounterMode(display=False) as counter:
            y = model(torch.zeros(1, 1, 12, dtype=torch.int32))
    assert y.shape == (1, 1, 3)
    assert counter.get_total_flops() == flops
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(1).get_state())


@both
def test_inputs_that_are_no_text_are_refused(family):
    name = type(WIDE[family]).__name__
    with pytest.raises(SpaceError, match=rf"{name} needs text, got inputs of shape \(8, 8\) without a vocabulary; use"):
        stacked(WIDE[family], [FIXED[family]], Inputs((8, 8)), 3, [torch.Generator()])


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (TextCNN, {"embedding": 0}, "TextCNN embedding must be a whole number of at least 1, got 0"),
        (TextCNN, {"filters": Int(0, 3)}, r"TextCNN filters .* got 0 from Int\(low=0"),
        (TextCNN, {"kernels": 3}, r"TextCNN kernels must be a tuple of whole .* got 3; write \(3, 4, 5\)"),
        (TextCNN, {"kernels": ()}, r"got \(\)"),
        (TextCNN, {"kernels": [3, 4]}, r"got \[3, 4\]"),
        (TextCNN, {"kernels": Choice((3, 4), (0,))}, r"got \(0,\)"),
        (TextCNN, {"kernels": (3, True)}, r"got \(3, True\)"),
        (TextCNN, {"layers": 0}, "TextCNN layers"),
        (TextCNN, {"activation": "rellu"}, "did you mean 'relu'?"),
        (TextCNN, {"pooling": "averag"}, "unknown pooling 'averag'; known: average, max; did you mean 'average'?"),
        (TextCNN, {"hidden": -1}, "TextCNN hidden must be a whole number of at least 0, got -1"),
        (TextCNN, {"dropout": 1.0}, r"TextCNN dropout must be a number in \[0, 1\), got 1.0"),
        (TextCNN, {"initialization": "kaiming"}, "unknown initialization 'kaiming'; known: auto, he"),
        (TextTransformer, {"layers": 0}, "TextTransformer layers must be a whole number of at least 1, got 0"),
        (TextTransformer, {"heads": Choice(0, 2)}, "TextTransformer heads"),
        (TextTransformer, {"head_width": 2.5}, "TextTransformer head_width"),
        (TextTransformer, {"feed_forward": 0}, "TextTransformer feed_forward"),
        (TextTransformer, {"positions": "rotary"}, "unknown positions 'rotary'; known: learned, sinusoidal"),
        (TextTransformer, {"pooling": "first"}, "unknown pooling 'first'; known: average, class_token, max"),
        (TextTransformer, {"activation": "gelo"}, "did you mean 'gelu'?"),
        (TextTransformer, {"pre_norm": 1}, "TextTransformer pre_norm must be True, False or"),
        (TextTransformer, {"dropout": Float(-0.1, 0.5)}, "TextTransformer dropout .* got -0.1 from Float"),
        (TextTransformer, {"initialization": "hee"}, "did you mean 'he'?"),
    ],
)
def test_illegal_values_fail_at_construction(make, arguments, message):
    needed = {"embedding": 4, "filters": 4} if make is TextCNN else {"layers": 1, "heads": 2, "head_width": 4}
    with pytest.raises(SpaceError, match=message):
        make(**(needed | arguments))


def test_pooling_sees_what_is_present_alone():
    x = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [100.0, 100.0]]])
    mask = torch.tensor([[True, True, False]])
    assert masked_mean(x, mask).tolist() == [[2.0, -6.0]]
    assert masked_max(x, mask).tolist() == [[3.0, -5.0]]
    assert token_mask(torch.tensor([[0, 0, 0], [4, 0, 5]])).tolist() == [[True, False, False], [True, False, True]]


@both
def test_vectors_start_small(family):
    weight = build(family, {}).embedding.weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.15)
    assert math.isclose(weight.mean().item(), 0, abs_tol=0.01)
