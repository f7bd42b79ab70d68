"""Cross-validation: the mean of the folds, each trained as it would be alone; and studies whose budget counts folds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from archsearch import (
    MLP,
    Choice,
    Data,
    DataError,
    Float,
    Median,
    Random,
    Recipe,
    SpecError,
    Split,
    Streaming,
    Study,
    Supervised,
    arrays,
    csv,
    diabetes,
    iris,
)
from archsearch.search.engine.preflight import preflight, rehearse
from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job
from archsearch.search.training.folds import cross_validate, fold_seed
from archsearch.search.training.loop import Diverged
from archsearch.studies.records import Ended, Report, Reported

K = 3
FOLDED = Split(folds=K, test=0.2)
NETWORK = MLP(layers=2, units=16)

pytestmark = pytest.mark.usefixtures("one_thread")


def cross_validated(data: Data, **arguments: Any) -> Supervised:
    objective = Supervised(data, NETWORK, **{"epochs": 2, **arguments})
    objective.attach(objective.prepare())
    return objective


def by_hand(data: Data, running: Any, epochs: int = 2, **arguments: Any) -> list[dict[str, float]]:
    """The last report of each fold, from an objective that knows of that fold alone."""
    lasts = []
    for number, fold in enumerate(data.prepare().folds):
        objective = Supervised(data, NETWORK, **arguments)
        objective.attach(replace(fold, others=()))
        *_, last = objective(replace(running, budget=epochs, seed=fold_seed(running.seed, number)))
        lasts.append(last)
    return lasts


@pytest.mark.parametrize("data", [iris(split=FOLDED), diabetes(split=FOLDED)], ids=["classes", "numbers"])
@pytest.mark.parametrize("change", [{}, {"patience": 1, "learning_rate": 0.1}], ids=["plain", "patience"])
def test_a_report_is_the_mean_of_the_folds_so_far_each_trained_by_hand(data, change, trial):
    running = trial(budget=K, **change)
    reports = list(cross_validated(data, epochs=4)(running))
    lasts = by_hand(data, running, epochs=4)
    assert len({tuple(last.values()) for last in lasts}) == K
    assert reports == [
        {name: fmean(last[name] for last in lasts[: fold + 1]) for name in lasts[0]} for fold in range(K)
    ]


def test_fewer_folds_are_the_first_ones(trial):
    objective = cross_validated(iris(split=FOLDED))
    assert list(objective(trial(budget=2))) == list(objective(trial(budget=K)))[:2]


def test_a_fold_s_seed_follows_from_the_trial_s_and_its_number():
    seeds = [fold_seed(seed, fold) for seed in range(5) for fold in range(5)]
    assert len({*seeds, *range(5)}) == 30
    assert seeds[0] == fold_seed(0, 0)


def test_the_same_trial_gives_the_same_numbers_in_a_fresh_process(trial):
    code = f"""
from archsearch.search.protocols import TrialContext
from archsearch import MLP, Split, Supervised, iris
import torch
torch.set_num_threads(1)
objective = Supervised(iris(split=Split(folds={K}, test=0.2)), MLP(layers=2, units=16), epochs=2)
objective.attach(objective.prepare())
print(list(objective(TrialContext(0, 1, {trial().config!r}, {K}, 0))))
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert told == repr(list(cross_validated(iris(split=FOLDED))(trial(budget=K))))


def test_a_stack_gives_each_trial_what_it_gets_alone(trial):
    objective = cross_validated(iris(split=FOLDED))
    rows = [trial(seed=1, budget=K), trial(seed=2, budget=K, learning_rate=0.1, patience=1)]
    assert list(zip(*objective.run_stack(rows), strict=True)) == [tuple(objective(row)) for row in rows]


def test_a_trial_that_diverges_ends_with_its_fold_and_hurts_no_neighbour(trial):
    objective = cross_validated(iris(split=FOLDED))
    good, bad = trial(seed=1, budget=K), trial(seed=2, budget=K, optimizer="sgd", learning_rate=1e30)
    good = replace(good, config={**good.config, "optimizer": "sgd", "momentum": 0.9})
    with pytest.raises(Diverged, match=r"^in fold 1, train_loss .* after epoch 1; lower the learning rate"):
        list(objective(bad))
    results = list(objective.run_stack([good, bad]))
    assert [row[0] for row in results] == list(objective(good))
    assert [type(row[1]) for row in results] == [Diverged, type(None), type(None)]
    assert [len(list(objective.run_stack([bad, bad])))] == [1]


def test_what_becomes_of_rows_that_end_at_different_folds_and_epochs(trial):
    """Row 1 ends early in each fold, row 2 diverges in the second one and is not trained on the third."""
    trained = []

    def train(trials, fold):
        trained.append([running.number for running in trials])
        yield [{"loss": 10.0 * running.number + fold} for running in trials]
        yield [
            None if running.number == 1 else Diverged("it went") if (running.number, fold) == (2, 1) else {"loss": 4.0}
            for running in trials
        ]

    first, second, third = cross_validate(train, [trial(seed=seed) for seed in range(3)], 3)
    assert first == [{"loss": 4.0}, {"loss": 10.0}, {"loss": 4.0}]
    assert second[:2] == [{"loss": 4.0}, {"loss": 10.5}]
    assert str(second[2]) == "in fold 2, it went"
    assert third == [{"loss": 4.0}, {"loss": 11.0}, None]
    assert trained == [[0, 1, 2], [0, 1, 2], [0, 1]]


def test_the_network_of_each_fold_fits_its_own_columns(tmp_path, trial):
    path = tmp_path / "rare.csv"
    rows = [f"{row},{'rare' if row == 7 else 'ab'[row % 2]},{row % 7 / 2}" for row in range(60)]
    path.write_text("\n".join(["x,word,y", *rows]))
    data = csv(path, target="y", split=Split(folds=K, test=0))
    widths = [fold.inputs.shape[0] for fold in data.prepare().folds]
    assert set(widths) == {3, 4}
    objective = cross_validated(data, recipe=Recipe(batch_size=16), metrics=("parameters",))
    *_, last = objective(trial(budget=K))
    assert last["parameters"] == pytest.approx(fmean((width + 1) * 16 + 17 * 16 + 17 for width in widths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": None}, r"the data has 3 folds, but epochs is not set; .* Supervised\(..., epochs=20\)"),
        ({"data": iris()}, r"epochs=2 applies to the folds .* remove it, and write Study\(..., budget=2\)"),
        ({"recipe": Recipe(batch_size=Choice(32, 81))}, "batch_size may be 81, but there are only 80 training samples"),
        (
            {"recipe": Recipe(reduction="pca", reduction_dimension=5)},
            "reduction_dimension may be 5, but the data allows",
        ),
    ],
)
def test_what_cannot_be_is_found_before_any_trial(arguments, message):
    with pytest.raises((SpecError, DataError), match=message):
        Supervised(**{"data": iris(split=FOLDED), "network": NETWORK, "epochs": 2, **arguments}).prepare()


@pytest.mark.parametrize("epochs", [0, True, 2.5, "2"])
def test_epochs_that_are_none(epochs):
    with pytest.raises(SpecError, match="Supervised epochs must be a whole number of at least 1, got"):
        Supervised(iris(split=FOLDED), NETWORK, epochs=epochs)


def study(**settings: Any) -> Study:
    objective = Supervised(iris(split=FOLDED), NETWORK, Recipe(learning_rate=Float(1e-6, 1e-1, log=True)), epochs=2)
    return Study(
        **{
            "name": "folds",
            "objective": objective,
            "maximize": "val_accuracy",
            "strategy": Random(),
            "trials": 12,
            "budget": K,
            "executor": "inline",
            **settings,
        }
    )


def test_a_budget_of_more_folds_than_there_are_is_refused_before_the_first_trial(tmp_path):
    told = r"one unit of budget is one of 3 folds, got budget=30; write Study\(..., budget=3\) .* epochs=2\)\)"
    with pytest.raises(SpecError, match=told):
        study(budget=30).run(tmp_path / "folds.db", quiet=True)
    assert not (tmp_path / "folds.db").exists()
    with pytest.raises(SpecError, match=told):
        preflight(study(budget=30), 5)


def test_a_study_prunes_after_a_fold_and_repeats_itself(tmp_path):
    first, again = (
        study(pruner=Median(startup_trials=3, warmup_steps=0)).run(tmp_path / f"{name}.db", quiet=True) for name in "ab"
    )
    pruned, finished = first.in_state("pruned"), first.in_state("finished")
    assert len(pruned) > 1
    assert len(finished) > 3
    assert {len(trial.reports) for trial in pruned} <= {1, 2}
    assert {len(trial.reports) for trial in finished} == {K}
    for left, right in zip(first.trials, again.trials, strict=True):
        assert [report.metrics for report in left.reports] == [report.metrics for report in right.reports]


def test_what_is_known_before_a_trial():
    """iris has 150 rows, 120 outside the test part: 80 train and 40 validate in each of three folds."""
    shares = "classification: setosa (33.3%), versicolor (33.3%), virginica (33.3%)"
    found = preflight(study(), 10)
    assert (found.failed, found.configs) == (0, 12)
    told = f"{shares}; 4 numbers → 4 inputs; 150 rows, 4 columns; 0 missing cells filled, 0 constant columns dropped"
    assert found.data == f"{told}; 3 folds"
    assert found.costs["parameters"].most == 5 * 16 + 17 * 16 + 17 * 3
    declared = study()
    prepared = declared.objective.prepare()
    assert rehearse(declared, prepared) is None
    costs = declared.objective.costs(declared.space.sample(np.random.default_rng(0)), prepared)
    assert costs.data_bytes == K * 120 * (4 * 4 + 8)


def test_a_trial_goes_on_after_its_last_fold(tmp_path: Path) -> None:
    objective = cross_validated(iris(split=FOLDED))
    job = Job(0, 1, objective.space.sample(np.random.default_rng(0)), K, seed=5)

    def reports(worker: Worker, start: Job) -> list[Report]:
        events = worker.advance(start, stop=False)
        while not isinstance(events[-1], Ended):
            events += worker.advance(None, stop=False)
        return [event.report for event in events if isinstance(event, Reported)]

    checkpoints = Checkpoints(tmp_path, every_s=0.0)
    whole = reports(Worker(objective, "cpu", checkpoints=checkpoints), job)
    assert [bool(report.checkpoint) for report in whole] == [True, True, False]
    again = replace(job, attempt=2, from_step=1, checkpoint=whole[0].checkpoint)
    rest = reports(Worker(objective, "cpu", checkpoints=checkpoints), again)
    assert [report.step for report in rest] == [2, 3]
    assert [report.metrics for report in rest] == [report.metrics for report in whole[1:]]


def test_folds_stream_to_the_same_numbers(trial: Any) -> None:
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(240, 4, 4)), np.arange(240) % 3
    whole, streamed = (
        cross_validated(arrays(images, classes, split=FOLDED, streaming=Streaming(above_bytes=limit)))
        for limit in (None, 0)
    )
    assert len(streamed.prepare().streamed) == 2 * K
    assert list(whole(trial(budget=K))) == list(streamed(trial(budget=K)))
