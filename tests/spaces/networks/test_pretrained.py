"""Pretrained: what is frozen, what is new, how fast each block learns, and that the original stays as it was."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import Choice, Float, Inputs, Int, Pretrained, SpaceError
from archsearch.spaces.networks.base import stacked

INPUTS = Inputs((3, 6, 6))
CONFIG = {"freeze": "none", "head_units": 0}


class Backbone(nn.Module):
    """In the shape of torchvision's: a parameter of its own, layers without any, a head by name."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(3, 1, 1))
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.layer = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))

    def forward(self, x):
        return self.classifier(self.layer(self.relu(self.norm(self.stem(x + self.offset)))))


BLOCKS = ("stem", "norm", "layer", "classifier.1")


def backbone():
    return Backbone()


def built(family, seed=1, outputs=2, inputs=INPUTS, **changes):
    """The module of a stack of one."""
    return stacked(family, [CONFIG | changes], inputs, outputs, [torch.Generator().manual_seed(seed)]).module


def learning(module):
    """The names of the parameters that learn."""
    return {name.removeprefix("pretrained.") for name, p in module.named_parameters() if p.requires_grad}


def of_blocks(*names):
    parameters = [name for name, _ in Backbone().named_parameters()]
    chosen = {name for name in parameters if name.startswith(tuple(f"{block}." for block in names))}
    return chosen | ({"offset"} if "stem" in names else set())


HEAD = {"classifier.3.1.weight", "classifier.3.1.bias"}


@pytest.mark.parametrize(("freeze", "frozen"), [("none", 0), (0, 0), (1, 1), (2, 2), (3, 3), (4, 4), ("all", 4)])
def test_the_leading_blocks_are_frozen(freeze, frozen):
    module = built(Pretrained(backbone, freeze=freeze), freeze=freeze)
    assert learning(module) == of_blocks(*BLOCKS[frozen:]) | HEAD


@pytest.mark.parametrize(
    ("blocks", "freeze", "learns"),
    [
        (["layer"], 1, set()),
        (["norm", "layer.1"], 1, of_blocks("layer.1", "classifier.1")),
        (["layer.1", "norm"], 1, of_blocks("layer.1", "classifier.1")),  # in the module's order, whatever the list's
        (["classifier"], 0, of_blocks(*BLOCKS)),
    ],
)
def test_blocks_begin_at_the_named_layers_and_the_first_at_the_start(blocks, freeze, learns):
    assert learning(built(Pretrained(backbone, freeze=freeze, blocks=blocks), freeze=freeze)) == learns | HEAD


def test_a_module_inside_others_has_the_same_blocks():
    def wrapped():
        return nn.Sequential(nn.Upsample(6), nn.Sequential(Backbone()))

    module = built(Pretrained(wrapped, freeze=2), freeze=2, inputs=Inputs((3, 3, 3)))
    assert {name.removeprefix("1.0.") for name in learning(module)} == of_blocks(*BLOCKS[2:]) | HEAD
    assert module(torch.randn(5, 3, 3, 3)).shape == (5, 2)


def test_a_frozen_norm_keeps_its_running_statistics_in_training():
    module = built(Pretrained(backbone, freeze=2), freeze=2).train()
    norms = module.pretrained.norm, module.pretrained.layer[1]
    before = [norm.running_mean.clone() for norm in norms]
    module(torch.randn(5, 3, 6, 6) + 1)
    assert torch.equal(norms[0].running_mean, before[0])
    assert not torch.equal(norms[1].running_mean, before[1])
    assert [norm.training for norm in norms] == [False, True]
    module.eval().train()
    assert [norm.training for norm in norms] == [False, True]


def test_what_the_factory_froze_stays_frozen():
    def stemmed():
        module = Backbone()
        module.stem.requires_grad_(False)
        return module

    assert learning(built(Pretrained(stemmed))) == of_blocks(*BLOCKS[1:]) | HEAD | {"offset"}


@pytest.mark.parametrize(("units", "kinds"), [(0, ["Dropout", "Linear"]), (None, ["Dropout", "Linear"])])
def test_a_linear_head(units, kinds):
    head = built(Pretrained(backbone), head_units=units, head_dropout=0.25).pretrained.classifier[3]
    assert [type(layer).__name__ for layer in head] == kinds
    assert head[0].p == 0.25
    assert head[1].weight.shape == (2, 16)


def test_a_head_with_a_hidden_layer():
    module = built(Pretrained(backbone), head_units=7, head_dropout=0.25)
    head = module.pretrained.classifier[3]
    assert [type(layer).__name__ for layer in head] == ["Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [tuple(layer.weight.shape) for layer in (head[1], head[4])] == [(7, 16), (2, 7)]
    assert {layer.p for layer in (head[0], head[3])} == {0.25}
    assert module(torch.randn(5, 3, 6, 6)).shape == (5, 2)


def test_the_head_may_take_the_place_of_another_layer():
    module = built(Pretrained(backbone, replace="classifier.1"), head_units=0)
    assert module.pretrained.classifier[1][1].weight.shape == (2, 32)

    def headed():
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 9), nn.Sequential(nn.ReLU(), nn.Linear(9, 9)))

    module = built(Pretrained(headed, replace="2"), freeze="all")
    assert learning(module) == {"2.1.weight", "2.1.bias"}
    assert module(torch.randn(5, 3, 6, 6)).shape == (5, 2)


def test_the_rates_decay_from_the_head_downwards():
    module = built(Pretrained(backbone), rate_share=0.5, rate_decay=0.1)
    rates = [{module.rate_scales[f"pretrained.{name}"] for name in of_blocks(block)} for block in BLOCKS]
    assert [len(rate) for rate in rates] == [1, 1, 1, 1]
    assert [rate.pop() for rate in rates] == pytest.approx([0.0005, 0.005, 0.05, 0.5])
    assert not {f"pretrained.{name}" for name in HEAD} & module.rate_scales.keys()


def test_where_all_learn_alike_nothing_is_said_of_rates():
    assert built(Pretrained(backbone)).rate_scales == {}


def test_the_factory_is_called_once_and_its_module_never_changes():
    made = []

    def counted():
        made.append(Backbone())
        return made[-1]

    family = Pretrained(counted)
    one, other = (built(family, seed) for seed in (1, 2))
    assert len(made) == 1
    before = {name: tensor.clone() for name, tensor in made[0].state_dict().items()}
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(1.0)
        one.train()(torch.randn(5, 3, 6, 6))
    assert all(torch.equal(tensor, before[name]) for name, tensor in made[0].state_dict().items())
    assert torch.equal(other.pretrained.stem.weight, made[0].stem.weight)
    built(family, freeze="all")
    assert all(parameter.requires_grad for parameter in made[0].parameters())


def test_the_original_belongs_to_the_family_and_not_to_the_functions_name():
    def constant(value):
        def same_name():
            module = Backbone()
            nn.init.constant_(module.stem.weight, value)
            return module

        return same_name

    modules = [built(Pretrained(constant(value))) for value in (1.0, 2.0)]
    assert [module.pretrained.stem.weight.mean().item() for module in modules] == [1.0, 2.0]


def test_the_same_seed_gives_the_same_network_also_in_a_process_that_made_others_before():
    """The factory draws its weights here: they are the same in each process, and no part of a trial's draws."""
    family = Pretrained(backbone)
    state = torch.get_rng_state()
    first, again, other = built(family, 1), built(family, 1), built(family, 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(10)
    fresh = built(Pretrained(backbone), 1)
    for module in (again, fresh):
        assert all(map(torch.equal, first.state_dict().values(), module.state_dict().values()))
    assert not torch.equal(first.pretrained.classifier[3][1].weight, other.pretrained.classifier[3][1].weight)
    assert torch.equal(first.pretrained.stem.weight, other.pretrained.stem.weight)


def test_a_sketch_on_the_meta_device_does_not_spoil_what_comes_after():
    family = Pretrained(backbone)
    with torch.device("meta"), torch.no_grad():
        sketch = built(family, freeze=1)
    assert {parameter.device.type for parameter in sketch.parameters()} == {"meta"}
    module = built(family, freeze=1)
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}
    assert module.pretrained.classifier[3][1].weight.requires_grad


def test_a_factory_may_train():
    def trained():
        module = nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.Linear(4, 2))
        module(torch.ones(1, 3, 6, 6)).sum().backward()
        assert module[1].weight.grad is not None
        return module

    with torch.no_grad():
        assert built(Pretrained(trained))(torch.randn(5, 3, 6, 6)).shape == (5, 2)


def test_it_pickles_without_the_original():
    family = Pretrained(backbone, freeze=Int(0, 4))
    size = len(pickle.dumps(family))
    module = built(family)
    assert len(pickle.dumps(family)) == size
    copied = pickle.loads(pickle.dumps(family))
    assert copied == family
    assert copied.space == family.space
    assert all(map(torch.equal, module.state_dict().values(), built(copied).state_dict().values()))


@pytest.mark.parametrize(("shape", "channels"), [((6, 6), 3), ((1, 6, 6), 3), ((3, 6, 6), 3), ((6, 6), 1)])
def test_a_module_that_wants_channels_gets_a_grey_image_in_each(shape, channels):
    seen = []

    def watching():
        module = nn.Sequential(nn.Flatten(), nn.Linear(channels * 36, 4), nn.Linear(4, 4))
        module.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        return module

    x = torch.randn(5, *shape)
    assert built(Pretrained(watching, channels=channels), inputs=Inputs(shape))(x).shape == (5, 2)
    expected = x if shape[0] == 3 else torch.stack([x.view(5, 6, 6)] * channels, dim=1)
    assert torch.equal(seen[0], expected)


def test_without_channels_a_module_gets_the_samples_as_they_are():
    def flat():
        return nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4))

    assert built(Pretrained(flat), inputs=Inputs((5,)))(torch.randn(7, 5)).shape == (7, 2)


def test_its_space():
    assert set(Pretrained(backbone).space) == {"freeze", "head_units"}
    family = Pretrained(
        backbone,
        freeze=Choice("none", 2, "all"),
        head_units=Choice(0, 8),
        head_dropout=Float(0, 0.5),
        rate_share=Float(0.01, 1, log=True),
        rate_decay=1 / 2.6,
    )
    configs = [family.space.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert {config["freeze"] for config in configs} == {"none", 2, "all"}
    for config in configs:
        assert ("rate_share" in config) == ("rate_decay" in config) == (config["freeze"] != "all")
        module = stacked(family, [config], INPUTS, 2, [torch.Generator()]).module
        assert module(torch.randn(5, 3, 6, 6)).shape == (5, 2)
    assert "rate_share" in Pretrained(backbone, freeze=Int(0, 2), rate_share=0.1).space
    assert "rate_share" not in Pretrained(backbone, freeze="all", rate_share=0.1).space


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"module_factory": Backbone()}, "must be a function that returns the module, got the Backbone itself"),
        ({"module_factory": "resnet"}, "must be a function that returns the module, got 'resnet'"),
        (
            {"module_factory": lambda weights: None},
            "without arguments: missing a required argument: 'weights'; wrap it",
        ),
        ({"freeze": "al"}, "unknown freeze 'al'; known: all, none; did you mean 'all'?"),
        ({"freeze": -1}, "freeze must be 'none', 'all' or a number of blocks, got -1"),
        ({"freeze": True}, "freeze must be .* got True"),
        ({"freeze": Float(0, 1)}, "freeze must be .* got 0.0"),
        ({"head_units": -1}, "head_units must be a whole number of at least 0 or None, got -1"),
        ({"head_dropout": 1.0}, r"head_dropout must be a number in \[0, 1\), got 1.0"),
        ({"rate_share": 0.0}, r"rate_share must be a number in \(0, 1\], got 0.0"),
        ({"rate_share": Float(0.1, 2)}, r"rate_share must be a number in \(0, 1\], got 2.0 from Float"),
        ({"rate_decay": 1.5}, r"rate_decay must be a number in \(0, 1\], got 1.5"),
        ({"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        ({"blocks": "layer"}, "blocks must be names of layers, got 'layer'"),
        ({"blocks": [1, 2]}, r"blocks must be names of layers, got \[1, 2\]"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        Pretrained(**{"module_factory": backbone, **arguments})


def test_a_share_of_one_is_legal():
    assert Pretrained(backbone, rate_share=1, rate_decay=1.0).rate_share == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"freeze": Int(0, 9)}, r"freeze must be at most 4, .* \(stem, norm, layer, classifier.1\), got 9; lower it"),
        ({"freeze": Choice(0, 2), "blocks": ["layer"]}, r"freeze must be at most 1, .* \(layer\), got 2; lower it"),
        ({"replace": "fc"}, "unknown layer to replace 'fc'; known: classifier.1, classifier.3"),
        ({"replace": "layer"}, "unknown layer to replace 'layer'"),
        ({"replace": ""}, "unknown layer to replace ''"),
        ({"blocks": ["layer.2"]}, "unknown layer in blocks 'layer.2'; known: layer.0, layer.1"),
        ({"blocks": ["lyer"]}, "unknown layer in blocks 'lyer'; known: classifier, layer, .*; did you mean 'layer'?"),
        ({"blocks": ["classifier.3"]}, "unknown layer in blocks 'classifier.3'"),
        ({"blocks": []}, "has no layers but those that the new head replaces"),
        ({"module_factory": lambda: nn.Conv2d(3, 4, 3)}, "the pretrained Conv2d has no nn.Linear that a new head"),
        ({"module_factory": lambda: nn.Linear(3, 4)}, "the pretrained Linear has no layers but those that"),
        ({"module_factory": lambda: None}, "factory .*lambda.* must return a torch module, got None"),
        ({"channels": 4}, r"channels=4 needs images, .* got samples of shape \(3, 6, 6\); leave out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_module_is_told(arguments, message):
    with pytest.raises(SpaceError, match=message):
        built(Pretrained(**{"module_factory": backbone, **arguments}), freeze=0)


def test_its_parameters_have_names_of_their_own():
    """Supervised joins them with the recipe's."""
    names = set(Pretrained(backbone, rate_share=0.1, rate_decay=0.1, head_dropout=0.1).space)
    assert names == {"freeze", "head_units", "head_dropout", "rate_share", "rate_decay"}
