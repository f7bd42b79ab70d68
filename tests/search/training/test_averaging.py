"""Averages of weights against torch's own, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from archsearch.search.training.averaging import Averaging

CONFIGS = {
    "ema": [{"averaging": "ema", "ema_decay": 0.9}, {"averaging": "ema", "ema_decay": 0.5}],
    "swa": [{"averaging": "swa", "swa_start": 0.5}, {"averaging": "swa", "swa_start": 0.0}],
    "none": [{}, {}],
}


class Buffered(nn.Module):
    """Two rows of weights, and of a running statistic."""

    def __init__(self):
        super().__init__()
        self.register_buffer("running", torch.randn(2, 3))
        self.register_buffer("count", torch.tensor([1, 2]))


def begun(training, method):
    """The averaging of a new training, where it is on."""
    parts = [Averaging()] if Averaging.is_on(CONFIGS[method]) else []
    for averaging in parts:
        averaging.training_begins(training)
    return parts


def trained(training_of, method, epochs=4, steps=3, restore_at=None):
    """Random weights over some epochs, and what is evaluated at the end of each: (epochs, 2, 5 + 3)."""
    torch.manual_seed(0)
    values, model = torch.randn(2, 5), Buffered()
    training = training_of(CONFIGS[method], values, model=model, epochs=epochs)
    parts = begun(training, method)
    live, evaluated = [], []
    for training.epoch in range(epochs):
        for _ in range(steps):
            values.copy_(torch.randn(2, 5))
            model.running.copy_(torch.randn(2, 3))
            for averaging in parts:
                averaging.step_ends(training)
            live.append(torch.cat([values, model.running], 1))
        for averaging in parts:
            averaging.evaluation_begins(training)
        evaluated.append(torch.cat([values, model.running], 1))
        for averaging in parts:
            averaging.evaluation_ends(training, [])
        assert torch.equal(torch.cat([values, model.running], 1), live[-1])
        assert model.count.tolist() == [1, 2]
        if training.epoch == restore_at:
            (averaging,) = parts
            parts = begun(training, method)
            parts[0].restore(averaging.state())
    return live, torch.stack(evaluated)


def torchs(weights, multi_avg_fn=None):
    """AveragedModel told these weights (5 + 3 numbers each) one by one."""
    layer = nn.Linear(8, 1, bias=False)
    model = AveragedModel(layer, multi_avg_fn=multi_avg_fn)
    for each in weights:
        with torch.no_grad():
            layer.weight.copy_(each[None])
        model.update_parameters(layer)
    return model.module.weight[0].detach()


@pytest.mark.parametrize("row", [0, 1])
def test_ema_is_torchs(training_of, row):
    live, evaluated = trained(training_of, "ema")
    expected = torchs([each[row] for each in live], get_ema_multi_avg_fn(CONFIGS["ema"][row]["ema_decay"]))
    torch.testing.assert_close(evaluated[-1, row], expected)


@pytest.mark.parametrize(("row", "first"), [(0, 2), (1, 0)])
def test_swa_is_torchs_from_the_epoch_where_it_begins(training_of, row, first):
    live, evaluated = trained(training_of, "swa")
    ends = [live[epoch * 3 + 2][row] for epoch in range(4)]
    for epoch in range(4):
        expected = ends[epoch] if epoch < first else torchs(ends[first : epoch + 1])
        torch.testing.assert_close(evaluated[epoch, row], expected)


def test_none_evaluates_the_weights_themselves(training_of):
    live, evaluated = trained(training_of, "none")
    assert torch.equal(evaluated[-1], live[-1])


@pytest.mark.parametrize("method", ["ema", "swa"])
def test_a_restored_state_goes_on_as_if_never_stopped(training_of, method):
    assert torch.equal(trained(training_of, method, restore_at=1)[1], trained(training_of, method)[1])
