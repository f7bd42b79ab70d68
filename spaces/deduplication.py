"""No config twice while another is left: what the strategies share that make configs themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from archsearch.spaces import Config, Space

_LISTED = 100_000  # spaces of so many configs are searched to the last one; listing them takes some tenths of a second


def untried(space: Space, tried: Sequence[Config], candidates: Iterable[Config]) -> Config:
    """The first of the candidates that is none of the tried configs.

    Where there is none, the space is all but exhausted: the first config of its grid that was not tried. Where that
    is exhausted too, or too long a list, the first candidate. At least one candidate must be given.
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
    """Is the config none of those tried?"""
    return sure_to_be_new(space, config) or not _among(config, tried)


def sure_to_be_new(space: Space, config: Config) -> bool:
    """No number of a continuum is drawn twice; so most draws need no look at the history."""
    return any(parameter.name in config and math.isinf(parameter.domain.size()) for parameter in space.free)


def _among(config: Config, tried: Sequence[Config]) -> bool:
    # By repr too: a config that a user gave may hold an equal value of another type, such as True for 1.
    return config in tried and any(other == config and repr(other) == repr(config) for other in tried)


def _listed(space: Space, tried: Sequence[Config]) -> Config | None:
    if space.size() > _LISTED:
        return None
    known = {repr(space.as_declared(config)) for config in tried}
    return next((config for config in map(space.as_declared, space.grid()) if repr(config) not in known), None)
