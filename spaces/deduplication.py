"""Avoids configurations that were already tried."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from archsearch.spaces import Config, Space

_LISTED = 100_000  # the largest space of which all configurations are listed, which takes some tenths of a second


def untried(space: Space, tried: Sequence[Config], candidates: Iterable[Config]) -> Config:
    """The first candidate that was not tried.

    If there is none, the space is nearly exhausted, and the first configuration of its grid that was not tried is
    returned. If there is none either, or the space is too large to list, the first candidate is returned.

    Args:
        space: The search space.
        tried: All configurations so far.
        candidates: At least one configuration; they are consumed one by one.
    """
    candidates = iter(candidates)
    first = config = next(candidates)
    while _among(config, tried):
        following = next(candidates, None)
        if following is None:
            return _listed(space, tried) or first
        config = following
    return config


def is_new(space: Space, tried: Sequence[Config], config: Config) -> bool:
    """Whether the configuration is not among those tried."""
    return sure_to_be_new(space, config) or not _among(config, tried)


def sure_to_be_new(space: Space, config: Config) -> bool:
    """Whether a random draw cannot have been tried: it has a continuous parameter. Saves a search of the history."""
    return any(parameter.name in config and math.isinf(parameter.domain.size()) for parameter in space.free)


def _among(config: Config, tried: Sequence[Config]) -> bool:
    # By repr too: a config that a user gave may hold an equal value of another type, such as True for 1.
    return config in tried and any(other == config and repr(other) == repr(config) for other in tried)


def _listed(space: Space, tried: Sequence[Config]) -> Config | None:
    if space.size() > _LISTED:
        return None
    known = {repr(space.as_declared(config)) for config in tried}
    return next((config for config in map(space.as_declared, space.grid()) if repr(config) not in known), None)
