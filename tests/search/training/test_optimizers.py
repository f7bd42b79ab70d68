"""The stacked optimizers beside torch.optim, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archsearch.search.training.optimizers import OPTIMIZERS, Rates, flat, flatten, optimizer_for, rate_scales, trained

ROWS = [
    {"learning_rate": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
    {"learning_rate": 3e-2, "weight_decay": 0.1, "momentum": 0.9},
    {"learning_rate": 1e-1, "weight_decay": 1e-3, "momentum": 0.5},
]
STEPS = 10  # of an epoch


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of its paper, as it stands there; torch has none."""

    def __init__(self, parameters, lr, weight_decay):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = 0.9 * m + 0.1 * p.grad
                p -= group["lr"] * (c.sign() + group["weight_decay"] * p)
                m.copy_(0.99 * m + 0.01 * p.grad)


def peer(name, groups, row, nesterov):
    rates = {"lr": row["learning_rate"], "weight_decay": row["weight_decay"]}
    match name:
        case "sgd":
            return torch.optim.SGD(groups, **rates, momentum=row["momentum"], nesterov=nesterov)
        case "lion":
            return Lion(groups, **rates)
        case _:
            kinds = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
            return getattr(torch.optim, kinds[name])(groups, **rates)


def stacked_parameters(rows):
    generator = torch.Generator().manual_seed(0)
    module = nn.Module()
    module.register_parameter("weight", nn.Parameter(torch.randn(rows, 3, 5, generator=generator)))
    module.register_parameter("bias", nn.Parameter(torch.randn(rows, 1, 5, generator=generator)))
    return module


def factor(step):
    """A schedule: each step has a rate of its own."""
    return 1 / (1 + step % 13)


def table(rows, epoch):
    factors = torch.tensor([factor(epoch * STEPS + step) for step in range(STEPS)], dtype=torch.float64)
    return factors.view(-1, 1, 1) * torch.tensor([row["learning_rate"] for row in rows], dtype=torch.float64).view(
        -1, 1
    )


def gradients_of(model, step, generator):
    scale = 10.0 ** (step % 7 - 4)  # from 1e-4 to 100
    return [torch.randn(p.shape, generator=generator) * scale for p in trained(model)]


def compare(name, rows, nesterov=False, scales=None, frozen=()):
    """Some epochs of ours beside a peer for each row."""
    model = stacked_parameters(len(rows))
    for part in frozen:
        getattr(model, part).requires_grad_(False)
    if scales:
        model.rate_scales = scales
    names = [part for part, p in model.named_parameters() if p.requires_grad]
    copies = [[nn.Parameter(p[k].detach().clone()) for p in trained(model)] for k in range(len(rows))]
    peers = []
    for copy, row in zip(copies, rows, strict=True):
        groups = [
            {"params": [p], "lr": row["learning_rate"] * (scales or {}).get(part, 1.0)}
            for part, p in zip(names, copy, strict=True)
        ]
        peers.append(peer(name, groups, row, nesterov))
    bases = [[group["lr"] for group in each.param_groups] for each in peers]
    values = flatten(model, len(rows))
    ours = optimizer_for(values, [{**row, "optimizer": name, "nesterov": nesterov} for row in rows], model)
    generator = torch.Generator().manual_seed(1)
    for epoch in range(5):
        ours.epoch_begins(Rates(table(rows, epoch), rate_scales(model, values)))
        for step in range(STEPS):
            gradients = gradients_of(model, step, generator)
            ours.step(step, flat(gradients, len(rows)))
            for k, (copy, each) in enumerate(zip(copies, peers, strict=True)):
                for group, base in zip(each.param_groups, bases[k], strict=True):
                    group["lr"] = base * factor(epoch * STEPS + step)
                for parameter, gradient in zip(copy, gradients, strict=True):
                    parameter.grad = gradient[k].clone()
                each.step()
                for mine, theirs in zip(trained(model), copy, strict=True):
                    torch.testing.assert_close(mine[k], theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS[1:2]])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_agrees_with_torch_row_by_row(name, rows):
    compare(name, rows)


def test_nesterov_agrees_with_torch():
    compare("sgd", ROWS[1:], nesterov=True)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parts_that_learn_at_other_rates_are_torchs_parameter_groups(name):
    compare(name, ROWS, scales={"bias": 0.1})
    compare(name, ROWS[1:2], scales={"weight": 0.01})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_parameters_do_not_move_and_take_no_memory(name):
    compare(name, ROWS, frozen=["weight"])
    model = stacked_parameters(3)
    model.weight.requires_grad_(False)
    before = model.weight.clone()
    values = flatten(model, 3)
    assert values.shape == (3, 16)
    optimizer = optimizer_for(values, [{**row, "optimizer": name} for row in ROWS], model)
    assert all(kept.numel() <= values.numel() for kept in optimizer.memory)
    optimizer.epoch_begins(Rates(table(ROWS, 0)))
    optimizer.step(0, torch.ones_like(values))
    assert torch.equal(model.weight, before)


def test_a_model_that_is_all_frozen_is_told():
    model = stacked_parameters(1).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameters; set requires_grad=True"):
        flatten(model, 1)


def test_flatten_keeps_the_values_and_shares_the_memory():
    model = stacked_parameters(3)
    before = [p.detach().clone() for p in model.parameters()]
    values = flatten(model, 3)
    assert values.shape == (3, 32)  # 3 * 5 + 5, in whole cache lines
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    values[1].zero_()
    assert all(not p[1].any() and p[0].all() and p[2].all() for p in model.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_nan_row_stays_alone(name):
    model = stacked_parameters(3)
    values = flatten(model, 3)
    ours = optimizer_for(values, [{**row, "optimizer": name} for row in ROWS], model)
    ours.epoch_begins(Rates(table(ROWS, 0)))
    for step in range(3):
        gradient = torch.ones_like(values)
        gradient[1] = torch.nan
        ours.step(step, gradient)
    for parameter in model.parameters():
        assert torch.isfinite(parameter[[0, 2]]).all()
        assert torch.isnan(parameter[1]).all() or name == "lion"  # NaN has no sign, so Lion does not move on it


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_from_its_state_equals_never_having_stopped(name):
    configs = [{**row, "optimizer": name} for row in ROWS]

    def run(interrupted):
        values = torch.ones(3, 16)
        optimizer = optimizer_for(values, configs, nn.Module())
        for epoch in range(4):
            if interrupted and epoch == 2:
                kept = optimizer.state()
                optimizer = optimizer_for(values, configs, nn.Module())
                optimizer.restore(kept)
            optimizer.epoch_begins(Rates(table(ROWS, epoch)))
            for step in range(STEPS):
                optimizer.step(step, values.sin() * (1 + step))
        return values

    assert torch.equal(run(True), run(False))
