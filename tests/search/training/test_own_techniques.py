"""Techniques of a user's own: the moments at which they act, and that they are one trial's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from archsearch import MLP, Float, Recipe, Space, SpaceError, SpecError, Supervised, Technique, iris
from archsearch.search.training.loop import Loop
from archsearch.search.training.metrics import metric_names
from archsearch.search.training.tensors import Tensors


class Watched(Technique):
    """Writes down what is called, and where the training is then."""

    told: list = []

    def training_begins(self, training):
        self.told.append(("training_begins",))

    def epoch_begins(self, training):
        self.told.append(("epoch_begins", training.epoch, tuple(training.rates.table.shape)))

    def step_begins(self, training, gradient):
        assert gradient.shape == training.weights.shape
        self.before = training.weights.clone()
        self.told.append(("step_begins", training.epoch, training.step))

    def step_ends(self, training):
        assert not torch.equal(self.before, training.weights)
        self.told.append(("step_ends", training.epoch, training.step))

    def evaluation_begins(self, training):
        self.told.append(("evaluation_begins", training.epoch))

    def evaluation_ends(self, training, metrics):
        self.told.append(("evaluation_ends", training.epoch, sorted(metrics[0])))

    def epoch_ends(self, training, metrics):
        self.told.append(("epoch_ends", training.epoch, len(metrics)))


class GradientNoise(Technique):
    """Stateless: what it draws is from the generators of the training."""

    stackable = True

    @property
    def space(self):
        return Space(gradient_noise=Float(0.0, 0.1))

    def step_begins(self, training, gradient):
        rows = zip(gradient, training.generators, training.configs, strict=True)
        for row, generator, config in rows:
            row += config["gradient_noise"] * torch.randn(row.shape, generator=generator)


class Lookahead(Technique):
    """Zhang et al. (2019), with weights and a count of its own."""

    stackable = True

    def training_begins(self, training):
        self.slow, self.made = training.weights.clone(), 0

    def step_ends(self, training):
        self.made += 1
        if self.made % 5 == 0:
            self.slow.lerp_(training.weights, 0.5)
            training.weights.copy_(self.slow)

    def state(self):
        return {"slow": self.slow, "made": self.made}

    def restore(self, state):
        self.slow.copy_(state["slow"])
        self.made = state["made"]


@pytest.fixture
def loop_of(blobs):
    def make(trials, *techniques):
        data = Tensors.from_prepared("cpu", blobs())
        recipe = Recipe(techniques=techniques)
        return Loop(MLP(layers=2, units=16), data, trials, trials[0].budget, metric_names("classification"), recipe)

    return make


def reports(loop):
    found = []
    while not loop.over:
        found.append(loop.epoch())
    return [[row for row in rows if row is not None] for rows in zip(*found, strict=True)]


def test_the_moments_of_two_epochs_of_two_steps(loop_of, trial):
    Watched.told.clear()
    reports(loop_of([trial(batch_size=64), trial(batch_size=64, seed=1)], Watched()))
    epochs = [
        [
            ("epoch_begins", epoch, (2, 2, 1)),
            *[(moment, epoch, step) for step in (0, 1) for moment in ("step_begins", "step_ends")],
            ("evaluation_begins", epoch),
            ("evaluation_ends", epoch, ["val_accuracy", "val_loss"]),
            ("epoch_ends", epoch, 2),
        ]
        for epoch in (0, 1)
    ]
    assert Watched.told == [("training_begins",), *epochs[0], *epochs[1]]


def test_a_technique_that_does_nothing_changes_nothing(loop_of, trial):
    assert reports(loop_of([trial()], Technique())) == reports(loop_of([trial()]))


def test_what_is_off_is_not_in_the_list(loop_of, trial):
    assert [type(each).__name__ for each in loop_of([trial()])._techniques] == ["Schedules"]
    on = trial(l1=0.1, local_updates="last", max_norm=1.0, averaging="swa", patience=3, noise=0.1)
    named = [type(each).__name__ for each in loop_of([on], Lookahead())._techniques]
    assert named == ["Schedules", "Augmentation", "Gradients", "Blocks", "Ball", "Lookahead", "Averaging", "Stopping"]


def test_evaluation_ends_in_reverse_order(loop_of, trial):
    """So that what ends last is what began first, and the weights are seen as they were evaluated."""
    order = []

    class First(Technique):
        def evaluation_begins(self, training):
            order.append("first begins")

        def evaluation_ends(self, training, metrics):
            order.append("first ends")

    class Second(Technique):
        def evaluation_begins(self, training):
            order.append("second begins")

        def evaluation_ends(self, training, metrics):
            order.append("second ends")

    loop_of([trial(budget=1)], First(), Second()).epoch()
    assert order == ["first begins", "second begins", "second ends", "first ends"]


@pytest.mark.parametrize("technique", [GradientNoise(), Lookahead()])
def test_a_row_is_what_it_is_alone(loop_of, trial, one_thread, technique):
    trials = [trial(seed=seed, budget=3, gradient_noise=0.05 * seed) for seed in (1, 2)]
    together = reports(loop_of(trials, technique))
    for each, mine in zip(trials, together, strict=True):
        assert mine == reports(loop_of([each], technique))[0]
        assert mine != reports(loop_of([each]))[0]


@pytest.mark.parametrize("technique", [GradientNoise(), Lookahead()])
def test_going_on_from_a_saved_state_equals_never_having_stopped(loop_of, trial, one_thread, technique):
    trials = [trial(seed=seed, budget=4, gradient_noise=0.05) for seed in (1, 2)]
    whole, first, second = (loop_of(trials, technique) for _ in range(3))
    results = [whole.epoch() for _ in range(4)]
    kept = [first.epoch() for _ in range(2)]
    state = first.state()
    first.epoch()  # what goes on does not change what was saved
    second.restore(state)
    assert [*kept, *(second.epoch() for _ in range(2))] == results


def test_each_training_has_a_copy_of_its_own(loop_of, trial):
    technique = Lookahead()
    reports(loop_of([trial()], technique))
    assert vars(technique) == {}


def test_a_technique_may_end_a_row_with_a_report_of_its_own(loop_of, trial):
    class Enough(Technique):
        def epoch_ends(self, training, metrics):
            if training.epoch == 1:
                training.end(0, {"val_loss": 0.5})

    ended, going = reports(loop_of([trial(budget=4), trial(budget=4, seed=1)], Enough()))
    assert len(ended) == 2
    assert ended[-1]["val_loss"] == 0.5
    assert len(going) == 4


def test_parameters_of_a_technique_are_the_recipes():
    recipe = Recipe(techniques=[GradientNoise(), Lookahead()])
    config = recipe.space.sample(np.random.default_rng(0))
    assert config["techniques"] == "GradientNoise, Lookahead"
    assert 0 <= config["gradient_noise"] <= 0.1
    with pytest.raises(SpaceError, match="'gradient_noise' is declared by both"):
        _ = Recipe(techniques=[GradientNoise(), GradientNoise()]).space


def test_a_technique_stacks_only_where_it_says_so(blobs, objective_on, trial):
    for technique, stacks in ((Watched(), False), (Lookahead(), True)):
        objective = objective_on(blobs(), recipe=Recipe(techniques=[technique]))
        assert (objective.stack_key(trial().config) is not None) is stacks


def test_its_repr_says_what_it_was_made_with():
    class Shown(Technique):
        def __init__(self):
            self.steps, self._private = 5, object()

    assert repr(Shown()) == "Shown(steps=5)"


@pytest.mark.parametrize(
    ("techniques", "message"),
    [
        ([Lookahead], r"must be instances of Technique, got <class .*Lookahead'>; write Lookahead\(\)"),
        ([print], "must be instances of Technique, got <built-in function print>; derive the class"),
        (Lookahead(), r"Recipe techniques must be a list, got Lookahead\(\)"),
    ],
)
def test_what_is_no_technique_is_refused(techniques, message):
    with pytest.raises(SpecError, match=message):
        Recipe(techniques=techniques)


def test_what_a_technique_raises_is_found_in_the_rehearsal(blobs, objective_on):
    class Broken(Technique):
        def step_ends(self, training):
            training.weights.add_(torch.ones(3))

    prepared = blobs()
    objective = objective_on(prepared, recipe=Recipe(techniques=[Broken()], batch_size=16))
    with pytest.raises(RuntimeError, match="must match the size"):
        objective.rehearse(objective.space.sample(np.random.default_rng(0)), prepared)


def test_a_study_with_one_pickles():
    import cloudpickle

    objective = Supervised(iris(), MLP(layers=1, units=4), Recipe(techniques=[Lookahead()]))
    assert cloudpickle.loads(cloudpickle.dumps(objective)).space == objective.space


def test_weights_may_be_changed_in_place_when_training_begins(loop_of, trial):
    class Halved(Technique):
        def training_begins(self, training):
            for parameter in training.model.parameters():
                parameter.mul_(0.5)

    whole, half = loop_of([trial()]), loop_of([trial()], Halved())
    weights = {name: values for name, values in whole.state()["model"].items() if name.endswith("weight")}
    assert weights
    for name, values in weights.items():
        torch.testing.assert_close(half.state()["model"][name], values / 2)
