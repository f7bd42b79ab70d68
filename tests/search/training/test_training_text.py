"""Texts from a file to a trained network: both families learn, alone and in a stack, on the CPU and on a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from archsearch import Float, Supervised, TextCNN, TextTransformer, text
from archsearch.search.protocols import TrialContext
from archsearch.spaces.networks.rehearsal import rehearse

FAMILIES = {
    "cnn": TextCNN(embedding=16, filters=16, kernels=(2, 3), layers=2, hidden=16, dropout=Float(0, 0.5)),
    "transformer": TextTransformer(layers=2, heads=2, head_width=8, pooling="class_token", dropout=Float(0, 0.5)),
}
both = pytest.mark.parametrize("family", FAMILIES)
on_each_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch sees none"),
        ),
    ],
)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 lines of words; those that begin with "not bad", in this order, are good."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(200):
        words = [f"w{number}" for number in rng.integers(20, size=rng.integers(2, 12))]
        words[:0] = ["not", "bad"] if row % 2 else ["bad", "not"]
        lines.append(f"{('worse', 'good')[row % 2]}\t{' '.join(words)}\n")
    path = tmp_path_factory.mktemp("texts") / "reviews.tsv"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def objective(reviews):
    def objective(family: str) -> Supervised:
        data = text(reviews, names=("label", "text"), header=False, delimiter="\t", target="label", text="text")
        made = Supervised(data, FAMILIES[family])
        made.attach(made.prepare())
        return made

    return objective


def trial(objective: Supervised, seed: int = 0, budget: int = 1, device: str = "cpu", **changes: float) -> TrialContext:
    config = objective.space.sample(np.random.default_rng(0)) | {"dropout": 0.0, "batch_size": 32} | changes
    return TrialContext(number=seed, attempt=1, config=config, budget=budget, seed=seed, device=device)


@both
@on_each_device
def test_an_epoch_on_texts(objective, family, device):
    made = objective(family)
    first, second = (list(made(trial(made, device=device))) for _ in range(2))
    assert np.isfinite([*first[0].values()]).all()
    assert first == second or device == "cuda"


@both
@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_words_is_learned(objective, family, seed):
    made = objective(family)
    *_, last = made(trial(made, seed, budget=16, learning_rate=5e-3))
    assert last["val_accuracy"] > 0.9


@both
@on_each_device
def test_a_stack_gives_each_trial_what_it_gets_alone(objective, family, device):
    made = objective(family)
    settings = [(1, 0.0, 1e-3), (2, 0.3, 3e-3), (3, 0.5, 1e-2)]
    trials = [trial(made, seed, device=device, dropout=rate, learning_rate=lr) for seed, rate, lr in settings]
    assert len({made.stack_key(each.config) for each in trials}) == 1
    (together,) = made.run_stack(trials)
    for reports, each in zip(together, trials, strict=True):
        (alone,) = made(each)
        assert reports == pytest.approx(alone, rel=1e-5 if device == "cpu" else 1e-3)


@both
def test_a_rehearsal_takes_real_texts(objective, family):
    made = objective(family)
    shared = made.prepare()
    samples = torch.tensor(shared.train.inputs[:2])
    rehearse(made.network, trial(made).config, shared.inputs, shared.outputs, samples)
