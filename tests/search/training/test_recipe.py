"""Recipe: its parameters, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from archsearch import Choice, Float, Int, Recipe, SpaceError


def test_a_fixed_recipe_is_in_every_config():
    config = Recipe(optimizer="sgd").space.sample(np.random.default_rng(0))
    assert config == {
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "momentum": 0.9,
        "batch_size": 64,
        "weight_decay": 0.0,
    }


def test_momentum_is_there_only_with_sgd():
    assert "momentum" not in Recipe(optimizer="adamw").space
    assert "momentum" not in Recipe(optimizer=Choice("adamw")).space
    space = Recipe(optimizer=Choice("sgd", "adamw"), momentum=Float(0, 0.99)).space
    configs = [space.sample(np.random.default_rng(seed)) for seed in range(30)]
    assert {(c["optimizer"], "momentum" in c) for c in configs} == {("sgd", True), ("adamw", False)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adamv"}, "unknown optimizer 'adamv'; known: .*; did you mean 'adam'?"),
        ({"optimizer": Choice("sgd", "adams")}, "unknown optimizer 'adams'"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0.0"),
        ({"learning_rate": Float(0, 1)}, "learning_rate must be a number above 0, got 0.0 from Float"),
        ({"learning_rate": float("nan")}, "got nan"),
        ({"learning_rate": float("inf")}, "got inf"),
        ({"momentum": 1.0}, r"momentum must be a number in \[0, 1\), got 1.0"),
        ({"batch_size": Int(0, 64)}, "batch_size must be a whole number of at least 1, got 0 from"),
        ({"batch_size": "large"}, "got 'large'"),
        ({"weight_decay": -1e-4}, "weight_decay must be a number of at least 0, got -0.0001"),
    ],
)
def test_illegal_values_fail_at_construction(arguments, message):
    with pytest.raises(SpaceError, match=message):
        Recipe(**arguments)
