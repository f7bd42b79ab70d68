"""What a trial answers to code that was written for another library."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from archsearch import Float, Space, Study, TrialContext

TRIAL: Any = TrialContext(number=0, attempt=1, config={"x": 0.5}, budget=3, seed=1)


@pytest.mark.parametrize(
    ("use", "error", "hint"),
    [
        (
            lambda trial: trial.suggest_float("x", 0, 1),
            AttributeError,
            "declared in the space, and their values are in",
        ),
        (lambda trial: trial.params["x"], AttributeError, "their values are in trial.config"),
        (lambda trial: trial.x, AttributeError, r"trial\.config\['x'\]"),
        (lambda trial: trial["x"], TypeError, r"a trial has no items; .*trial\.config\['x'\]"),
        (lambda trial: list(trial), TypeError, "a trial has no items"),
        (lambda trial: trial.should_prune(), AttributeError, r"use trial\.should_stop"),
        (lambda trial: trial.reprot(1), AttributeError, "did you mean 'report'"),
    ],
)
def test_habits_from_other_libraries_get_a_hint(use: Callable[[Any], Any], error: type, hint: str) -> None:
    with pytest.raises(error, match=hint):
        use(TRIAL)


def test_it_can_still_be_copied_pickled_and_probed() -> None:
    assert copy.copy(TRIAL) == pickle.loads(pickle.dumps(TRIAL)) == TRIAL
    assert not hasattr(TRIAL, "anything_else")
    assert getattr(TRIAL, "suggest_int", None) is None


def test_the_hint_is_the_reason_of_the_failed_trial(tmp_path: Any) -> None:
    study = Study(
        name="habit",
        objective=lambda config: config["x"] if config.number else 1.0,
        space=Space(x=Float(0, 1)),
        minimize="loss",
        trials=2,
        executor="inline",
    )
    history = study.run(tmp_path / "s.db", quiet=True)
    assert "their values are in trial.config" in history.trials[1].reason
