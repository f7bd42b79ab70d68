"""The stacked optimizers beside torch.optim, row by row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from search.training.optimizers import flatten, optimizer_for, trained

ROWS = [
    {"learning_rate": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
    {"learning_rate": 3e-2, "weight_decay": 0.1, "momentum": 0.9},
    {"learning_rate": 1e-1, "weight_decay": 1e-3, "momentum": 0.5},
]


def stacked_parameters(rows: int) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(torch.randn(rows, 3, 5, generator=generator)))
    module.register_parameter("bias", nn.Parameter(torch.randn(rows, 1, 5, generator=generator)))
    return module


def torch_optimizer(name: str, parameters: list[Any], row: dict[str, float]) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=row["learning_rate"], momentum=row["momentum"], weight_decay=row["weight_decay"]
        )
    return torch.optim.AdamW(parameters, lr=row["learning_rate"], weight_decay=row["weight_decay"])


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS[1:2]])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_agrees_with_torch_row_by_row(name, rows):
    model = stacked_parameters(len(rows))
    peers = [[nn.Parameter(p[k].detach().clone()) for p in model.parameters()] for k in range(len(rows))]
    optimizers = [torch_optimizer(name, peer, row) for peer, row in zip(peers, rows, strict=True)]
    ours = optimizer_for(model, [{**row, "optimizer": name} for row in rows])
    generator = torch.Generator().manual_seed(1)
    for step in range(50):
        scale = 10.0 ** (step % 7 - 4)  # gradients from 1e-4 to 100
        gradients = [torch.randn(p.shape, generator=generator) * scale for p in model.parameters()]
        ours.step(gradients)
        for k, (peer, optimizer) in enumerate(zip(peers, optimizers, strict=True)):
            for parameter, gradient in zip(peer, gradients, strict=True):
                parameter.grad = gradient[k].clone()
            optimizer.step()
            for mine, theirs in zip(model.parameters(), peer, strict=True):
                torch.testing.assert_close(mine[k], theirs, rtol=1e-6, atol=1e-6)


class Scaled(nn.Module):
    """Three rows of a slow weight, a frozen one, a quick bias, and one of which nothing is said."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        for name, shape in (("slow", (3, 5)), ("still", (16,)), ("quick", (5,)), ("plain", (2,))):
            values = torch.randn(rows, *shape, generator=generator)
            self.register_parameter(name, nn.Parameter(values, requires_grad=name != "still"))
        self.rate_scales = {"quick": 2.0, "slow": 0.01, "still": 0.5}


@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2]])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_rate_scales_are_torchs_parameter_groups_and_what_is_frozen_does_not_move(name, rows):
    model = Scaled(len(rows))
    still = model.still.clone()
    scales = {**model.rate_scales, "plain": 1.0}
    optimizers, peers = [], []
    for k, row in enumerate(rows):
        peer = {name: nn.Parameter(p[k].detach().clone()) for name, p in model.named_parameters() if p.requires_grad}
        groups = [{"params": [p], "lr": row["learning_rate"] * scales[name]} for name, p in peer.items()]
        optimizers.append(torch_optimizer(name, groups, row))
        peers.append(peer)
    ours = optimizer_for(model, [{**row, "optimizer": name} for row in rows])
    generator = torch.Generator().manual_seed(1)
    for step in range(50):
        scale = 10.0 ** (step % 7 - 4)
        gradients = [torch.randn(p.shape, generator=generator) * scale for p in trained(model)]
        ours.step(gradients)
        for k, (peer, optimizer) in enumerate(zip(peers, optimizers, strict=True)):
            for parameter, gradient in zip(peer.values(), gradients, strict=True):
                parameter.grad = gradient[k].clone()
            optimizer.step()
            for each, theirs in peer.items():
                torch.testing.assert_close(getattr(model, each)[k], theirs, rtol=1e-6, atol=1e-6)
    assert torch.equal(model.still, still)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_what_is_frozen_takes_no_place_in_the_optimizer(name):
    model = Scaled(2)
    ours = optimizer_for(model, [{**row, "optimizer": name} for row in ROWS[:2]])
    state = [value for value in vars(ours).values() if isinstance(value, torch.Tensor)]
    assert max(tensor.numel() for tensor in state) == 2 * 32  # 3 * 5 + 5 + 2, in whole cache lines
    model.still.requires_grad_(True)
    assert flatten(model, 2).shape == (2, 48)


def test_a_network_without_anything_to_train_is_told():
    with pytest.raises(ValueError, match="nothing to train: all its parameters are frozen, or it has none; free one"):
        optimizer_for(nn.Linear(3, 2).requires_grad_(False), ROWS[:1])


def test_flatten_keeps_the_values_and_shares_the_memory():
    model = stacked_parameters(3)
    before = [p.detach().clone() for p in model.parameters()]
    values = flatten(model, 3)
    assert values.shape == (3, 32)  # 3 * 5 + 5, in whole cache lines
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    values[1].zero_()
    assert all(not p[1].any() and p[0].all() and p[2].all() for p in model.parameters())


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_nan_row_stays_alone(name):
    model = stacked_parameters(3)
    ours = optimizer_for(model, [{**row, "optimizer": name} for row in ROWS])
    for _ in range(3):
        gradients = [torch.ones_like(p) for p in model.parameters()]
        for gradient in gradients:
            gradient[1] = torch.nan
        ours.step(gradients)
    for parameter in model.parameters():
        assert torch.isnan(parameter[1]).all()
        assert torch.isfinite(parameter[[0, 2]]).all()
