"""MLP: its space, its checks, and that each parameter reaches the network, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import MLP, Choice, Float, Inputs, Int, Recipe, SpaceError, Supervised, csv, iris
from archsearch.search.protocols import TrialContext
from archsearch.spaces.networks.base import stacked
from archsearch.spaces.networks.layers import ACTIVATIONS, INITIALIZATIONS
from archsearch.spaces.networks.layers.linear import LowRank
from archsearch.spaces.networks.mlp import NORMS, SHAPES

FIXED = {"layers": 2, "units_1": 16, "units_2": 8, "activation": "relu", "dropout": 0.0, "norm": "none"}
EQUAL_WIDTHS = {name: FIXED[name] for name in ("layers", "activation", "dropout", "norm")} | {
    "shape": "constant",
    "units": 16,
}

# Every argument that can be searched, as a domain.
ANY = {
    "layers": Int(1, 4), "units": Choice(16, 48, 64), "activation": Choice(*ACTIVATIONS), "dropout": Float(0, 0.5),
    "norm": Choice(*NORMS), "shape": Choice(*SHAPES), "residual": Choice(False, True),
    "initialization": Choice(*INITIALIZATIONS), "rank": Choice(None, 2, 16),
}  # fmt: skip
PLAIN, CODED = Inputs((5,)), Inputs((5,), categories=(4, 3))  # three numbers, and then two columns of codes


def build(*configs, seeds=None, inputs=PLAIN, outputs=3):
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or range(len(configs))]
    return stacked(MLP(layers=1, units=1), configs, inputs, outputs, generators)


def samples(rows=1, batch=7, inputs=PLAIN):
    x = torch.randn(rows, batch, *inputs.shape, generator=torch.Generator().manual_seed(0))
    for column, codes in enumerate(inputs.categories, start=inputs.shape[0] - len(inputs.categories)):
        x[..., column] = torch.arange(rows * batch).view(rows, batch) % codes
    return x


def without(config, *names, **changes):
    return {name: value for name, value in (config | changes).items() if name not in names}


def count(model):
    """The parameters of each network in the stack."""
    return sum(p.numel() // len(p) for p in model.parameters()) - model.last.spare_parameters


def draw(family, seed):
    return family.space.sample(np.random.default_rng(seed))


# Its space


def test_the_space_holds_each_parameter_and_each_layers_own_width():
    family = MLP(layers=Int(1, 3), units=Choice(8, 16), activation=Choice("relu", "elu"), dropout=Float(0, 0.5))
    assert list(family.space) == ["layers", "units_1", "units_2", "units_3", "activation", "dropout", "norm"]
    for seed in range(30):
        config = draw(family, seed)
        assert [f"units_{k}" in config for k in (1, 2, 3)] == [k <= config["layers"] for k in (1, 2, 3)]


def test_fixed_arguments_are_in_every_config_and_additions_only_where_asked_for():
    assert draw(MLP(layers=2, units=8), 0) == FIXED | {"units_1": 8, "units_2": 8}
    assert draw(MLP(layers=2, units=16, shape="constant"), 0) == EQUAL_WIDTHS
    additions = {"residual": True, "initialization": "he", "rank": 4, "embedding": 2}
    assert draw(MLP(layers=2, units=16, shape="constant", **additions), 0) == EQUAL_WIDTHS | additions


def test_a_shape_decides_whether_layers_share_their_width():
    family = MLP(layers=Int(1, 3), units=Int(8, 64), shape=Choice(*SHAPES))
    for seed in range(60):
        config = draw(family, seed)
        own = range(1, config["layers"] + 1) if config["shape"] == "free" else ()
        assert [name for name in config if name.startswith("units_")] == [f"units_{k}" for k in own]
        assert ("units" in config) is (config["shape"] != "free")


def test_each_layer_may_have_its_own_dropout():
    space = MLP(layers=Int(1, 3), units=8, dropout=Float(0, 0.5), dropout_per_layer=True).space
    assert [name for name in space if name.startswith("dropout")] == ["dropout_1", "dropout_2", "dropout_3"]
    assert space["dropout_1"].condition is None
    assert space["dropout_3"].condition.text == "layers >= 3"


def test_residual_is_searched_only_where_a_layer_can_be_gone_around():
    family = MLP(layers=Int(1, 3), units=8, shape=Choice("constant", "funnel"), residual=Choice(False, True))
    for seed in range(40):
        config = draw(family, seed)
        assert ("residual" in config) is (config["layers"] >= 2 and config["shape"] == "constant")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "MLP layers must be a whole number of at least 1, got 0"),
        ({"layers": Int(0, 3)}, r"got 0 from Int\(low=0"),
        ({"layers": 2.5}, "got 2.5"),
        ({"layers": True}, "got True"),
        ({"units": Choice(32, -1)}, r"MLP units .* got -1 from Choice\(32, -1\)"),
        ({"dropout": 1.0}, r"MLP dropout must be a number in \[0, 1\), got 1.0"),
        ({"dropout": Float(-0.1, 0.5)}, "got -0.1 from Float"),
        ({"dropout": "some"}, "got 'some'"),
        ({"dropout_per_layer": Choice(True, False)}, "MLP dropout_per_layer must be True or False, got Choice"),
        ({"norm": True}, "unknown norm 'True'; known: batch, layer, none"),
        ({"norm": Choice("none", "bach")}, "unknown norm 'bach'.*did you mean 'batch'?"),
        ({"activation": "rellu"}, "unknown activation 'rellu'; known: .*; did you mean 'relu'?"),
        ({"activation": Choice("relu", "gelo")}, "did you mean 'gelu'?"),
        ({"shape": "tunnel"}, "unknown shape 'tunnel'; .*did you mean 'funnel'?"),
        ({"shape": "funnel"}, "MLP shape 'funnel' needs at least 2 layers, got layers=1; raise layers, or"),
        ({"shape": "bottleneck", "layers": Int(1, 2)}, r"needs at least 3 layers, got layers=Int\(low=1, high=2"),
        ({"residual": 1}, "MLP residual must be True, False or Choice"),
        (
            {"residual": Choice(False, True)},
            "MLP residual needs layers .* none with layers=1 and shape='free'",
        ),
        ({"residual": True, "layers": 3, "shape": "funnel"}, "none with layers=3 and shape='funnel'; use at least 2"),
        ({"initialization": "hee"}, "unknown initialization 'hee'; .*did you mean 'he'?"),
        ({"rank": -1}, "MLP rank must be a whole number of at least 0 or None, got -1"),
        ({"rank": Choice(None, 0.5)}, r"got 0.5 from Choice\(None, 0.5\)"),
        ({"embedding": 0}, "MLP embedding must be a whole number of at least 1, got 0"),
        ({"embedding": Choice(None, 8)}, r"got None from Choice\(None, 8\)"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        MLP(**({"layers": 1, "units": 8} | arguments))


@pytest.mark.parametrize(
    ("inputs", "arguments", "message"),
    [
        (
            PLAIN,
            {"embedding": 8},
            "MLP embedding=8 needs data with categories as codes, got data without; read the data",
        ),
        (
            CODED,
            {},
            r"MLP needs embedding= for data with categories as codes, got 2 such columns; write MLP\(\.\.\., emb",
        ),
        (Inputs((9,), vocabulary=50), {}, "MLP needs numbers, got text; use a family for text"),
    ],
)
def test_inputs_that_it_cannot_take_are_told(inputs, arguments, message):
    with pytest.raises(SpaceError, match=message):
        build(draw(MLP(layers=1, units=8, **arguments), 0), inputs=inputs)


# The networks


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("outputs", [1, 10, 17])
def test_shapes_of_what_goes_in_and_out(rows, shape, outputs):
    inputs = Inputs(shape)
    model = build(*[FIXED | {"norm": "batch", "dropout": 0.1}] * rows, inputs=inputs, outputs=outputs)
    assert model(samples(rows, inputs=inputs)).shape == (rows, 7, outputs)


@pytest.mark.parametrize(
    ("shape", "layers", "units", "outputs", "widths"),
    [
        ("constant", 3, 12, 3, [12, 12, 12]),
        ("funnel", 1, 12, 3, [12]),
        ("funnel", 3, 12, 3, [12, 9, 6]),
        ("funnel", 3, 10, 3, [10, 8, 6]),
        ("funnel", 3, 12, 20, [12, 12, 12]),
        ("bottleneck", 1, 16, 3, [16]),
        ("bottleneck", 2, 16, 3, [16, 16]),
        ("bottleneck", 3, 16, 3, [16, 4, 16]),
        ("bottleneck", 4, 16, 3, [16, 4, 4, 16]),
        ("bottleneck", 5, 16, 3, [16, 10, 4, 10, 16]),
        ("bottleneck", 3, 2, 3, [2, 1, 2]),
    ],
)
def test_the_widths_of_each_shape(shape, layers, units, outputs, widths):
    model = build(EQUAL_WIDTHS | {"shape": shape, "layers": layers, "units": units}, outputs=outputs)
    assert [layer.linear.weight.shape[2] for layer in model.hidden] == widths


THREE = 8 * 3 + 3  # the output layer after 8 units
COUNTS = [
    (FIXED, PLAIN, (5 * 16 + 16) + (16 * 8 + 8) + THREE),
    (without(FIXED, "units_2", layers=1), PLAIN, (5 * 16 + 16) + (16 * 3 + 3)),
    (FIXED | {"dropout": 0.5, "activation": "elu", "initialization": "he"}, PLAIN, 96 + 136 + THREE),
    (FIXED | {"norm": "batch"}, PLAIN, (5 * 16 + 2 * 16) + (16 * 8 + 2 * 8) + THREE),
    (FIXED | {"norm": "layer"}, PLAIN, (96 + 2 * 16) + (136 + 2 * 8) + THREE),
    (EQUAL_WIDTHS | {"layers": 3}, PLAIN, 96 + 2 * (16 * 16 + 16) + (16 * 3 + 3)),
    (EQUAL_WIDTHS | {"layers": 3, "residual": True}, PLAIN, 96 + 2 * (16 * 16 + 16) + (16 * 3 + 3)),
    (EQUAL_WIDTHS | {"layers": 3, "shape": "funnel"}, PLAIN, 96 + (16 * 12 + 12) + (12 * 8 + 8) + THREE),
    (EQUAL_WIDTHS | {"layers": 3, "shape": "bottleneck"}, PLAIN, 96 + (16 * 4 + 4) + (4 * 16 + 16) + (16 * 3 + 3)),
    (FIXED | {"rank": 0}, PLAIN, 96 + 136 + THREE),
    (FIXED | {"rank": 4}, PLAIN, (5 * 4 + 4 * 16 + 16) + (16 * 4 + 4 * 8 + 8) + THREE),
    (FIXED | {"rank": 5}, PLAIN, 96 + (16 * 5 + 5 * 8 + 8) + THREE),  # 5 inputs have rank 5 anyway
    (FIXED | {"rank": 8}, PLAIN, 96 + 136 + THREE),
    (FIXED | {"embedding": 9}, CODED, (3 * 3 + 2 * 2) + ((3 + 3 + 2) * 16 + 16) + 136 + THREE),
    (FIXED | {"embedding": 2}, CODED, (3 * 2 + 2 * 2) + ((3 + 2 + 2) * 16 + 16) + 136 + THREE),
]


@pytest.mark.parametrize(("config", "inputs", "parameters"), COUNTS)
@pytest.mark.parametrize("rows", [1, 2])
def test_the_parameters_that_one_counts_by_hand(config, inputs, parameters, rows):
    assert count(build(*[config] * rows, inputs=inputs)) == parameters


FREE = FIXED | {"layers": 4, "units_2": 16, "units_3": 16, "units_4": 16}
CHANGES = {
    "layers": (FIXED, without(FIXED, "units_2", layers=1)),
    "units_1": (FREE, FREE | {"units_1": 17}),
    "units_2": (FREE, FREE | {"units_2": 17}),
    "units_3": (FREE, FREE | {"units_3": 17}),
    "units_4": (FREE, FREE | {"units_4": 17}),
    "shape": (EQUAL_WIDTHS | {"layers": 3}, EQUAL_WIDTHS | {"layers": 3, "shape": "bottleneck"}),
    "units": (EQUAL_WIDTHS, EQUAL_WIDTHS | {"units": 17}),
    "activation": (FIXED, FIXED | {"activation": "silu"}),
    "dropout": (FIXED, FIXED | {"dropout": 0.5}),
    "dropout_1": (FREE, FREE | {"dropout_1": 0.5}),
    "dropout_2": (FREE, FREE | {"dropout_2": 0.5}),
    "dropout_3": (FREE, FREE | {"dropout_3": 0.5}),
    "dropout_4": (FREE, FREE | {"dropout_4": 0.5}),
    "norm": (FIXED, FIXED | {"norm": "batch"}),
    "residual": (EQUAL_WIDTHS, EQUAL_WIDTHS | {"residual": True}),
    "initialization": (FIXED, FIXED | {"initialization": "xavier"}),
    "rank": (FIXED, FIXED | {"rank": 4}),
    "embedding": (FIXED | {"embedding": 2}, FIXED | {"embedding": 3}),
}
NAMES = {name for each in (True, False) for name in MLP(**ANY, embedding=Int(1, 8), dropout_per_layer=each).space}


def test_every_parameter_of_the_space_has_its_case_below():
    assert set(CHANGES) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_parameter_changes_the_network(name):
    before, after = CHANGES[name]
    inputs = CODED if name == "embedding" else PLAIN
    first, second = (build(config, inputs=inputs)(samples(inputs=inputs)) for config in (before, after))
    assert not torch.allclose(first, second, atol=1e-4)


VALUES = [("activation", FIXED, ACTIVATIONS), ("norm", FIXED, NORMS), ("initialization", FIXED, INITIALIZATIONS)]
VALUES += [("shape", EQUAL_WIDTHS | {"layers": 3}, [shape for shape in SHAPES if shape != "free"])]


@pytest.mark.parametrize(("name", "config", "values"), VALUES)
def test_every_name_makes_another_network_than_the_others(name, config, values):
    outputs = [tuple(build(config | {name: value})(samples()).flatten().tolist()) for value in values]
    assert len(set(outputs)) == len(values) - (name == "activation")  # swish is silu


# Each feature beside plain torch


def linear(weight, bias):
    layer = nn.Linear(*weight.shape)
    layer.load_state_dict({"weight": weight.T, "bias": torch.zeros(weight.shape[1]) if bias is None else bias[0]})
    return layer


def plain(model, row, residual=False, norm="none"):
    """The row of the stack, made of torch's own layers: a function of (batch, features)."""

    def bias(layer):
        return None if layer.bias is None else layer.bias[row]

    def forward(x):
        for number, hidden in enumerate(model.hidden):
            layers = [hidden.linear]
            if isinstance(hidden.linear, LowRank):
                layers = [hidden.linear.first, hidden.linear.second]
            y = nn.Sequential(*(linear(layer.weight[row], bias(layer)) for layer in layers))(x)
            if norm != "none":
                peer = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[norm](y.shape[1])
                peer.load_state_dict({"weight": hidden.norm.weight[row], "bias": hidden.norm.bias[row]}, strict=False)
                y = peer(y)
            y = torch.relu(y)
            x = x + y if residual and number > 0 and x.shape == y.shape else y
        return linear(model.last.weight[row], bias(model.last))(x)[:, : model.last.outputs]

    return forward


def shaken(model):
    """With all parameters away from their starts, so that none of them does nothing."""
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator) / 5
    return model


@pytest.mark.parametrize(
    ("config", "features"),
    [
        (FIXED, {}),
        (FIXED | {"norm": "batch"}, {"norm": "batch"}),
        (FIXED | {"norm": "layer"}, {"norm": "layer"}),
        (FIXED | {"rank": 4}, {}),
        (EQUAL_WIDTHS | {"layers": 3, "residual": True}, {"residual": True}),
        (FREE | {"units_3": 8, "units_4": 8, "residual": True}, {"residual": True}),
        (EQUAL_WIDTHS | {"rank": 4, "norm": "layer", "residual": True}, {"norm": "layer", "residual": True}),
    ],
)
def test_a_row_is_the_network_that_torch_would_build(config, features):
    model, x = shaken(build(config, config)), samples(2)
    for row in range(2):
        torch.testing.assert_close(model(x)[row], plain(model, row, **features)(x[row]), atol=1e-5, rtol=1e-5)


def test_the_first_layer_is_not_gone_around_though_the_inputs_are_as_wide():
    inputs = Inputs((16,))
    model, x = shaken(build(EQUAL_WIDTHS | {"residual": True}, inputs=inputs)), samples(inputs=inputs)
    torch.testing.assert_close(model(x)[0], plain(model, 0, residual=True)(x[0]), atol=1e-5, rtol=1e-5)


def test_a_low_rank_layer_starts_as_a_projection_and_a_layer_of_its_own():
    linear = build(EQUAL_WIDTHS | {"rank": 8}, inputs=Inputs((40,))).hidden[0].linear
    torch.testing.assert_close(linear.first.weight[0].T @ linear.first.weight[0], torch.eye(8), atol=1e-5, rtol=1e-5)
    for scheme, variance in (("auto", 2 / 100), ("small_normal", 1e-4)):
        config = EQUAL_WIDTHS | {"rank": 100, "units": 400, "initialization": scheme}
        second = build(config, inputs=Inputs((300,))).hidden[0].linear.second
        assert second.weight.var().item() == pytest.approx(variance, rel=0.05)


def test_codes_become_their_vectors_and_an_unseen_one_zeros():
    config = FIXED | {"embedding": 9}
    model, x = shaken(build(config, config, inputs=CODED)), samples(2, 24, CODED)
    for row in range(2):
        vectors = [x[row, :, :3]]
        tables = model.categories.weight[row].split([3 * 3, 2 * 2])
        for column, (table, codes) in enumerate(zip(tables, CODED.categories, strict=True), start=3):
            peer = nn.Embedding(codes, codes - 1, padding_idx=0)
            peer.weight.data[1:] = table.view(codes - 1, codes - 1)
            vectors.append(peer(x[row, :, column].long()))
        expected = plain(model, row)(torch.cat(vectors, dim=1))
        torch.testing.assert_close(model(x)[row], expected, atol=1e-5, rtol=1e-5)


def test_a_vectors_gradient_comes_from_its_own_code_and_row_alone():
    config = FIXED | {"embedding": 9}
    model = build(config, config, inputs=CODED)
    x = samples(2, inputs=CODED)
    x[..., 3], x[..., 4] = 2, 0
    model(x)[0].sum().backward()
    table, other = model.categories.weight.grad[0].split([3 * 3, 2 * 2])
    assert table.view(3, 3).abs().sum(1).bool().tolist() == [False, True, False]
    assert not other.any()
    assert not model.categories.weight.grad[1].any()


def test_vectors_start_about_as_long_as_a_one_hot():
    model = build(FIXED | {"embedding": 50}, inputs=Inputs((1,), categories=(1001,)))
    assert model.categories.weight.view(1000, 50).norm(dim=1).mean().item() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(("activation", "variance"), [("relu", 2 / 200), ("tanh", 2 / (200 + 100))])
def test_start_variance(activation, variance):
    config = without(FIXED, "units_2", layers=1, units_1=100, activation=activation)
    weight = build(config, inputs=Inputs((200,))).hidden[0].linear.weight
    assert weight.var().item() == pytest.approx(variance, rel=0.05)


def test_zeros_are_zeros():
    model = build(FIXED | {"initialization": "zeros"})
    assert not model(samples()).any()


# Rows of a stack


def test_stack_key_tells_apart_what_cannot_share_a_graph():
    key = MLP(layers=1, units=1).stack_key
    alike = [CHANGES[name][1] for name in ("dropout", "dropout_1", "dropout_4")] + [FREE, FIXED]
    assert len({key(config) for config in alike}) == 2
    configs = [
        *CHANGES["layers"],
        CHANGES["shape"][1],
        EQUAL_WIDTHS,
        EQUAL_WIDTHS | {"units": 32},
        CHANGES["residual"][1],
    ]
    configs += [CHANGES[name][1] for name in ("units_1", "units_4", "activation", "norm", "initialization", "rank")]
    configs += CHANGES["embedding"]
    assert len({key(config) for config in configs}) == len(configs)
    assert key(FIXED | {"rank": None}) == key(FIXED | {"rank": 0}) == key(FIXED)


def test_a_stack_of_unlike_graphs_is_refused():
    with pytest.raises(ValueError, match="one stack_key"):
        build(FIXED, FIXED | {"units_1": 4})


@pytest.mark.parametrize("addition", [{"rank": 4}, {"embedding": 2}, {"norm": "batch"}, {"initialization": "he"}])
def test_a_rows_start_depends_on_its_generator_alone(addition):
    inputs, config = CODED if "embedding" in addition else PLAIN, FIXED | addition
    together = build(config, config | {"dropout": 0.5}, seeds=[1, 2], inputs=inputs)
    alone = build(config, seeds=[2], inputs=inputs)
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours[1:], theirs)


def test_all_of_a_stack_has_its_rows_in_front():
    config = EQUAL_WIDTHS | {"norm": "batch", "rank": 4, "embedding": 2}
    model = build(*[config] * 3, inputs=CODED)
    assert all(len(tensor) == 3 for tensor in [*model.parameters(), *model.buffers()])


def test_nothing_is_drawn_on_the_meta_device_and_the_counts_are_the_same():
    family = MLP(**ANY, embedding=Int(1, 3), dropout_per_layer=True)
    for seed in range(20):
        config, generator = draw(family, seed), torch.Generator().manual_seed(1)
        with torch.device("meta"):
            model = family.stack([config], CODED, 3, [generator]).eval()
            assert model(torch.empty(1, 7, 5)).shape == (1, 7, 3)
        assert all(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(1).get_state())
        assert count(model) == count(build(config, inputs=CODED))


# In training


@pytest.fixture
def clients(tmp_path):
    """A table with two numbers and three columns of categories, of which one decides the class."""
    rng, lines = np.random.default_rng(0), ["age,job,town,score,kind,y"]
    for _ in range(120):
        kind = rng.choice(["old", "new", "none"])
        words = [rng.integers(18, 80), rng.choice(["clerk", "nurse", "cook"]), rng.choice(list("abcdefgh"))]
        lines.append(",".join(map(str, [*words, rng.random(), kind, "yes" if kind == "new" else "no"])))
    path = tmp_path / "clients.csv"
    path.write_text("\n".join(lines) + "\n")
    return csv(path, target="y", categories="codes")


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def objective(data, network):
    made = Supervised(data, network, Recipe(learning_rate=0.01, batch_size=16))
    made.attach(made.prepare())
    return made


def trial(objective, seed, *, device="cpu", budget=1, **changes):
    config = objective.space.sample(np.random.default_rng(seed)) | changes
    return TrialContext(number=seed, attempt=1, config=config, budget=budget, seed=seed, device=device)


def test_whatever_its_space_draws_trains(one_thread):
    made = objective(iris(), MLP(**ANY, dropout_per_layer=True))
    for seed in range(12):
        (metrics,) = made(trial(made, seed))
        assert np.isfinite(metrics["val_loss"])


def test_embeddings_learn_what_a_category_says(clients, one_thread):
    made = objective(clients, MLP(layers=1, units=16, embedding=4))
    *_, last = made(trial(made, 0, budget=30))
    assert last["val_accuracy"] > 0.95


GRAPHS = [
    {"norm": "layer", "residual": True},
    {"norm": "batch", "residual": True, "rank": 16},
    {"rank": 16, "activation": "gelu"},
    {"initialization": "orthogonal"},
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_stack_gives_each_row_what_it_gets_alone_at_its_own_dropout(clients, one_thread, graph):
    """To the last bit, for widths of whole cache lines (16 floats)."""
    network = MLP(layers=2, units=32, shape="constant", embedding=3, dropout_per_layer=True, **graph)
    made = objective(clients, network)
    rates = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.3), (0.2, 0.5)]
    trials = [trial(made, seed, dropout_1=a, dropout_2=b, budget=2) for seed, (a, b) in enumerate(rates)]
    alone = [list(made(each)) for each in trials]
    assert [list(reports) for reports in zip(*made.run_stack(trials), strict=True)] == alone
    assert len({str(reports) for reports in alone}) == len(alone)


def test_odd_widths_and_ranks_agree_within_rounding(clients):
    made = objective(clients, MLP(layers=3, units=23, shape="bottleneck", rank=3, norm="layer", embedding=5))
    trials = [trial(made, seed) for seed in range(3)]
    for reports, each in zip(zip(*made.run_stack(trials), strict=True), trials, strict=True):
        for one, other in zip(reports, made(each), strict=True):
            assert one == pytest.approx(other, abs=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch sees none")
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_gpu_agrees_with_the_cpu(clients, graph):
    made = objective(clients, MLP(layers=2, units=32, shape="constant", embedding=3, **graph))
    for cpu, gpu in zip(made(trial(made, 0)), made(trial(made, 0, device="cuda")), strict=True):
        assert gpu == pytest.approx(cpu, rel=1e-3, abs=1e-3)
