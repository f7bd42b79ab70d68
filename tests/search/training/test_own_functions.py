"""Functions of a user's own in a recipe, and as metrics: what they compute, what is refused, and how they travel."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_percentage_error
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from archsearch import (
    MLP,
    Choice,
    Float,
    OptimizerRule,
    Random,
    Recipe,
    Space,
    SpaceError,
    SpecError,
    Study,
    Supervised,
    Technique,
    breast_cancer,
    iris,
)
from archsearch.search.engine.preflight import preflight
from archsearch.search.training.loop import Diverged


def each_loss(predictions, targets):
    return cross_entropy(predictions, targets, reduction="none")


def mean_loss(predictions, targets):
    return cross_entropy(predictions, targets)


def jitter(inputs, generator):
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)


def half_cosine(epoch, epochs):
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


class SignSGD(OptimizerRule):
    """The sign of a momentum, as a rule over a stack."""

    def __init__(self, weights, weight_decay):
        self.weights, self.momentum = weights, torch.zeros_like(weights)

    @property
    def memory(self):
        return [self.momentum]

    def epoch_begins(self, rates):
        self.rates = rates.times(-1.0, self.weights)

    def step(self, step, gradient):
        self.momentum.lerp_(gradient, 0.1)
        self.weights.addcmul_(self.momentum.sign(), self.rates.at(step))


@pytest.fixture
def reports_of(blobs, objective_on, trial):
    """What trials report that share a stack, each as a list, by a recipe and changes of the config."""

    def make(recipe, *changes, task="classification", **arguments):
        objective = objective_on(blobs(task=task), recipe=recipe, **arguments)
        trials = [trial(**{**own_names(recipe), **change}) for change in changes or ({},)]
        return [list(rows) for rows in zip(*objective.run_stack(trials), strict=True)]

    return make


def own_names(recipe):
    """What the space of the recipe says of functions."""
    config = recipe.space.sample(np.random.default_rng(0))
    return {name: config[name] for name in ("optimizer", "schedule", "loss", "augmentation") if name in config}


@pytest.mark.parametrize("loss", [each_loss, mean_loss, nn.CrossEntropyLoss()])
def test_the_built_in_loss_as_ones_own_trains_alike(reports_of, loss):
    ((*plain,),), ((*own,),) = reports_of(Recipe()), reports_of(Recipe(loss=loss))
    for one, other in zip(plain, own, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_loss_of_numbers_is_of_one_axis(reports_of):
    (plain,), (own,) = (reports_of(recipe, task="regression") for recipe in (Recipe(), Recipe(loss=mse_loss)))
    for one, other in zip(plain, own, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_validation_is_by_the_built_in_loss_whatever_trained(reports_of):
    still = {"learning_rate": 1e-30}
    ((plain, _),) = reports_of(Recipe(), still)
    ((own, _),) = reports_of(Recipe(loss=lambda p, t: 7 * each_loss(p, t)), still)
    assert own["val_loss"] == plain["val_loss"]
    assert own["train_loss"] == pytest.approx(7 * plain["train_loss"])


def test_mixup_and_class_weights_take_the_loss_of_each_sample(reports_of):
    said = {"mixup": 0.4, "class_weights": "balanced"}
    (plain,), (own,) = reports_of(Recipe(), said), reports_of(Recipe(loss=each_loss), said)
    assert plain[-1] == pytest.approx(own[-1], rel=1e-4)
    with pytest.raises(
        SpecError, match="mean_loss returns one number for the batch, but class_weights needs the loss of"
    ):
        reports_of(Recipe(loss=mean_loss), said)


def test_a_schedule_of_ones_own_begins_after_the_warm_up(reports_of):
    said = {"learning_rate": 0.02, "warmup_epochs": 1, "budget": 4}
    (cosine,) = reports_of(Recipe(), {**said, "schedule": "cosine"}, metrics=["learning_rate"])
    (own,) = reports_of(Recipe(schedule=half_cosine), said, metrics=["learning_rate"])
    for one, other in zip(cosine, own, strict=True):
        assert one == pytest.approx(other, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        ("adamw", torch.optim.AdamW),
        ("adamw", lambda params, lr, weight_decay: torch.optim.AdamW(params, lr, weight_decay=weight_decay)),
        ("rmsprop", torch.optim.RMSprop),
        ("adagrad", torch.optim.Adagrad),
    ],
)
def test_an_optimizer_of_torch_trains_as_the_built_in_one(reports_of, name, optimizer):
    said = {"weight_decay": 0.1, "budget": 3, "schedule": "cosine", "accumulate": 2}
    (plain,) = reports_of(Recipe(), {**said, "optimizer": name})
    (own,) = reports_of(Recipe(optimizer=optimizer), said)
    for one, other in zip(plain, own, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


class Own:
    """A family of plain modules, a part of which learns more slowly and another does not learn."""

    space = Space()

    def build(self, config, inputs, outputs):
        module = nn.Sequential(nn.Linear(*inputs.shape, 8), nn.Tanh(), nn.Linear(8, outputs))
        module[0].bias.requires_grad_(False)
        module.rate_scales = {"0.weight": 0.1}
        return module


def test_an_optimizer_of_torch_trains_a_module_of_ones_own(blobs, objective_on, trial):
    found = []
    for optimizer in ("adamw", torch.optim.AdamW):
        objective = Supervised(objective_on(blobs()).data, Own(), Recipe(optimizer=optimizer, batch_size=16))
        objective.attach(objective.prepare())
        config = objective.space.sample(np.random.default_rng(0))
        found.append(list(objective(replace(trial(budget=3), config=config))))
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_an_optimizer_sees_the_shapes_of_one_network(reports_of):
    shapes = []

    def watched(params, lr):
        shapes.append([tuple(parameter.shape) for parameter in params])
        return torch.optim.SGD(params, lr)

    reports_of(Recipe(optimizer=watched))
    assert shapes == [[(5, 16), (1, 16), (16, 16), (1, 16), (16, 16), (1, 16)]]  # without the axis of the stack


def test_an_optimizer_of_torch_trains_each_trial_alone(blobs, objective_on, trial):
    objective = objective_on(blobs(), recipe=Recipe(optimizer=torch.optim.NAdam))
    config = trial(optimizer="NAdam").config
    assert objective.stack_key(config) is None
    with pytest.raises(ValueError, match="trains one network, got a stack of 2"):
        list(objective.run_stack([trial(optimizer="NAdam"), trial(optimizer="NAdam", seed=1)]))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(loss=each_loss),
        Recipe(augmentation=jitter),
        Recipe(schedule=half_cosine),
        Recipe(optimizer=SignSGD),
    ],
    ids=["loss", "augmentation", "schedule", "optimizer"],
)
def test_a_row_is_what_it_is_alone(blobs, objective_on, trial, one_thread, recipe):
    objective = objective_on(blobs(), recipe=recipe)
    trials = [trial(seed=seed, budget=3, learning_rate=0.01 / seed, **own_names(recipe)) for seed in (1, 2)]
    assert objective.stack_key(trials[0].config) == objective.stack_key(trials[1].config) is not None
    together = zip(*objective.run_stack(trials), strict=True)
    for each, mine in zip(trials, together, strict=True):
        assert list(mine) == list(objective(each))


class Kept:
    """Keeps the state of one epoch."""

    def __init__(self, epoch):
        self.epochs, self.state = epoch, None

    @property
    def due(self):
        self.epochs -= 1
        return self.epochs == 0

    def save(self, state):
        self.state = pickle.loads(pickle.dumps(state))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(loss=each_loss, augmentation=jitter, optimizer=torch.optim.Adam, schedule=half_cosine),
        Recipe(optimizer=lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9)),
        Recipe(optimizer=SignSGD),
    ],
    ids=["all", "momentum", "rule"],
)
def test_a_trial_goes_on_from_its_checkpoint(blobs, objective_on, trial, one_thread, recipe):
    objective = objective_on(blobs(), recipe=recipe)
    running = trial(budget=5, **own_names(recipe))
    whole = list(objective(running))
    kept = Kept(2)
    assert list(objective(replace(running, checkpoint_writer=kept))) == whole
    for _ in range(2):  # a state may be taken up twice
        assert list(objective(replace(running, restored=kept.state))) == whole[2:]


def test_names_stand_for_functions_in_configs_and_choices():
    recipe = Recipe(loss=Choice("auto", "each"), functions={"each": each_loss}, optimizer=torch.optim.NAdam)
    configs = [recipe.space.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert {config["loss"] for config in configs} == {"auto", "each"}
    assert {config["optimizer"] for config in configs} == {"NAdam"}
    assert recipe.space == replace(recipe, learning_rate=1e-3).space
    assert "0x" not in repr(recipe)
    assert recipe.function("loss", {"loss": "each"}) is each_loss
    assert recipe.function("loss", {"loss": "auto"}) is None


def one(predictions):
    return predictions.sum()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"loss": one},
            r"Recipe loss is called as loss\(predictions, targets\), got one\(predictions\); change it to take",
        ),
        ({"loss": 3}, "Recipe loss must be a name, a Choice of names or a function, got 3; known names: auto"),
        ({"loss": nn.HuberLoss}, r"Recipe loss must be a function, got the class HuberLoss; .* HuberLoss\(\)"),
        ({"loss": "focal"}, "unknown loss 'focal'; known: auto"),
        ({"optimizer": each_loss}, r"Recipe optimizer is called as optimizer\(params, lr=..., weight_decay=...\), got"),
        (
            {"optimizer": lambda params, lr: None, "weight_decay": 0.1},
            "weight_decay=0.1 has no effect, because the optimizer",
        ),
        ({"schedule": lambda epoch: 1.0}, r"Recipe schedule is called as schedule\(epoch, epochs\), got"),
        (
            {"augmentation": lambda inputs: inputs},
            r"Recipe augmentation is called as augmentation\(inputs, generator\)",
        ),
        ({"functions": {"focal": each_loss}}, "functions contains 'focal', but no argument names it"),
        (
            {"functions": {"adam": each_loss}},
            "'adam' is the name of a built-in technique; rename your function",
        ),
        ({"functions": [each_loss]}, "Recipe functions must be a mapping"),
        ({"loss": lambda p, t: p, "schedule": lambda e, n: 1.0}, "two functions named <lambda>"),
        ({"loss": each_loss, "label_smoothing": 0.1}, "label_smoothing needs the loss 'auto', got loss 'each_loss'"),
        ({"loss": Choice("auto", "other"), "functions": {"each": each_loss}}, "functions contains 'each'"),
    ],
)
def test_an_invalid_function_fails_at_the_declaration(arguments, message):
    with pytest.raises((SpecError, SpaceError), match=message):
        Recipe(**arguments)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"loss": lambda p, t: p}, r"must return the loss of each sample, a tensor of shape \(2,\), or their mean"),
        ({"loss": lambda p, t: 0.5}, r"must return the loss of each sample, .* got 0.5"),
        ({"loss": lambda p, t: each_loss(p, t).detach()}, "returns a tensor without a gradient; compute it from"),
        (
            {"loss": lambda p, t: each_loss(p, t) * math.nan},
            "is nan for standard normal predictions; keep the arguments of logarithms",
        ),
        (
            {"augmentation": lambda x, g: x[:, :2]},
            r"must return a tensor of the dtype and shape .* got torch.float32 \(2, 2\)",
        ),
        (
            {"augmentation": lambda x, g: x.double()},
            r"must return a tensor of the dtype and shape .* got torch.float64",
        ),
        ({"augmentation": lambda x, g: None}, "must return a tensor of the dtype and shape .* got None"),
        ({"schedule": lambda e, n: -1.0}, "must return a finite factor of at least 0 .* got -1.0 at epoch 0 of 1"),
        ({"schedule": lambda e, n: "high"}, "must return a finite factor of at least 0 .* got 'high'"),
        ({"optimizer": lambda params, lr: "adam"}, "must return a torch.optim.Optimizer, got 'adam'"),
    ],
)
def test_what_a_function_may_not_return_is_found_in_the_rehearsal(blobs, objective_on, recipe, message):
    prepared = blobs()
    objective = objective_on(prepared, recipe=Recipe(batch_size=16, **recipe))
    config = objective.space.sample(np.random.default_rng(0))
    with pytest.raises(SpecError, match=message):
        objective.rehearse(config, prepared)


def test_a_rehearsal_says_what_a_study_would_before_it_has_a_store(tmp_path):
    def broken(predictions, targets):
        return predictions

    objective = Supervised(iris(), MLP(layers=1, units=4), Recipe(loss=broken))
    study = Study(name="bad", objective=objective, minimize="val_loss", strategy=Random(), trials=2, budget=1)
    with pytest.raises(SpecError, match=r"^Recipe loss broken must return the loss of each sample"):
        study.run(tmp_path / "bad.db", quiet=True)
    assert not list(tmp_path.glob("*.db*"))


def undefined(predictions, targets):
    return missing_name * predictions.mean()  # noqa: F821 - the mistake


def summed(predictions, targets):
    return cross_entropy(predictions, targets, reduction="sum")


def scaled(predictions, targets):
    return cross_entropy(predictions, targets, reduction="none") * len(targets)


def of_the_outputs(predictions, targets):
    return predictions.mean(0)


def explode(inputs, generator):
    raise RuntimeError("no\nsuch image")


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            {"loss": Choice("auto", "undefined"), "functions": {"undefined": undefined}},
            r"Recipe loss undefined fails on 2 samples: NameError: name 'missing_name' is not defined "
            r"\(test_own_functions.py, line \d+\); fix the function",
        ),
        ({"loss": summed}, r"Recipe loss summed returns the sum over the samples, .* \.mean\(\) in place of \.sum\(\)"),
        ({"loss": scaled}, "Recipe loss scaled returns the sum over the samples"),
        ({"loss": Choice("auto", "half"), "functions": {"half": lambda p, t: 0.5}}, "Recipe loss <lambda> must return"),
        ({"loss": partial(undefined)}, "Recipe loss undefined fails on 2 samples: NameError"),
        (
            {"augmentation": Choice("none", "explode"), "functions": {"explode": explode}},
            r"Recipe augmentation explode fails on 2 samples: RuntimeError: no such image \(test_own_functions.py",
        ),
        (
            {"schedule": Choice("constant", "odd"), "functions": {"odd": lambda epoch, epochs: epoch / 0}},
            r"Recipe schedule odd fails on 2 samples: ZeroDivisionError: .* \(test_own_functions.py, line \d+\)",
        ),
        (
            {"optimizer": Choice("adam", "odd"), "functions": {"odd": lambda params, lr: torch.optim.SGD([], lr)}},
            "Recipe optimizer odd fails on 2 samples: ValueError: optimizer got an empty parameter list",
        ),
    ],
)
def test_each_function_is_tried_whatever_the_configurations_that_are_rehearsed(blobs, objective_on, recipe, message):
    prepared = blobs()
    objective = objective_on(prepared, recipe=Recipe(**recipe))
    with pytest.raises(SpecError, match=f"^{message}"):
        objective.check_functions(prepared)


@pytest.mark.parametrize(
    "recipe",
    [
        {"loss": each_loss, "mixup": 0.2},
        {"loss": mean_loss, "mixup": Choice(0.0, 0.2)},  # where it is 0.2 is for the rehearsal of the configuration
        {"loss": lambda p, t: 0.0 * p.sum()},
        {"loss": Choice("auto", "each"), "functions": {"each": each_loss}, "batch_size": 1},
        {"optimizer": torch.optim.NAdam, "augmentation": jitter, "schedule": half_cosine},
        {"optimizer": SignSGD, "techniques": [Technique()]},
        {},
    ],
)
def test_functions_that_work_are_not_refused(blobs, objective_on, recipe):
    prepared = blobs()
    objective_on(prepared, recipe=Recipe(**recipe)).check_functions(prepared)


def test_with_two_classes_a_loss_per_class_is_not_taken_for_one_per_sample():
    prepared = breast_cancer().prepare()
    assert prepared.outputs == 2
    objective = Supervised(breast_cancer(), MLP(layers=1, units=4), Recipe(loss=of_the_outputs))
    with pytest.raises(SpecError, match=r"must return the loss of each sample, a tensor of shape \(3,\), .* \(2,\)"):
        objective.check_functions(prepared)


def test_a_network_that_fails_is_not_a_function_that_fails(blobs, objective_on):
    class Broken:
        space = Space()

        def build(self, config, inputs, outputs):
            raise ValueError("no such layer")

    prepared = blobs()
    objective = Supervised(objective_on(prepared).data, Broken(), Recipe(loss=each_loss))
    objective.check_functions(prepared)
    with pytest.raises(ValueError, match="no such layer"):
        objective.rehearse(objective.space.sample(np.random.default_rng(0)), prepared)


@pytest.mark.parametrize("start", ["check", "run"])
def test_check_and_run_refuse_a_broken_function_in_the_same_words(tmp_path, start):
    recipe = Recipe(loss=Choice("auto", "undefined"), functions={"undefined": undefined})
    objective = Supervised(iris(), MLP(layers=1, units=4), recipe)
    study = Study(name="bad", objective=objective, minimize="val_loss", strategy=Random(), trials=2, budget=1)
    with pytest.raises(SpecError, match=r"^Recipe loss undefined fails on 2 samples: NameError"):
        preflight(study, 5) if start == "check" else study.run(tmp_path / "bad.db", quiet=True)
    assert not list(tmp_path.glob("*.db*"))


def test_a_loss_that_turns_nan_later_ends_the_trial(reports_of):
    calls = []

    def failing(predictions, targets):
        calls.append(1)
        return each_loss(predictions, targets) * (math.nan if len(calls) > 8 else 1.0)

    ((first, second),) = reports_of(Recipe(loss=failing))
    assert "val_loss" in first
    assert isinstance(second, Diverged)


def right(predictions, targets):
    return (predictions.argmax(1) == targets).double().mean()


def test_a_metric_is_given_probabilities_and_classes(reports_of):
    def total(predictions, targets):
        assert (predictions.dtype, targets.dtype) == (torch.float64, torch.int64)
        return predictions.sum() / len(targets)

    ((*reports,),) = reports_of(Recipe(), metrics=(right, "val_f1", {"total": total, "val_zero": lambda p, t: 0}))
    assert list(reports[0]) == [
        "train_loss",
        "val_loss",
        "val_accuracy",
        "val_right",
        "val_f1",
        "val_total",
        "val_zero",
    ]
    for report in reports:
        assert report["val_right"] == report["val_accuracy"]
        assert report["val_total"] == pytest.approx(1.0)
        assert report["val_zero"] == 0.0


def test_a_metric_of_numbers_is_in_the_targets_own_units(reports_of):
    seen = []

    def mape(predictions, targets):
        seen.append((predictions, targets))
        return mean_absolute_percentage_error(targets, predictions)

    def error(predictions, targets):
        return (predictions - targets).square().mean().sqrt()

    (reports,) = reports_of(Recipe(), task="regression", metrics=(mape, error))
    assert reports[-1]["val_error"] == pytest.approx(reports[-1]["val_rmse"])
    assert seen[-1][1].mean().item() == pytest.approx(50, abs=15)
    assert reports[-1]["val_mape"] == pytest.approx(
        mean_absolute_percentage_error(seen[-1][1].numpy(), seen[-1][0].numpy())
    )


def test_a_metric_may_be_the_goal(tmp_path):
    objective = Supervised(iris(), MLP(layers=1, units=8), Recipe(learning_rate=Float(1e-3, 1e-1)), metrics=[right])
    study = Study(
        name="own", objective=objective, maximize="val_right", strategy=Random(), trials=3, budget=2, executor="inline"
    )
    best = study.run(tmp_path / "own.db", quiet=True).best
    assert best.reports[-1].metrics["val_right"] == best.reports[-1].metrics["val_accuracy"]


def nothing(predictions, targets):
    return None


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ((one,), r"a Supervised metric is called as metric\(predictions, targets\), got one\(predictions\)"),
        ((3,), "a Supervised metric must be a function, got 3"),
        ((lambda p, t: 1.0,), "a metric needs a name, got <lambda>; write metrics={'my_metric': lambda ...}"),
        (({"accuracy": right},), "'val_accuracy' is the name of a built-in metric"),
        (({"top_3": right},), "'val_top_3' is the name of a built-in metric"),
        ((right, {"right": nothing}), "two metrics have the name 'val_right'"),
        ({3: right}, "the name of a metric must be a string, got 3"),
        (right, "metrics must be a tuple or list of names or functions, got <function right"),
    ],
)
def test_an_invalid_metric_fails_at_the_declaration(metrics, message):
    with pytest.raises(SpecError, match=message):
        Supervised(iris(), MLP(layers=1, units=4), metrics=metrics)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (
            nothing,
            r"metric val_nothing fails on .*\(60, 3\) and \(60,\): TypeError: .* must return one number, got None",
        ),
        (lambda p, t: p, r"must return one number, got a tensor of shape \(60, 3\); return for example their mean"),
        (lambda p, t: math.inf, "is inf on random predictions for the 60 validation samples"),
        (lambda p, t: p[:, 3].mean(), "fails on predictions and targets of shapes .*: IndexError"),
    ],
)
def test_a_metric_that_fails_is_found_before_any_trial(blobs, objective_on, metric, message):
    with pytest.raises(SpecError, match=message):
        objective_on(blobs(), metrics={"nothing": metric})


SPEC = """
import torch
from torch.nn.functional import cross_entropy
from archsearch import MLP, Choice, Random, Recipe, Study, Supervised, Technique, iris


class Noise(Technique):
    def step_begins(self, training, gradient):
        for row, generator in zip(gradient, training.generators):
            row += 0.01 * torch.randn(row.shape, generator=generator)


def focal(predictions, targets):
    loss = cross_entropy(predictions, targets, reduction="none")
    return (1 - torch.exp(-loss)) ** 2 * loss


def nadam(params, lr, weight_decay):
    return torch.optim.NAdam(params, lr, weight_decay=weight_decay)


def falling(epoch, epochs):
    return 1 - epoch / epochs


def jitter(inputs, generator):
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator)


def right(predictions, targets):
    return (predictions.argmax(1) == targets).double().mean()


recipe = Recipe(
    batch_size=16, optimizer=nadam, schedule=falling, augmentation=jitter, loss=Choice("auto", "focal"),
    functions={"focal": focal}, techniques=[Noise()],
)
study = Study(
    name="own", objective=Supervised(iris(), MLP(layers=1, units=8), recipe, metrics=[right]), maximize="val_right",
    strategy=Random(), trials=6, budget=3,
)
"""


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_functions_of_a_spec_file_reach_rays_workers(tmp_path: Path):
    from archsearch.search.engine.driver import Driver, Settings
    from archsearch.search.engine.spec import SpecFile

    path = tmp_path / "own.py"
    path.write_text(SPEC)
    spec = SpecFile.from_path(path)
    found = []
    for executor, workers in (("ray", 2), ("inline", 1)):
        settings = Settings(executor=executor, workers=workers)
        history = Driver(spec.load(), spec, tmp_path / f"{executor}.db", settings).run()
        assert {trial.state for trial in history.trials} == {"finished"}
        assert {trial.config["loss"] for trial in history.trials} == {"auto", "focal"}
        assert history.trials[0].config["techniques"] == "Noise"
        found.append([[report.metrics for report in trial.reports] for trial in history.trials])
    assert found[0] == found[1]
