"""Rows and neighbours: distinct configs have distinct rows, neighbours are legal and near, small spaces are listed."""

from __future__ import annotations

import numpy as np
import pytest

from search.strategies.candidates import Rows, every_config, neighbour
from search.testing.simulation import SPACES
from spaces import Choice, Float, Int, Space, When


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_rows_are_equal_exactly_when_configs_are(space: Space) -> None:
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(300)]
    rows = Rows(space).of(configs)
    assert rows.shape[0] == 300
    assert len({row.tobytes() for row in rows}) == len({repr(config) for config in configs})
    assert not rows.size or (rows.min() >= 0 and rows.max() <= 1)


def test_an_inactive_parameter_stands_in_the_middle() -> None:
    space = Space(kind=Choice("a", "b"), rate=When("kind == 'a'", Float(0.0, 1.0)))
    assert Rows(space).of([{"kind": "b"}]).tolist() == [[0.0, 0.5**0.5, 0.5]]


def test_neighbours_are_legal_and_near() -> None:
    for space in SPACES.values():
        rng = np.random.default_rng(0)
        config = space.sample(rng)
        for _ in range(200):
            config = neighbour(space, config, rng)
            space.check(config)
    space = Space(x=Float(0.0, 1.0))
    moved = [abs(neighbour(space, {"x": 0.5}, rng)["x"] - 0.5) for _ in range(500)]  # type: ignore[operator]
    assert 0 < np.mean(moved) < 0.1


def test_every_config_of_a_small_space() -> None:
    space = Space(
        layers=Int(1, 2), units=When("layers == 2", Int(8, 32, log=True)), drop=Float(0.0, 0.5, step=0.25), fixed="x"
    )
    configs = every_config(space)
    assert len(configs) == (1 + 25) * 3 == len({repr(config) for config in configs})
    for config in configs:
        space.check(config)
