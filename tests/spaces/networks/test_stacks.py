"""Plain modules as stacks: a user's own family, alone and through vmap."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from archsearch import Choice, Inputs, Int, Space, SpaceError
from archsearch.spaces.networks.base import stack_key, stacked
from archsearch.spaces.networks.stacks import SingleStack, VmapStack


class Own:
    """As a user writes it: a space and a build."""

    space = Space(width=Int(2, 8), norm=Choice(True, False))

    def build(self, config, inputs, outputs):
        norm = nn.BatchNorm1d(config["width"]) if config["norm"] else nn.Identity()
        return nn.Sequential(
            nn.Linear(*inputs.shape, config["width"]), norm, nn.Tanh(), nn.Linear(config["width"], outputs)
        )


class Stackable(Own):
    def stack_key(self, config):
        return config["width"], config["norm"]


class Noisy(Stackable):
    def build(self, config, inputs, outputs):
        return nn.Sequential(nn.Linear(*inputs.shape, outputs), nn.Dropout(0.5))


class Doing(nn.Module):
    """Does what it is given with itself, its linear layer's outputs and the inputs."""

    def __init__(self, what, *layers):
        super().__init__()
        self.what = what
        self.linear = nn.Linear(5, 3)
        self.layers = nn.ModuleList(layers)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        return self.what(self, self.linear(x), x)


CONFIG = {"width": 4, "norm": True}
INPUTS = Inputs((5,))


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_family_without_a_key_is_alone():
    assert stack_key(Own(), CONFIG) is None
    model = stacked(Own(), [CONFIG], INPUTS, 3, generators(1))
    assert isinstance(model, SingleStack)
    assert model(torch.randn(1, 7, 5)).shape == (1, 7, 3)
    with pytest.raises(ValueError, match="one stack_key"):
        stacked(Own(), [CONFIG, CONFIG], INPUTS, 3, generators(1, 2))


def test_the_start_comes_from_the_generator_and_leaves_torchs_own_alone():
    state = torch.get_rng_state()
    first, again, other = (stacked(Own(), [CONFIG], INPUTS, 3, generators(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.module[0].weight, again.module[0].weight)
    assert not torch.equal(first.module[0].weight, other.module[0].weight)


def test_a_build_that_raises_leaves_torchs_generator_alone_too():
    class Failing(Own):
        def build(self, config, inputs, outputs):
            torch.rand(3)
            raise RuntimeError("no such network")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="no such network"):
        stacked(Failing(), [CONFIG], INPUTS, 3, generators(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_drawn_later_does_not_depend_on_who_shares_the_stack():
    alone, *both = generators(1, 1, 2)
    stacked(Stackable(), [CONFIG], INPUTS, 3, [alone])
    stacked(Stackable(), [CONFIG, CONFIG], INPUTS, 3, both)
    assert torch.equal(alone.get_state(), both[0].get_state())


NOISES = {
    "layer": lambda self, y, x: nn.Dropout(0.5)(y),
    "function": lambda self, y, x: functional.dropout(y, 0.5),
    "own": lambda self, y, x: y + torch.randn(3),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("mode", [True, False])
def test_noise_alone_comes_from_the_seed_and_leaves_torchs_generator_alone(noise, mode):
    module, x = Doing(NOISES[noise]).train(mode), torch.randn(1, 7, 5)
    first, again, other = (SingleStack(copy.deepcopy(module), seed) for seed in (1, 1, 2))
    outputs = [first(x), first(x)]
    assert not torch.equal(*outputs)  # another noise at each call
    torch.rand(100)
    state = torch.get_rng_state()
    repeated = [again(x)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    repeated.append(again(x))
    assert all(map(torch.equal, outputs, repeated))
    assert not torch.equal(other(x), outputs[0])


def test_noise_at_neighbouring_calls_is_independent():
    model = SingleStack(Doing(lambda self, y, x: torch.rand(1000)))
    draws = torch.stack([model(torch.zeros(1, 1, 5))[0] for _ in range(50)])
    assert (torch.corrcoef(draws) - torch.eye(50)).abs().max().item() < 0.2  # six deviations
    assert draws.mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("norm", [True, False])
def test_a_mapped_row_is_the_module_alone(norm):
    config = CONFIG | {"norm": norm}
    together = stacked(Stackable(), [config, config], INPUTS, 3, generators(1, 2))
    assert isinstance(together, VmapStack)
    x = torch.randn(2, 7, 5)
    for mode in (True, False):
        y = together.train(mode)(x)
        for row, seed in enumerate((1, 2)):
            alone = stacked(Stackable(), [config], INPUTS, 3, generators(seed))
            alone(x[row : row + 1])  # the step before
            torch.testing.assert_close(y[row], alone.train(mode)(x[row : row + 1])[0], atol=1e-6, rtol=1e-5)
    assert all(len(parameter) == 2 for parameter in together.parameters())


def test_a_mapped_stack_names_its_parameters_as_the_modules_do():
    together = VmapStack([nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)) for _ in range(2)])
    assert [name for name, _ in together.named_parameters()] == [
        "rows.0.weight", "rows.0.bias", "rows.1.weight", "rows.1.bias",
    ]  # fmt: skip
    assert together.rows[1].running_mean.shape == (2, 4)


def replacing(self, y, x):
    self.mean = 0.9 * self.mean + y.mean(0).detach()
    return y + self.mean


def writing(self, y, x):
    self.mean.mul_(0.9).add_(y.mean(0).detach())
    return y + self.mean


def sharing(self, y, x):
    return self.layers[0](x) + y


@pytest.mark.parametrize("what", [replacing, writing, sharing])
def test_a_mapped_stack_keeps_what_its_modules_keep(what):
    """Buffers that are written to or replaced, and weights that two layers share."""

    def tied():
        module = Doing(what, nn.Linear(5, 3))
        module.layers[0].weight = module.linear.weight
        return module

    modules, x = [tied() for _ in range(2)], torch.randn(2, 7, 5)
    alone = [SingleStack(copy.deepcopy(module)) for module in modules]
    together = VmapStack(modules)
    for _ in range(3):
        outputs = together(x)
        for row, model in enumerate(alone):
            torch.testing.assert_close(outputs[row], model(x[row : row + 1])[0])
            torch.testing.assert_close(together.rows.mean[row], model.module.mean)


def test_a_layer_with_noise_cannot_be_mapped():
    with pytest.raises(ValueError, match=r"layer '1' draws random numbers, .*; return None as stack_key"):
        stacked(Noisy(), [CONFIG, CONFIG], INPUTS, 3, generators(1, 2))


@pytest.mark.parametrize(
    ("what", "layers", "message"),
    [
        (lambda self, y, x: y if y.sum() > 0 else -y, [], "data-dependent control flow"),
        (lambda self, y, x: y * y.mean().item(), [], r"calling .item\(\) on a Tensor"),
        (lambda self, y, x: functional.dropout(y, 0.5), [], "random operation"),
        (lambda self, y, x: torch.zeros(len(x), 3).add_(y), [], "doesn't match the broadcast shape"),
        (lambda self, y, x: y + self.layers[0](x.unsqueeze(1))[0][:, -1], [(nn.LSTM, 5, 3)], "not implemented for"),
    ],
)
def test_what_vmap_cannot_do_is_told_in_a_sentence_with_its_line(what, layers, message):
    together = VmapStack([Doing(what, *(make(*sizes) for make, *sizes in layers)) for _ in range(2)])
    expected = (
        rf"cannot be stacked, because vmap fails \(test_stacks.py, line \d+\): .*{message}.*; return None as stack_key"
    )
    with pytest.raises(ValueError, match=expected) as caught:
        together(torch.randn(2, 7, 5))
    assert caught.value.__suppress_context__  # no page of functorch's
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def sloped(slope):
    module = nn.Linear(2, 3)
    module.slope = slope
    return module


def scaled(scale):
    module = nn.Linear(2, 3)
    module.rate_scales = {"weight": scale}
    return module


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (nn.Linear(2, 3), nn.Linear(2, 4), "out_features"),
        (nn.Linear(2, 3), nn.Linear(2, 3, bias=False), "bias"),
        (nn.Linear(2, 3), nn.Linear(2, 3).requires_grad_(False), "weight"),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh()), "0"),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU()), "1"),
        (nn.Sequential(nn.LeakyReLU(0.1)), nn.Sequential(nn.LeakyReLU(0.2)), "0.negative_slope"),
        (sloped(0.1), sloped(0.2), "slope"),
        (Doing(torch.relu), Doing(torch.tanh), "what"),
        (scaled(0.1), scaled(0.2), "rate_scales of weight"),
    ],
)
def test_modules_that_differ_cannot_be_mapped(one, other, where):
    for modules in ((one, other), (other, one), (one, one, other)):
        with pytest.raises(ValueError, match=f"differ in '{where}'; make it part of the key"):
            VmapStack(modules)


def test_rate_scales_follow_the_names_of_the_stack():
    assert SingleStack(scaled(0.1)).rate_scales == {"module.weight": 0.1}
    assert VmapStack([scaled(0.1), scaled(0.1)]).rate_scales == {"rows.weight": 0.1}
    assert SingleStack(nn.Linear(2, 3)).rate_scales == {}


def test_mistaken_rate_scales_are_told():
    module = nn.Linear(2, 3)
    module.rate_scales = {"wieght": 0.1}
    with pytest.raises(
        SpaceError, match="unknown parameter in rate_scales 'wieght'; known: bias, weight; did you mean"
    ):
        _ = SingleStack(module).rate_scales
    with pytest.raises(SpaceError, match=r"rate_scales\['weight'\] must be a number above 0, got 0; to freeze"):
        _ = SingleStack(scaled(0)).rate_scales


@pytest.mark.parametrize("rows", [1, 2])
def test_a_batch_of_one_is_normalised_by_the_running_statistics(rows):
    """In a layer with one value a channel; one with more does as torch has it."""

    def network():
        first = nn.Sequential(nn.Unflatten(1, (1, 5)), nn.BatchNorm1d(1), nn.Flatten())  # five values a channel
        return nn.Sequential(first, nn.Linear(5, 4), nn.BatchNorm1d(4))

    def state(row):
        tensors = [(name, kept) for name, kept in model.state_dict().items() if isinstance(kept, torch.Tensor)]
        return {name.partition(".")[2]: (tensor[row] if rows > 1 else tensor).clone() for name, tensor in tensors}

    modules = [network() for _ in range(rows)]
    peers = copy.deepcopy(modules)
    model = VmapStack(modules) if rows > 1 else SingleStack(modules[0])
    model(torch.randn(rows, 7, 5) + 1)
    for row, peer in enumerate(peers):
        peer.load_state_dict(state(row))
        peer[2].eval()
    x = torch.randn(rows, 1, 5)
    outputs = model(x)
    for row, peer in enumerate(peers):
        torch.testing.assert_close(outputs[row], peer(x[row]))
        torch.testing.assert_close(state(row), dict(peer.state_dict()))
    assert all(layer.training and not layer._forward_pre_hooks for layer in model.modules())


def test_a_norm_that_is_frozen_stays_so_after_a_batch_of_one():
    model = SingleStack(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4)))
    model.module[1].eval()
    model(torch.randn(1, 1, 5))
    assert not model.module[1].training


def test_a_build_that_returns_no_module_is_told():
    class Wrong(Own):
        def build(self, config, inputs, outputs):
            return "a network"

    with pytest.raises(TypeError, match=r"Wrong.build must return a torch module, got 'a network'"):
        stacked(Wrong(), [CONFIG], INPUTS, 3, generators(1))
