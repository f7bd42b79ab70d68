"""Completion of the configs that a user, or a strategy of the user's own, gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsearch.spaces.choices import Choice, Value
from archsearch.spaces.domains import Float, Int
from archsearch.spaces.flattening import Parameter
from archsearch.spaces.space import Config, Space


def completed(config: Config, space: Space) -> dict[str, Value]:
    """The config as the space's own functions would have made it.

    Values of NumPy become plain Python values, also within tuples; 1.0 becomes 1 where a Choice declares 1. Active
    parameters that have only one value are added if they are missing, so that a strategy need not know the constants
    of a space. Everything else stays as it is, whether or not it is legal: see `Space.check`.

    Args:
        config: Values by name.
        space: The space of the config.

    Returns:
        The config, in the order of declaration.
    """
    plain = {name: _declared(space[name], value) if name in space else value for name, value in config.items()}
    if any(parameter.name not in plain and parameter.fixed for parameter in space.parameters):
        known: dict[str, Value] = {}
        for decision in space.decisions:
            name, parameter = decision.name, decision.parameter
            if decision.holds is None or decision.holds(known):
                if name in plain:
                    known[name] = plain[name]
                elif parameter.fixed:
                    known[name] = parameter.domain.from_unit(0.5)
        plain = {**plain, **known}
    return {**space.as_declared(plain), **{name: value for name, value in plain.items() if name not in space}}


def _declared(parameter: Parameter, value: Any) -> Value:
    """The value as the domain would give it; a value that is not in the domain is only made plain."""
    domain, kind = parameter.domain, type(value)
    if (
        kind in (str, bool)
        or (kind is float and isinstance(domain, Float))
        or (kind is int and isinstance(domain, Int))
    ):
        return value  # type: ignore[no-any-return]  # by far the most values are plain already
    if isinstance(domain, Choice) and value in domain:
        return domain.values[domain.index(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(domain, Float) and value in domain:
        return float(value)
    return value  # type: ignore[no-any-return]  # whatever it is, `Space.check` judges it
