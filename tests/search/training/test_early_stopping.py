"""Early stopping of rows: when each ends, what it says then, and whose weights are kept."""

from __future__ import annotations

import math

import pytest
import torch

from archsearch.search.training.early_stopping import Stopping

LOSSES = [[3.0, 2.0, 2.5, 2.0, 2.0, 1.0], [3.0, 2.9, 2.8, 2.7, 2.6, 2.7], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]]
CONFIGS = [{"patience": 3}, {"patience": 3}, {"patience": None}]


def begun(training):
    stopping = Stopping()
    stopping.training_begins(training)
    return stopping


def ends(training_of, restore_at=None, losses=LOSSES, configs=CONFIGS):
    """What each row says where it ends, by epoch; and the weights that are kept, which count the epochs."""
    weights = torch.zeros(len(configs), 2)
    training = training_of(configs, weights, epochs=6)
    stopping = begun(training)
    found = []
    for epoch in range(6):
        training.epoch = epoch
        weights += 1
        evaluated = [{"val_loss": row[epoch], "epoch": float(epoch)} for row in losses]
        stopping.evaluation_ends(training, evaluated)
        stopping.epoch_ends(training, evaluated)
        ending = training.ending()
        found.append([evaluated[row] | ending[row] if row in ending else None for row in range(len(configs))])
        if epoch == restore_at:
            state = stopping.state()
            stopping = begun(training)
            stopping.restore(state)
    return found, stopping.best


def test_a_row_ends_after_its_patience_with_its_best_epoch(training_of):
    found, _ = ends(training_of)
    assert [rows[0] for rows in found[:5]] == [None] * 4 + [{"val_loss": 2.0, "epoch": 1.0}]


def test_a_row_that_goes_to_the_end_says_its_best_there_and_its_weights_are_kept(training_of):
    found, best = ends(training_of)
    assert [rows[1] for rows in found] == [None] * 5 + [{"val_loss": 2.6, "epoch": 4.0}]
    assert best[1].tolist() == [5.0, 5.0]


def test_a_row_without_patience_never_ends(training_of):
    assert [rows[2] for rows in ends(training_of)[0]] == [None] * 6


def test_a_row_that_never_had_a_finite_loss_says_what_it_has(training_of):
    found, _ = ends(training_of, losses=[[math.nan] * 6], configs=CONFIGS[:1])
    assert math.isnan(found[-1][0]["val_loss"])


@pytest.mark.parametrize("at", range(5))
def test_a_restored_state_goes_on_as_if_never_stopped(training_of, at):
    found, best = ends(training_of, restore_at=at)
    assert found == ends(training_of)[0]
    assert torch.equal(best[:2], ends(training_of)[1][:2])
