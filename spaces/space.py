"""Space: names → domains, some of them under a condition. Everything that asks "which configs are legal?" asks here.

A config is a plain mapping that holds the active parameters only: `units_3` is absent when there are two layers.
One primitive, `walk`, visits the parameters in an order in which conditions can be decided, and asks a function for
each active value; sampling, decoding and Optuna's suggestions are walks with different functions.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces.domains import Choice, Domain, Float, Int, Value, domain_from_json
from spaces.errors import ConfigError, SpaceError, unknown
from spaces.expressions import Expression

Config = Mapping[str, Value]


@dataclass(frozen=True, slots=True, init=False)
class When:
    """A domain (or constant) that exists only where the condition holds: `When("optimizer == 'sgd'", Float(0, 1))`.

    A condition on a parameter that is not active does not hold.
    """

    condition: Expression
    domain: Domain

    def __init__(self, condition: str, domain: Domain | Value) -> None:
        object.__setattr__(self, "condition", Expression.parse(condition))
        object.__setattr__(self, "domain", _domain(domain))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named domain, and the condition under which it is active (None: always)."""

    name: str
    domain: Domain
    condition: Expression | None = None

    @property
    def fixed(self) -> bool:
        """Only one value is possible, so there is nothing to search."""
        return self.domain.size() == 1


class Space:
    """The legal configurations: `Space(lr=Float(1e-5, 1e-1, log=True), depth=Int(1, 8), activation="relu")`.

    Each argument is a domain, a `When`, or a plain constant, which every config then holds. Parameters may also be
    given as one mapping, for names that are no identifiers.

    Raises SpaceError for a name that is no parameter in a condition, for conditions in a circle, and for values that
    are not plain.
    """

    __slots__ = ("_by_name", "_order")

    def __init__(self, parameters: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        given = {**(parameters or {}), **named}
        if parameters and (twice := parameters.keys() & named.keys()):
            raise SpaceError(f"parameter '{min(twice)}' is declared twice; drop one")
        self._by_name = {name: _parameter(name, value) for name, value in given.items()}
        self._order = tuple(_ordered(self._by_name))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of declaration."""
        return tuple(self._by_name.values())

    @property
    def free(self) -> tuple[Parameter, ...]:
        """Those with more than one possible value, in the order of declaration."""
        return tuple(p for p in self._by_name.values() if not p.fixed)

    def __getitem__(self, name: str) -> Parameter:
        if name not in self._by_name:
            raise SpaceError(unknown("parameter", name, self._by_name))
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._by_name == other._by_name

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{p.name}={p.domain}" + (f" when {p.condition.text}" if p.condition else "") for p in self.parameters
        )
        return f"Space({shown})"

    def __or__(self, other: Space) -> Space:
        """Both spaces' parameters; SpaceError when they share a name."""
        if shared := self._by_name.keys() & other._by_name.keys():
            raise SpaceError(f"parameter '{min(shared)}' is declared by both spaces; rename one")
        return Space({p.name: _declared(p) for p in (*self.parameters, *other.parameters)})

    def walk(self, choose: Callable[[Parameter], Value]) -> dict[str, Value]:
        """The config that `choose` makes: it is asked for each active parameter, after those its condition reads."""
        config: dict[str, Value] = {}
        for parameter in self._order:
            if parameter.condition is None or parameter.condition.holds(config):
                config[parameter.name] = choose(parameter)
        return {name: config[name] for name in self._by_name if name in config}

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """A config drawn evenly: each active domain by its own measure (log domains in the logarithm)."""
        return self.walk(lambda parameter: parameter.domain.sample(rng))

    def active(self, config: Config) -> tuple[str, ...]:
        """The names that a config with these values holds, in the order of declaration."""
        return tuple(self.walk(lambda parameter: config.get(parameter.name)))

    def check(self, config: Config) -> None:
        """Raises ConfigError, naming parameter, value and domain, unless the config is legal."""

        def value_of(parameter: Parameter) -> Value:
            name = parameter.name
            if name not in config:
                raise ConfigError(f"parameter '{name}' is missing; give a value of {parameter.domain}", parameter=name)
            if config[name] not in parameter.domain:
                raise ConfigError(
                    f"parameter '{name}' is {config[name]!r}, which is not in {parameter.domain}",
                    parameter=name,
                    value=config[name],
                )
            return config[name]

        legal = self.walk(value_of)
        for name in config:
            if name in legal:
                continue
            if name not in self:
                raise ConfigError(unknown("parameter", name, self), parameter=name, value=config[name])
            condition = self[name].condition
            needs = condition.text if condition else ""
            raise ConfigError(
                f"parameter '{name}' is {config[name]!r}, but is active only when {needs}; leave it out",
                parameter=name,
                value=config[name],
            )

    def size(self) -> float:
        """How many configurations there are when conditions are ignored, which is an upper bound; may be infinite."""
        sizes = [p.domain.size() for p in self.parameters]
        return math.inf if math.inf in sizes else math.prod(sizes)

    def digest(self) -> str:
        """16 hex digits that two spaces share exactly when they declare the same, in whatever order."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {
            p.name: p.domain.to_json() | ({"when": p.condition.text} if p.condition else {}) for p in self.parameters
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Space:
        return cls({name: _from_json(part) for name, part in body.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return Space.from_json, (self.to_json(),)


def _domain(value: Any) -> Domain:
    return value if isinstance(value, Int | Float | Choice) else Choice(value)


def _parameter(name: object, value: Any) -> Parameter:
    if not isinstance(name, str) or not name:
        raise SpaceError(f"a parameter's name must be text, got {name!r}")
    if isinstance(value, When):
        return Parameter(name, value.domain, value.condition)
    if isinstance(value, list | dict | set) or callable(value):
        raise SpaceError(
            f"parameter '{name}' is {value!r}; give a domain such as Choice(...), Int(low, high), Float(low, high), "
            "or a plain constant"
        )
    return Parameter(name, _domain(value))


def _declared(parameter: Parameter) -> Domain | When:
    return When(parameter.condition.text, parameter.domain) if parameter.condition else parameter.domain


def _from_json(body: Mapping[str, Any]) -> Domain | When:
    domain = domain_from_json(body)
    return When(body["when"], domain) if "when" in body else domain


def _ordered(by_name: Mapping[str, Parameter]) -> Iterator[Parameter]:
    """Parameters so that each comes after those its condition reads; otherwise by name, whatever was declared first.

    By name, so that equal spaces draw equal configs.
    """
    for parameter in by_name.values():
        for name in sorted(parameter.condition.names if parameter.condition else ()):
            if name not in by_name:
                text = unknown("parameter", name, by_name)
                raise SpaceError(f"the condition of '{parameter.name}' reads an {text}")
    placed: set[str] = set()
    left = sorted(by_name)
    while left:
        ready = [n for n in left if (c := by_name[n].condition) is None or c.names <= placed]
        if not ready:
            raise SpaceError(f"the conditions of {', '.join(left)} wait for each other; break the circle")
        yield from (by_name[name] for name in ready)
        placed.update(ready)
        left = [name for name in left if name not in placed]
