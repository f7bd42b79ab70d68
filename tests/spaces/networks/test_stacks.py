"""Plain modules as stacks: a user's own family, alone and through vmap."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spaces import Choice, Int, Space
from spaces.networks import Inputs, stack_key, stacked
from spaces.networks.stacks import Alone, Mapped


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


CONFIG = {"width": 4, "norm": True}
INPUTS = Inputs((5,))


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_a_family_without_a_key_is_alone():
    assert stack_key(Own(), CONFIG) is None
    model = stacked(Own(), [CONFIG], INPUTS, 3, generators(1))
    assert isinstance(model, Alone)
    assert model(torch.randn(1, 7, 5)).shape == (1, 7, 3)
    with pytest.raises(ValueError, match="one stack_key"):
        stacked(Own(), [CONFIG, CONFIG], INPUTS, 3, generators(1, 2))


def test_the_start_comes_from_the_generator_and_leaves_torchs_own_alone():
    state = torch.get_rng_state()
    first, again, other = (stacked(Own(), [CONFIG], INPUTS, 3, generators(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.module[0].weight, again.module[0].weight)
    assert not torch.equal(first.module[0].weight, other.module[0].weight)


@pytest.mark.parametrize("norm", [True, False])
def test_a_mapped_row_is_the_module_alone(norm):
    config = CONFIG | {"norm": norm}
    together = stacked(Stackable(), [config, config], INPUTS, 3, generators(1, 2))
    assert isinstance(together, Mapped)
    x = torch.randn(2, 7, 5)
    for mode in (True, False):
        y = together.train(mode)(x)
        for row, seed in enumerate((1, 2)):
            alone = stacked(Stackable(), [config], INPUTS, 3, generators(seed))
            alone(x[row : row + 1])  # the step before
            torch.testing.assert_close(y[row], alone.train(mode)(x[row : row + 1])[0], atol=1e-6, rtol=1e-5)
    assert all(len(parameter) == 2 for parameter in together.parameters())


def test_a_layer_with_noise_cannot_be_mapped():
    with pytest.raises(ValueError, match="layer '1' draws noise, and cannot share a stack; let stack_key return None"):
        stacked(Noisy(), [CONFIG, CONFIG], INPUTS, 3, generators(1, 2))


def test_modules_that_differ_cannot_be_mapped():
    with pytest.raises(ValueError, match="differ in their parameters; put what differs into the key"):
        Mapped([nn.Linear(2, 3), nn.Linear(2, 4)])


def test_a_build_that_returns_no_module_is_told():
    class Wrong(Own):
        def build(self, config, inputs, outputs):
            return "a network"

    with pytest.raises(TypeError, match=r"Wrong.build must return a torch module, got 'a network'"):
        stacked(Wrong(), [CONFIG], INPUTS, 3, generators(1))
