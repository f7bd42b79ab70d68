"""Each schedule gives the rates that torch's own scheduler gives, step by step."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from archsearch.search.training.schedules import SCHEDULES, Schedule

EPOCHS, STEPS = 12, 7


def ours(schedule, losses=()):
    rates = []
    for epoch in range(schedule.epochs):
        rates.extend(schedule.factors(epoch))
        if losses:
            schedule.epoch_ends(losses[epoch])
    return np.array(rates)


def torchs(make, *, each, losses=(), epochs=EPOCHS):
    """The rates of torch's scheduler, stepped after each "step" or each "epoch"."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for epoch in range(epochs):
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if each == "step" and len(rates) < epochs * STEPS:
                scheduler.step()
        if each == "epoch":
            scheduler.step(*losses[epoch : epoch + 1])
    return np.array(rates)


PEERS = {
    "constant": (lambda o: lr_scheduler.ConstantLR(o, 1.0), "epoch", {}),
    "step": (lambda o: lr_scheduler.StepLR(o, 3, 0.2), "epoch", {"decay": 0.2, "decay_epochs": 3}),
    "exponential": (lambda o: lr_scheduler.ExponentialLR(o, 0.95), "epoch", {"decay": 0.95}),
    "cosine": (lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS), "step", {}),
    "one_cycle": (lambda o: lr_scheduler.OneCycleLR(o, 1.0, EPOCHS * STEPS, cycle_momentum=False), "step", {}),
}


@pytest.mark.parametrize("name", PEERS)
def test_a_schedule_is_torchs(name):
    make, each, settings = PEERS[name]
    np.testing.assert_allclose(ours(Schedule(name, EPOCHS, STEPS, **settings)), torchs(make, each=each), atol=1e-9)


def test_plateau_is_torchs():
    losses = [1.0, 0.9, 0.95, 0.89999, 0.91, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]  # the fourth falls by too little
    expected = torchs(lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=2), each="epoch", losses=losses)
    schedule = Schedule("plateau", EPOCHS, STEPS, decay=0.5, decay_epochs=2)
    np.testing.assert_allclose(ours(schedule, losses), expected)
    assert expected[-1] == 0.25


def test_every_name_has_a_peer():
    assert {*PEERS, "plateau"} == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_evenly_to_where_the_schedule_begins(name):
    settings = PEERS[name][2] if name in PEERS else {}
    warmed = ours(Schedule(name, EPOCHS, STEPS, warmup_epochs=2, **settings))
    plain = ours(Schedule(name, EPOCHS - 2, STEPS, **settings))
    np.testing.assert_allclose(warmed[2 * STEPS :], plain)
    rising = warmed[: 2 * STEPS + 1]
    np.testing.assert_allclose(np.diff(rising), plain[0] / (2 * STEPS + 1))


def test_warm_up_is_torchs_linear():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's own, of the order of steps
        n = 2 * STEPS
        expected = torchs(lambda o: lr_scheduler.LinearLR(o, 1 / (n + 1), 1.0, n), each="step")
    np.testing.assert_allclose(ours(Schedule("constant", EPOCHS, STEPS, warmup_epochs=2)), expected)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("epochs", "steps", "warmup"), [(1, 1, 0), (1, 3, 1), (2, 1, 5)])
def test_short_trials_have_finite_positive_rates(name, epochs, steps, warmup):
    rates = ours(Schedule(name, epochs, steps, warmup_epochs=warmup))
    assert rates.shape == (epochs * steps,)
    assert (rates > 0).all()
    assert (rates <= 1).all()
