"""A config of one space as a config of another: what was found in an earlier study, told to a later one."""

from __future__ import annotations

from functools import partial

import numpy as np

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.domains import Domain
from archsearch.spaces.mutation import nearest, repair
from archsearch.spaces.space import Config, Space


def translate_config(config: Config, space: Space) -> dict[str, Value]:
    """The legal config of this space that says what a config of another space said; of a legal config, itself.

    A value that is legal here is kept, and a number that is not moves to the nearest value. A parameter that the other
    space did not have, or whose value means nothing here, stands where it is expected: at its prior's value or its
    domain's middle, a choice with weights at its likeliest value, one without order or weights at its first. This
    space's conditions say what is active. Where a constraint is broken, the nearest config that keeps it is sought
    (`repair`).

    The answer follows from the arguments alone. Raises SpaceError where this space has hardly a legal config.
    """
    made = space.walk(partial(nearest, config=config, otherwise=_expected))
    # Mended by a search with random numbers, always the same ones, so that a config is translate_config in one way.
    return repair(space, made, np.random.default_rng(0)) if space.violated(made) else made


def _expected(domain: Domain) -> Value:
    if not isinstance(domain, Choice):
        return domain.from_unit(0.5) if domain.prior is None else domain.prior.value
    if domain.prior is not None:
        return domain.values[domain.prior.index(max(domain.prior))]
    return domain.from_unit(0.5) if domain.ordered else domain.values[0]
