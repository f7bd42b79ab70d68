"""The same loop on a GPU: it runs, agrees with the CPU, and keeps rows apart."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from archsearch.search.training.loop import Diverged

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch sees none")


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_agrees_with_the_cpu_where_there_is_no_dropout(blobs, objective_on, trial, task, optimizer):
    objective = objective_on(blobs(task=task))
    for cpu, gpu in zip(
        objective(trial(optimizer=optimizer)), objective(trial(optimizer=optimizer, device="cuda")), strict=True
    ):
        assert gpu == pytest.approx(cpu, rel=1e-3, abs=1e-3)


def test_a_stack_agrees_with_each_trial_alone(blobs, objective_on, trial):
    objective = objective_on(blobs())
    trials = [trial(seed=k, device="cuda", dropout=0.2 * k, norm="batch", learning_rate=10.0**-k) for k in (1, 2)]
    stacked = zip(*objective.run_stack(trials), strict=True)
    for reports, each in zip(stacked, trials, strict=True):
        for one, other in zip(reports, objective(each), strict=True):
            assert one == pytest.approx(other, abs=1e-3)


def test_a_nan_row_stays_alone(blobs, objective_on, trial):
    objective = objective_on(blobs())
    (first, *rest) = objective.run_stack([trial(device="cuda"), trial(device="cuda", learning_rate=1e38)])
    assert isinstance(first[1], Diverged)
    assert all(math.isfinite(healthy["val_loss"]) for healthy, _ in (first, *rest))


def test_no_step_waits_for_the_device(blobs, objective_on, trial):
    """Operations that wait belong to epochs: there are as many with 125 steps to an epoch as with 8."""
    objective = objective_on(blobs(2000))
    list(objective(trial(device="cuda", dropout=0.1, norm="batch")))  # whatever is done once
    waits = []
    for batch_size in (16, 256):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                list(objective(trial(device="cuda", batch_size=batch_size, dropout=0.1, norm="batch")))
            finally:
                torch.cuda.set_sync_debug_mode("default")
        waits.append(sum("called a synchronizing" in str(warning.message) for warning in caught))
    assert waits[0] == waits[1] > 0
