"""Networks that a user brings (a class with `space` and `build`, or a pretrained module) through the whole training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from archsearch import Choice, Int, Prepared, Pretrained, Recipe, Space, Supervised
from archsearch.search.engine.driver import Driver, Settings
from archsearch.search.engine.spec import SpecFile
from archsearch.search.protocols import TrialContext
from archsearch.search.training.data.prepared import Part
from archsearch.search.training.loop import Diverged
from archsearch.studies.records import Failed, Finished

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch sees none"),
    ),
]


class Noisy:
    """Dropout and batch norm, as everyone writes them."""

    space = Space(width=Int(2, 8))

    def build(self, config, inputs, outputs):
        width = config["width"]
        return nn.Sequential(
            nn.Linear(*inputs.shape, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(width, outputs),
        )


class Convolutional:
    """Several trials share a program, through vmap.

    No bias before batch norm, which takes it away: its gradient is rounding alone, and AdamW makes whole steps of it.
    """

    space = Space(channels=Int(2, 8), flat=Choice(False, True))

    def stack_key(self, config):
        return config["channels"]

    def build(self, config, inputs, outputs):
        height, width = inputs.shape
        return nn.Sequential(
            nn.Unflatten(1, (1, height)),
            nn.Conv2d(1, config["channels"], 3, padding=1, bias=False),
            nn.BatchNorm2d(config["channels"]),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(config["channels"] * (height // 2) * (width // 2), 6, bias=False),
            nn.BatchNorm1d(6),
            nn.Linear(6, outputs),
        )


def images(samples: int) -> Prepared:
    """Grey images, 6 by 6, with a bright row for the first class and a bright column for the second."""
    rng = np.random.default_rng(0)

    def part(n: int) -> Part:
        inputs = rng.normal(size=(n, 6, 6)).astype(np.float32)
        targets = np.arange(n) % 2
        for image, target, place in zip(inputs, targets, rng.integers(6, size=n), strict=True):
            (image if target else image.T)[place] += 2
        return Part(inputs, targets)

    return Prepared("classification", part(samples), part(60), part(30), classes=("row", "column"))


def ready(network: Any, prepared: Prepared) -> Supervised:
    class Given:
        def prepare(self) -> Prepared:
            return prepared

    objective = Supervised(Given(), network, Recipe(batch_size=1))
    objective.attach(objective.prepare())
    return objective


def trial(device: str = "cpu", seed: int = 1, budget: int = 3, **config: Any) -> TrialContext:
    recipe = {"optimizer": "adamw", "learning_rate": 1e-2, "batch_size": 12, "weight_decay": 0.0}
    return TrialContext(number=seed, attempt=1, config=recipe | config, budget=budget, seed=seed, device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_noise_repeats_with_the_seed_whatever_was_drawn_before(blobs, device):
    objective = ready(Noisy(), blobs())
    first = list(objective(trial(device, width=8)))
    generators = [torch.default_generator, *(torch.cuda.default_generators if device == "cuda" else ())]
    torch.rand(17, device=device)
    states = [generator.get_state() for generator in generators]
    assert list(objective(trial(device, width=8))) == first
    assert all(map(torch.equal, states, [generator.get_state() for generator in generators]))
    assert list(objective(trial(device, seed=2, width=8))) != first


def test_two_trials_that_take_turns_do_not_disturb_each_other(blobs):
    objective = ready(Noisy(), blobs())
    expected = [list(objective(trial(seed=seed, width=8))) for seed in (1, 2)]
    turns = list(zip(*(objective(trial(seed=seed, width=8)) for seed in (1, 2)), strict=True))
    assert [list(reports) for reports in zip(*turns, strict=True)] == expected


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("samples", "batch_size"), [(49, 12), (3, 1)])
def test_batch_norm_survives_a_batch_of_one(blobs, device, samples, batch_size):
    objective = ready(Noisy(), blobs(samples))
    for metrics in objective(trial(device, width=4, batch_size=batch_size)):
        assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_stack_through_vmap_gives_each_trial_what_it_gets_alone(device, optimizer):
    objective = ready(Convolutional(), images(61))  # the last batch has one sample
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    trials = [
        trial(device, seed, learning_rate=rate, weight_decay=decay, optimizer=optimizer, channels=4, **momentum)
        for seed, rate, decay in ((1, 1e-2, 0.0), (2, 3e-3, 0.1), (3, 1e-3, 0.0))
    ]
    together = zip(*objective.run_stack(trials), strict=True)
    tolerance = 1e-5 if device == "cpu" else 1e-3
    for reports, each in zip(together, trials, strict=True):
        for one, other in zip(reports, objective(each), strict=True):
            assert one == pytest.approx(other, abs=tolerance)


def test_a_row_that_turns_nan_hurts_no_neighbour_through_vmap():
    objective = ready(Convolutional(), images(61))
    trials = [trial(seed=1, channels=4), trial(seed=2, channels=4, learning_rate=1e38)]
    reports = list(objective.run_stack(trials))
    for (healthy, _), alone in zip(reports, objective(trials[0]), strict=True):
        assert healthy == pytest.approx(alone, abs=1e-5)
    assert isinstance(reports[0][1], Diverged)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Flatten(),
        nn.Linear(16, 2),
    )


class Kept(Pretrained):
    """Remembers the modules that it builds."""

    built: list[nn.Module] = []

    def build(self, *arguments):
        self.built.append(super().build(*arguments))
        return self.built[-1]


@pytest.mark.parametrize("device", DEVICES)
def test_a_pretrained_network_moves_where_it_may_and_as_fast_as_it_may(device):
    """Of SGD's first step, from the same gradients, each block makes its own share."""
    objective = ready(Kept(convolutional, channels=1), images(12))
    Kept.built.clear()
    steps = {}
    for name, rates in {"alike": {}, "scaled": {"rate_share": 0.5, "rate_decay": 0.1}}.items():
        config = {"freeze": 0, "head_units": 0, "optimizer": "sgd", "momentum": 0.0, "learning_rate": 1e-3}
        list(objective(trial(device, budget=1, **config, **rates)))
        steps[name] = [p.detach().cpu() for p in Kept.built[-1].parameters()]
    with torch.no_grad():
        start = [*objective.network._original.module.parameters()]
    for place, expected in enumerate([0.05] * 4 + [0.5] * 4):
        moved = {name: parameters[place] - start[place] for name, parameters in steps.items()}
        torch.testing.assert_close(moved["scaled"], moved["alike"] * expected, rtol=1e-2, atol=1e-6)
    head = slice(8, 10)
    torch.testing.assert_close(steps["scaled"][head], steps["alike"][head])


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_frozen_is_after_training_what_it_was(device):
    family = Kept(convolutional, freeze=1, channels=1)
    objective = ready(family, images(61))
    list(objective(trial(device, freeze=1, head_units=0, weight_decay=0.1)))
    before = convolutional_state(family)
    for name, tensor in family.built[-1].pretrained.state_dict().items():
        if name in before and "num_batches" not in name:
            assert torch.equal(tensor.cpu(), before[name]) == name.startswith("0."), name


def convolutional_state(family: Pretrained) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in family._original.module.state_dict().items()}


SPEC = """
import torch
from torch import nn
from archsearch import Int, Random, Recipe, Space, Study, Supervised, iris


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return x + torch.tanh(self.linear(x))


class Own:
    space = Space(depth=Int(0, 3))

    def build(self, config, inputs, outputs):
        if config["depth"] == 2:
            raise RuntimeError("two layers bring bad luck")
        return nn.Sequential(*(Layer(*inputs.shape) for _ in range(config["depth"])), nn.Linear(*inputs.shape, outputs))


study = Study(
    name="own", objective=Supervised(iris(), Own(), Recipe(batch_size=32)), minimize="val_loss", strategy=Random(),
    trials=8, budget=1,
)
"""


@pytest.fixture
def spec(tmp_path: Path) -> SpecFile:
    path = tmp_path / "own.py"
    path.write_text(SPEC)
    return SpecFile.from_path(path)


def outcomes(spec: SpecFile, store: Path, **settings: Any) -> list[Any]:
    history = Driver(spec.load(), spec, store, Settings(**settings)).run()
    for each in history.trials:
        if each.config["depth"] == 2:
            assert each.outcome == Failed("RuntimeError: two layers bring bad luck (own.py, line 21)")
        else:
            assert each.outcome == Finished()
    assert {each.config["depth"] for each in history.trials} >= {0, 2}
    return [[report.metrics for report in each.reports] for each in history.trials]


def test_a_failure_in_build_is_its_trials_own(spec, tmp_path):
    outcomes(spec, tmp_path / "inline.db", executor="inline")


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_family_in_a_spec_file_reaches_rays_workers(spec, tmp_path):
    ray, inline = (
        outcomes(spec, tmp_path / f"{executor}.db", executor=executor, workers=workers)
        for executor, workers in (("ray", 2), ("inline", 1))
    )
    assert ray == inline
