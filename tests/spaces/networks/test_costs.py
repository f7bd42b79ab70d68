"""What a network costs: by hand, against torch's own counter, and for families that know nothing of being counted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archsearch import MLP, Choice, Inputs, Int, Space
from archsearch.spaces.networks.costs import costs

FIVE = Inputs((5,))
FLOAT = 4  # bytes


class Family:
    """A user's own, whose config is ignored."""

    space = Space(width=Int(1, 9))

    def __init__(self, make):
        self.make = make
        self.built = 0

    def build(self, config, inputs, outputs):
        self.built += 1
        return self.make()


def of(make, inputs=FIVE, outputs=3):
    return costs(Family(make), {}, inputs, outputs)


def plain(*widths, activation=nn.ReLU):
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), activation())]
    return nn.Sequential(*layers[:-1])


def drawn(family, seed=0):
    return family.space.sample(np.random.default_rng(seed))


def test_an_mlp_by_hand():
    family = MLP(layers=2, units=Choice(8))
    found = costs(family, drawn(family), FIVE, 3)
    assert found.parameters == found.trainable == (5 * 8 + 8) + (8 * 8 + 8) + (8 * 3 + 3)  # and no spare column
    assert found.flops == 2 * (5 * 8 + 8 * 8 + 8 * 3)


@settings(max_examples=20)  # a build and three passes each
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 20), st.sampled_from([3, 16, 17]))
def test_an_mlp_costs_what_its_plain_twin_does(widths, features, outputs):
    family = MLP(layers=len(widths), units=Int(1, 40), activation="tanh")
    config = drawn(family) | {f"units_{k}": width for k, width in enumerate(widths, 1)}
    found = costs(family, config, Inputs((features,)), outputs)
    twin = plain(features, *widths, outputs, activation=nn.Tanh)
    with FlopCounterMode(display=False) as counter:
        twin(torch.zeros(1, features))
    assert found.flops == counter.get_total_flops()
    assert found.parameters == sum(parameter.numel() for parameter in twin.parameters())
    assert found.sample_bytes == FLOAT * (features + sum(widths))
    other = of(lambda: twin, Inputs((features,)), outputs)
    assert (other.flops, other.parameters, other.sample_bytes) == (found.flops, found.parameters, found.sample_bytes)


def test_a_convolution_counts_as_torch_counts_it():
    def make():
        layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(nn.Unflatten(1, (1, 8)), *layers, nn.Linear(4, 3))

    found = of(make, Inputs((8, 8)))
    assert found.flops == 2 * 8 * 8 * 9 * 4 + 2 * 4 * 3
    assert found.parameters == (9 * 4 + 4) + 2 * 4 + (4 * 3 + 3)
    assert (
        found.weight_bytes == FLOAT * (found.parameters + 2 * 4) + 8
    )  # running moments, and how many batches there were


def test_the_memory_of_training_by_hand():
    found = of(lambda: plain(5, 8, 3))
    weights = FLOAT * ((5 * 8 + 8) + (8 * 3 + 3))
    assert (found.weight_bytes, found.trainable_bytes, found.kept_bytes) == (weights, weights, 0)
    assert found.sample_bytes == FLOAT * (5 + 8)  # what goes into either linear layer; ReLU keeps what the second keeps
    trial = replace(found, batch_size=10, optimizer_copies=2, data_bytes=1000)
    assert trial.memory_bytes == weights + 3 * weights + 10 * found.sample_bytes + 1000


def test_what_is_frozen_needs_no_gradient():
    def make():
        network = plain(5, 8, 3)
        network[0].requires_grad_(False)
        return network

    found = of(make)
    assert (found.parameters, found.trainable) == (75, 27)
    assert found.trainable_bytes == FLOAT * 27
    assert found.sample_bytes == FLOAT * 8
    assert replace(found, optimizer_copies=1).memory_bytes == FLOAT * (75 + 2 * 27 + 8)


def test_weights_that_two_layers_share_count_once():
    def make():
        first, second = nn.Linear(5, 5), nn.Linear(5, 5)
        second.weight = first.weight
        return nn.Sequential(first, second, nn.Linear(5, 3))

    assert of(make).parameters == 25 + 5 + 5 + 18


def test_what_is_kept_once_for_a_batch_is_no_cost_of_its_samples():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5, 3))

        def forward(self, x):
            return x @ (self.weight * 2)

    found = of(lambda: nn.Sequential(nn.Linear(5, 5), Scaled()))
    assert (found.kept_bytes, found.sample_bytes) == (FLOAT * 15, FLOAT * (5 + 5))


def test_tokens_come_as_whole_numbers():
    def make():
        return nn.Sequential(nn.Embedding(100, 4), nn.Flatten(), nn.Linear(4 * 7, 3))

    found = of(make, Inputs((7,), vocabulary=100))
    assert found.parameters == 400 + 87
    assert found.flops == 2 * 28 * 3


def test_nothing_is_drawn_and_nothing_allocated():
    seen = []
    before = torch.get_rng_state()
    network = Family(lambda: seen.append(nn.Linear(5, 3)) or seen[-1])
    costs(network, {}, FIVE, 3)
    assert seen[0].weight.is_meta
    assert network.built == 1
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_device().type == "cpu"
    enormous = of(lambda: plain(5, 10**6, 10**6, 3))  # 4 TB of weights
    assert enormous.parameters == 5 * 10**6 + 10**6 + 10**12 + 10**6 + 3 * 10**6 + 3


def test_a_module_that_a_family_lends_out_stays_as_it_is():
    lent = plain(5, 8, 3)
    values = [parameter.clone() for parameter in lent.parameters()]
    lent(torch.zeros(2, 5)).sum().backward()
    assert of(lambda: lent) == of(lambda: plain(5, 8, 3))
    assert all(torch.equal(after, before) for after, before in zip(lent.parameters(), values, strict=True))
    assert all(parameter.is_leaf and parameter.grad is not None for parameter in lent.parameters())


@pytest.mark.filterwarnings("error")
def test_weights_may_be_loaded_into_what_was_built():
    weights = plain(5, 8, 3).state_dict()

    def make():
        network = plain(5, 8, 3)
        network.load_state_dict(weights)
        return network

    loading = Family(make)
    assert costs(loading, {}, FIVE, 3) == of(lambda: plain(5, 8, 3))
    assert loading.built == 1  # and not again on the CPU, because of torch's warning


class Looking(nn.Module):
    """Its forward looks at a number, which meta has not."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        return self.last(x) if x.sum().item() < 1e9 else x


def test_a_network_that_looks_at_its_numbers_is_built_for_real():
    assert of(Looking) == of(lambda: nn.Linear(5, 3))


def test_a_start_that_looks_at_its_numbers_is_drawn_for_real():
    def make():
        widths = [int(width) for width in torch.linspace(4, 8, 2)]
        return plain(5, *widths, 3)

    assert of(make) == of(lambda: plain(5, 4, 8, 3))


def test_an_error_is_raised_as_it_is_and_names_the_layer():
    network = Family(lambda: nn.Sequential(nn.Linear(5, 8), nn.Sequential(nn.ReLU(), nn.Linear(7, 3))))
    with pytest.raises(RuntimeError, match="reduction dim") as raised:
        costs(network, {}, FIVE, 3)
    assert raised.value.__notes__ == ["in Linear '1.1'"]
    assert network.built == 1  # not again on the CPU, where a large network would take its time to fail


def test_outputs_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\), got \(2, 4\); the last layer needs 3"):
        of(lambda: nn.Linear(5, 4))


def test_a_build_that_fails_is_raised():
    def make():
        raise KeyError("width")

    with pytest.raises(KeyError, match="width"):
        of(make)
