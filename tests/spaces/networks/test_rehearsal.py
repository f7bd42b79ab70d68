"""A rehearsal finds what the first step of a trial would."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsearch import Inputs, Int, Space
from archsearch.spaces.networks.rehearsal import rehearse


class Family:
    space = Space(width=Int(1, 9))

    def build(self, config, inputs, outputs):
        return nn.Sequential(nn.Linear(inputs.shape[0], 4), nn.BatchNorm1d(4), nn.Linear(config["width"], outputs))


def rehearsed(width, outputs=3):
    rehearse(Family(), {"width": width}, Inputs((5,)), outputs, torch.ones(2, 5))


def test_all_is_well():
    before = torch.get_rng_state()
    rehearsed(width=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_that_do_not_fit_are_found_by_name():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as raised:
        rehearsed(width=7)
    assert raised.value.__notes__ == ["in Linear '2'"]


def test_the_samples_pass_as_in_training():
    seen = []

    class Watching(Family):
        def build(self, config, inputs, outputs):
            network = super().build(config, inputs, outputs)
            network.register_forward_hook(lambda module, given, outputs: seen.append((module.training, given[0])))
            return network

    rehearse(Watching(), {"width": 4}, Inputs((5,)), 3, torch.ones(2, 5))
    ((training, given),) = seen
    assert training
    assert torch.equal(given, torch.ones(2, 5))


def test_outputs_are_looked_at():
    class Narrow(Family):
        def build(self, config, inputs, outputs):
            return super().build(config, inputs, outputs - 1)

    with pytest.raises(ValueError, match=r"must have shape \(2, 3\), got \(2, 2\)"):
        rehearse(Narrow(), {"width": 4}, Inputs((5,)), 3, torch.ones(2, 5))
