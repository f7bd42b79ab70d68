"""GPEncoding: distinct configs have distinct ones."""

from __future__ import annotations

import numpy as np
import pytest

from archsearch import Choice, Float, Space, When
from archsearch.search.strategies._shared.gp_encoding import GPEncoding
from archsearch.search.testing.simulation import SPACES


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_rows_are_equal_exactly_when_configs_are(space: Space) -> None:
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(300)]
    rows = GPEncoding(space).encode(configs)
    assert rows.shape[0] == 300
    assert len({row.tobytes() for row in rows}) == len({repr(config) for config in configs})
    assert not rows.size or (rows.min() >= 0 and rows.max() <= 1)


def test_an_inactive_parameter_stands_in_the_middle() -> None:
    space = Space(kind=Choice("a", "b"), rate=When("kind == 'a'", Float(0.0, 1.0)))
    assert GPEncoding(space).encode([{"kind": "b"}]).tolist() == [[0.0, 0.5**0.5, 0.5]]
