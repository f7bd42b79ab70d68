"""Translates configs between spaces, so that a study can start from the configs of an earlier one."""

from __future__ import annotations

from functools import partial

import numpy as np

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.domains import Domain
from archsearch.spaces.mutation import nearest, repair
from archsearch.spaces.space import Config, Space


def translate_config(config: Config, space: Space) -> dict[str, Value]:
    """Translates a config of another space into the nearest legal config of this one.

    A value that is legal here is kept, and a number that is not moves to the nearest value. A parameter that the config
    does not have, or whose value is neither, gets its expected value: that of its prior, or the middle of the domain;
    for a Choice the most likely value, or the first if it has neither weights nor an order. Conditions of this space
    decide which parameters are active. If a constraint is violated, `repair` looks for the nearest config that
    satisfies it.

    Args:
        config: A config of any space.
        space: The space of the result.

    Returns:
        A legal config, which depends on the arguments alone. A legal config is returned unchanged, as a copy.

    Raises:
        SpaceError: The space has hardly any legal config.
    """
    made = space.walk(partial(nearest, config=config, otherwise=_expected))
    # Repair searches at random; a fixed seed makes the result depend on the arguments alone.
    return repair(space, made, np.random.default_rng(0)) if space.violated(made) else made


def _expected(domain: Domain) -> Value:
    if not isinstance(domain, Choice):
        return domain.from_unit(0.5) if domain.prior is None else domain.prior.value
    if domain.prior is not None:
        return domain.values[domain.prior.index(max(domain.prior))]
    return domain.from_unit(0.5) if domain.ordered else domain.values[0]
