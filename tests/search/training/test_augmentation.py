"""Augmentation: what each technique does to an image, and that rows keep to themselves."""

from __future__ import annotations

import math

import pytest
import torch

from archsearch.search.training.augmentation import Augmentation, mix, switched_on

OFF = {"rotation": 0.0, "shift": 0, "flip": False, "cutout": 0, "noise": 0.0, "mixup": 0.0}


def begun(training_of, configs, shape, samples, seeds, **arguments):
    """An augmentation in its first epoch."""
    training = training_of(configs, torch.zeros(len(configs), 16), shape=shape, samples=samples)
    augmentation = Augmentation(seeds, **arguments)
    augmentation.training_begins(training)
    augmentation.epoch_begins(training)
    return augmentation


def shown(training_of, *changes, shape=(8, 8), samples=40, images=None, seeds=None):
    """One epoch in one batch: (K, samples, *shape)."""
    configs = [OFF | change for change in changes]
    augmentation = begun(training_of, configs, shape, samples, seeds or range(len(configs)))
    if images is None:
        images = torch.arange(1.0, 1 + math.prod(shape)).view(shape).expand(len(configs), samples, *shape)
    return augmentation.shown(images, 0), images


def test_what_is_off_leaves_the_batch_as_it_is(training_of):
    after, before = shown(training_of, {})
    assert after is before
    assert switched_on(OFF) == switched_on({}) == ()
    assert switched_on(OFF | {"shift": 2, "mixup": 0.2}) == ("shift", "mixup")


@pytest.mark.parametrize("shape", [(8, 8), (3, 6, 9)])
def test_flip_mirrors_about_half_of_the_images_and_no_other_way(training_of, shape):
    after, before = shown(training_of, {"flip": True}, shape=shape, samples=200)
    same = torch.isclose(after, before, atol=1e-3).flatten(2).all(-1)
    mirrored = torch.isclose(after, before.flip(-1), atol=1e-3).flatten(2).all(-1)
    assert (same ^ mirrored).all()
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("shape", [(9, 9), (7, 13)])
def test_shift_moves_by_at_most_so_many_pixels_along_each_axis(training_of, shape):
    images = torch.zeros(1, 500, *shape)
    middle = [side // 2 for side in shape]
    images[..., middle[0], middle[1]] = 1.0
    after, _ = shown(training_of, {"shift": 2}, shape=shape, samples=500, images=images)
    torch.testing.assert_close(after.sum((-1, -2)), torch.ones(1, 500), atol=1e-4, rtol=0)
    for axis, other in ((-2, -1), (-1, -2)):
        place = torch.arange(float(shape[axis]))
        moved = (after.sum(other) * place).sum(-1) - middle[axis]
        assert moved.min().item() == pytest.approx(-2, abs=0.1)
        assert moved.max().item() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("shape", [(21, 21), (15, 31)])
@pytest.mark.parametrize("begin", [0, 90])
def test_rotation_turns_by_at_most_the_angle_and_keeps_lengths(training_of, shape, begin):
    """Of a point to the right of the middle (0 degrees), or below it."""
    images = torch.zeros(1, 400, *shape)
    middle, reach = [side // 2 for side in shape], 5
    images[..., middle[0] + reach * (begin == 90), middle[1] + reach * (begin == 0)] = 1.0
    after, _ = shown(training_of, {"rotation": 15.0}, shape=shape, samples=400, images=images)
    down = (after.sum(-1) * torch.arange(float(shape[0]))).sum(-1) / after.sum((-1, -2)) - middle[0]
    across = (after.sum(-2) * torch.arange(float(shape[1]))).sum(-1) / after.sum((-1, -2)) - middle[1]
    angle = torch.rad2deg(torch.atan2(down, across)) - begin
    assert angle.abs().max().item() == pytest.approx(15, abs=1.5)
    assert angle.min().item() < -13 < 13 < angle.max().item()
    assert torch.hypot(down, across).sub(reach).abs().max().item() < 0.4


def test_cutout_sets_one_square_to_zero(training_of):
    after, before = shown(training_of, {"cutout": 3}, samples=300)
    cut = after != before
    assert torch.equal(after[cut], torch.zeros(int(cut.sum())))
    per_image = cut.flatten(2).sum(-1)
    assert per_image.max().item() == 9
    assert per_image.min().item() >= 2 * 2  # a square may reach over the border, its middle does not
    whole = cut[per_image == 9]
    assert set(whole.any(-1).sum(-1).tolist()) == set(whole.any(-2).sum(-1).tolist()) == {3}


def test_noise_has_the_deviation_that_is_asked_for(training_of):
    after, before = shown(training_of, {"noise": 0.1}, {"noise": 0.3}, shape=(5,), samples=4000)
    assert (after - before).std((1, 2)).tolist() == pytest.approx([0.1, 0.3], rel=0.05)
    assert (after - before).mean((1, 2)).tolist() == pytest.approx([0, 0], abs=0.01)


def test_mixup_blends_with_the_neighbour_by_a_share_from_beta(training_of):
    share = begun(training_of, [OFF | {"mixup": 0.4}], (5,), 20_000, [0]).share(0, 20_000)
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.03)
    values = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])
    blended = mix(values, torch.tensor([[1.0, 0.25, 0.5]]))
    assert blended.tolist() == [[[1.0, 10.0], [1.25, 12.5], [2.5, 25.0]]]


ALL = {"rotation": 15.0, "shift": 2, "flip": True, "cutout": 3, "noise": 0.1, "mixup": 0.2}


def test_a_rows_noise_is_its_own_and_each_epochs_is_new(training_of):
    images = torch.randn(1, 30, 8, 8)
    strong, weak = ALL, ALL | {"shift": 1, "noise": 0.01}
    together, _ = shown(training_of, strong, weak, images=images.expand(2, -1, -1, -1), samples=30, seeds=[3, 4])
    for row, config in enumerate((strong, weak)):
        alone, _ = shown(training_of, config, images=images, samples=30, seeds=[3 + row])
        assert torch.equal(together[row : row + 1], alone)
    training = training_of([ALL], torch.zeros(1, 16), shape=(8, 8), samples=30)
    augmentation = begun(training_of, [ALL], (8, 8), 30, [3])
    first = augmentation.shown(images, 0)
    augmentation.epoch_begins(training)
    second = augmentation.shown(images, 0)
    assert not torch.equal(first, second)


def test_batches_take_their_own_part_of_the_epochs_noise(training_of):
    images = torch.randn(1, 30, 8, 8)
    moves = {name: ALL[name] for name in ("rotation", "shift", "flip", "cutout")}
    augmentation = begun(training_of, [OFF | moves], (8, 8), 30, [3])
    whole = augmentation.shown(images, 0)
    pieces = [augmentation.shown(images[:, start : start + 7], start) for start in range(0, 30, 7)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


def test_a_restored_state_goes_on_with_the_same_noise(training_of):
    images = torch.randn(1, 30, 8, 8)
    training = training_of([ALL], torch.zeros(1, 16), shape=(8, 8), samples=30)
    going, resumed = (begun(training_of, [ALL], (8, 8), 30, [3]) for _ in range(2))
    going.shown(images, 0)
    resumed.restore(going.state())
    for each in (going, resumed):
        each.epoch_begins(training)
    assert torch.equal(*(each.shown(images, 0) for each in (going, resumed)))
