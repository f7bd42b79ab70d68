"""Wrong arguments of constructors, with hints."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import archsearch
from archsearch import (
    CNN,
    MLP,
    TPE,
    Choice,
    Float,
    Int,
    Median,
    Objective,
    Pruner,
    Recipe,
    Session,
    Space,
    SpecError,
    Split,
    Strategy,
    Study,
    Supervised,
    When,
)


class Own(Strategy):
    """A strategy without a constructor."""


class Threshold(Pruner):
    """A pruner with one argument."""

    def __init__(self, bound: float = 2.0) -> None:
        self.bound = bound


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Study(minimze="loss"), "unknown argument of Study 'minimze'; did you mean 'minimize'?"),
        (lambda: Study(n_trials=3, direction="minimize"), "did you mean 'trials'?"),
        (lambda: Study(direction="minimize"), "did you mean 'minimize'?"),
        (lambda: Study(sampler="tpe"), "did you mean 'strategy'?"),
        (lambda: Study("digits"), "Study takes no positional arguments, got 'digits'; write the arguments by name"),
        (lambda: Session(Space(x=1), trails=3), "did you mean 'trials'?"),
        (lambda: MLP(layer=3), "did you mean 'layers'?"),
        (lambda: CNN(kernels=3), "did you mean 'kernel'?"),
        (lambda: Recipe(lr=0.1), "did you mean 'learning_rate'?"),
        (lambda: Split(valid=0.2), "did you mean 'validation'?"),
        (lambda: Supervised(dat=1), "did you mean 'data'?"),
        (lambda: TPE(startup=3), "did you mean 'startup_trials'?"),
        (lambda: Median(warmup=3), "did you mean 'warmup_steps'?"),
        (lambda: Choice("a", "b", orderd=True), "did you mean 'ordered'?"),
        (lambda: When("a == 1", 2, 3), "When takes only condition and what by position"),
        (lambda: Float(0.1, 1, 0.1), "by position, got 0.1, 1, 0.1; write the others by name: log=, step=, prior="),
        (lambda: Int(1, 100, 10), "Int takes only low and high by position"),
        (lambda: Own(k=3), "Own takes no arguments; write Own()"),
        (lambda: Threshold(bond=3), "unknown argument of Threshold 'bond'; known: bound; did you mean 'bound'?"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_hint(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make()
    assert message in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_missing_argument_is_a_plain_type_error() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'high'"):
        Int(1)


def test_constructors_keep_their_signature_and_pickle() -> None:
    assert [*inspect.signature(TPE).parameters] == ["startup_trials", "candidates", "remembered"]
    for each in (TPE(startup_trials=3), Threshold(3.0), Own(), Float(1, 2, log=True), MLP(layers=2, units=8)):
        assert repr(pickle.loads(pickle.dumps(each))) == repr(copy.copy(each)) == repr(each)


def test_an_objective_may_take_any_arguments() -> None:
    class Mine(Objective):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.given = (args, kwargs)

        def __call__(self, trial: Any) -> float:
            return 0.0

    assert Mine(1, a=2).given == ((1,), {"a": 2})


def test_a_misspelled_public_name_is_an_attribute_error_with_a_hint() -> None:
    with pytest.raises(AttributeError, match="did you mean 'Float'"):
        archsearch.Flaot  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Flaot'"):
        from archsearch import Flaot  # noqa: F401
    assert not hasattr(archsearch, "nothing_like_it_exists")
    assert not hasattr(archsearch, "__flaot__")
