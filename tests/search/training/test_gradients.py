"""Penalties and clipping: the numbers they say, row by row."""

from __future__ import annotations

import pytest
import torch

from archsearch.search.training.gradients import Gradients, norms

VALUES = torch.tensor([[1.0, -2.0, 0.0, 3.0], [4.0, 0.0, -1.0, 0.5]])
GRADIENT = torch.tensor([[0.3, -0.4, 1.2, 0.0], [3.0, 4.0, 0.0, -12.0]])


def shaped(training_of, *configs, values=VALUES, gradient=GRADIENT):
    """The gradient as `Gradients` leaves it; as it is where that is off."""
    result, training = gradient.clone(), training_of(configs, values)
    if Gradients.is_on(configs):
        gradients = Gradients()
        gradients.training_begins(training)
        gradients.step_begins(training, result)
    return result


def test_nothing_asked_for_changes_nothing(training_of):
    assert torch.equal(shaped(training_of, {}, {"l1": 0.0, "l2": 0.0, "clip_norm": None, "clip_value": None}), GRADIENT)


def test_penalties_are_the_gradients_of_what_they_add_to_the_loss(training_of):
    values = VALUES.clone().requires_grad_()
    l1, l2 = torch.tensor([0.1, 0.0]), torch.tensor([0.0, 0.3])
    (l1 * values.abs().sum(1) + l2 / 2 * values.square().sum(1)).sum().backward()
    torch.testing.assert_close(shaped(training_of, {"l1": 0.1}, {"l2": 0.3}), GRADIENT + values.grad)


def test_clipping_by_norm_is_torchs_for_each_row(training_of):
    after = shaped(training_of, {"clip_norm": 1.0}, {"clip_norm": 2.0})
    for row, longest in enumerate((1.0, 2.0)):
        parameter = torch.nn.Parameter(VALUES[row])
        parameter.grad = GRADIENT[row].clone()
        torch.nn.utils.clip_grad_norm_([parameter], longest)
        torch.testing.assert_close(after[row], parameter.grad)
    assert norms(after).flatten().tolist() == pytest.approx([1.0, 2.0], abs=1e-5)
    assert torch.equal(shaped(training_of, {"clip_norm": 100.0}, {}), GRADIENT)


def test_clipping_by_value_keeps_each_entry_within(training_of):
    assert torch.equal(shaped(training_of, {"clip_value": 0.35}, {})[0], GRADIENT[0].clamp(-0.35, 0.35))
    assert torch.equal(shaped(training_of, {"clip_value": 0.35}, {})[1], GRADIENT[1])


def test_penalties_come_before_clipping_and_values_before_norms(training_of):
    config = {"l2": 0.5, "clip_value": 2.0, "clip_norm": 1.5}
    expected = (GRADIENT[:1] + 0.5 * VALUES[:1]).clamp(-2, 2)
    expected *= 1.5 / expected.norm()
    torch.testing.assert_close(shaped(training_of, config, values=VALUES[:1], gradient=GRADIENT[:1]), expected)


def test_a_row_is_what_it_is_alone(training_of):
    values, gradient = torch.randn(2, 3, 999).unbind()
    configs = [{"clip_norm": 0.5}, {"l1": 0.1, "clip_value": 0.2}, {"l2": 0.3}]
    together = shaped(training_of, *configs, values=values, gradient=gradient)
    for row, config in enumerate(configs):
        alone = shaped(training_of, config, values=values[row : row + 1], gradient=gradient[row : row + 1])
        assert torch.equal(together[row], alone[0])
