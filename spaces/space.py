"""Space: named domains with conditions and constraints, which together define the legal configs.

A config is a plain mapping that holds the active parameters only: `units_3` is absent if there are two layers. The
basic operation is `walk`: it visits the parameters in an order in which conditions can be evaluated, and asks a
function for the value of each active one. Sampling, decoding, mutation and Optuna's suggestions are walks with
different functions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from archsearch.spaces.argument_checks import generator
from archsearch.spaces.changes import Change, changes
from archsearch.spaces.constraints import Constraint, Predicate, RejectionRates, Rule, constraint_from_json
from archsearch.spaces.dependency_order import Decision, in_dependency_order
from archsearch.spaces.domains import Value
from archsearch.spaces.errors import ConfigError, SpaceError, unknown
from archsearch.spaces.flattening import Parameter, When, check_paths, flatten, nested
from archsearch.spaces.grid import grid, size
from archsearch.spaces.impossible_conditions import check_conditions
from archsearch.spaces.partial import PartialSpace

__all__ = ["Config", "Parameter", "Space", "When"]

Config = Mapping[str, Value]

_MAX_DRAWS = 100_000  # after which a space with constraints is considered empty; takes a second or two


class Space:
    """A search space: `Space(lr=Float(1e-5, 1e-1, log=True), depth=Int(1, 8), activation="relu")`.

    Internally, every space is flat: the parameters of a nested space `block` are called `block.kernel`, …, and those
    of a `Repeat` `units_1`, `units_2`, …; `nested` returns a config in the form of the declaration. A space is
    immutable, and equal to another if both declare the same, in whatever order.

    Args:
        *given: Constraints, made by `constraint` or `forbidden`; before them, optionally, one mapping of parameters,
            for names that are not Python identifiers.
        **named: The parameters by name. Each is a domain (Int, Float, Choice), a When, a Repeat, another Space, or a
            plain constant, which becomes part of every config.

    Raises:
        SpaceError: A condition or constraint reads an unknown parameter, a condition compares one with a literal that
            is outside of its domain, conditions depend on each other, a name is declared twice, or a value is not
            plain.

    Example:
        >>> import numpy as np
        >>> from archsearch import Choice, Float, Int, Space, When
        >>> space = Space(
        ...     layers=Int(1, 4),
        ...     optimizer=Choice("sgd", "adam"),
        ...     momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)),
        ... )
        >>> space.legal({"layers": 2, "optimizer": "adam"})
        True
        >>> config = space.sample(np.random.default_rng(0))
        >>> space.legal(config)
        True
    """

    def __init__(self, /, *given: Mapping[str, Any] | Constraint, **named: Any) -> None:
        mapping, constraints = _split(given)
        if twice := mapping.keys() & named.keys():
            raise SpaceError(f"parameter '{min(twice)}' is declared twice; remove one declaration")
        for name in mapping:
            if not isinstance(name, str) or not name:
                raise SpaceError(f"a parameter's name must be a non-empty string, got {name!r}")
        parts = list(flatten({**mapping, **named}))
        nested_constraints = [part for part in parts if not isinstance(part, Parameter)]
        parameters = [part for part in parts if isinstance(part, Parameter)]
        self._initialize(parameters, [*constraints, *nested_constraints])
        check_conditions(self._by_name)

    @classmethod
    def _from_parts(cls, parameters: Iterable[Parameter], constraints: Iterable[Constraint]) -> Space:
        """A space of parameters and constraints that are flat already."""
        space = cls.__new__(cls)
        space._initialize(parameters, constraints)
        return space

    def _initialize(self, parameters: Iterable[Parameter], constraints: Iterable[Constraint]) -> None:
        self._by_name: dict[str, Parameter] = {}
        for parameter in parameters:
            if self._by_name.setdefault(parameter.name, parameter) is not parameter:
                raise SpaceError(f"parameter '{parameter.name}' is declared twice; remove one declaration")
        self._constraints = tuple(constraints)
        check_paths(self._by_name.values())
        self._decisions = in_dependency_order(self._by_name, self._constraints)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in the order of declaration."""
        return tuple(self._by_name.values())

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """All constraints, in the order of declaration."""
        return self._constraints

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The parameters in the order of `walk`, each with the constraints that can be tested then."""
        return self._decisions

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters with more than one possible value, in the order of declaration."""
        return tuple(p for p in self._by_name.values() if not p.fixed)

    @property
    def serializable(self) -> bool:
        """Whether JSON can hold all of it: False if a constraint is a Python function, of which JSON keeps the name."""
        return all(isinstance(constraint, Rule) for constraint in self._constraints)

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
        if not isinstance(other, Space):
            return NotImplemented
        return self._by_name == other._by_name and Counter(self._constraints) == Counter(other._constraints)

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        named = (f"{name}={parameter}" for name, parameter in self._by_name.items())
        return f"Space({', '.join([*map(repr, self._constraints), *named])})"

    def __or__(self, other: Space) -> Space:
        """The parameters and constraints of both spaces. Raises SpaceError if they share a parameter's name."""
        if shared := self._by_name.keys() & other._by_name.keys():
            raise SpaceError(f"parameter '{min(shared)}' is declared by both spaces; rename one")
        return Space._from_parts((*self.parameters, *other.parameters), (*self.constraints, *other.constraints))

    def constrained(self, *constraints: Constraint) -> Space:
        """The same space with additional constraints.

        Args:
            *constraints: Made by `constraint` or `forbidden`.

        Raises:
            SpaceError: An argument is not a constraint, or reads an unknown parameter.
        """
        for each in constraints:
            if not isinstance(each, Rule | Predicate):
                raise SpaceError(
                    f"a constraint must be made by constraint(...), got {each!r}; write constraint('a < b')"
                )
        new = [each for each in constraints if each not in self.constraints]
        return Space._from_parts(self.parameters, (*self.constraints, *new)) if new else self

    def walk(self, choose: Callable[[Parameter], Value]) -> dict[str, Value]:
        """Builds a config by asking a function for each active value.

        Args:
            choose: Called with each active parameter, after those that its condition reads; returns its value.

        Returns:
            The config. Its conditions hold by construction; whether the values are in their domains and satisfy the
            constraints is up to `choose`: see `violated`.
        """
        config: dict[str, Value] = {}
        for decision in self._decisions:
            if decision.holds is None or decision.holds(config):
                config[decision.name] = choose(decision.parameter)
        return self.as_declared(config)

    def sample(self, rng: np.random.Generator | int | None = None) -> dict[str, Value]:
        """Draws a legal config.

        Each active parameter is drawn by its prior, or uniformly (log domains in the logarithm); a config that violates
        a constraint is discarded and drawn again.

        Args:
            rng: The source of randomness: a NumPy generator, or the seed of a new one. It must be given.

        Raises:
            ArgumentError: `rng` is neither.
            SpaceError: None of 100,000 draws was legal.
        """
        rng = generator(rng)
        first_violated: Counter[str] = Counter()
        for _ in range(_MAX_DRAWS):
            config, violated = self._drawn(rng)
            if violated is None:
                return self.as_declared(config)
            first_violated[violated.name] += 1
        shares = ", ".join(
            f"{100 * count / _MAX_DRAWS:.5g}% violated '{name}'" for name, count in first_violated.most_common(3)
        )
        raise SpaceError(
            f"the space has no legal config, or hardly any: of {_MAX_DRAWS:,} draws, {shares} (counting the first "
            "violated constraint of each); loosen a constraint, or change the domains"
        )

    def rejection_rates(self, rng: np.random.Generator | int, samples: int = 1000) -> RejectionRates:
        """Estimates how many random configs the constraints reject.

        Args:
            rng: The source of randomness, as in `sample`.
            samples: The number of configs to draw.
        """
        rng = generator(rng)
        if samples < 1:
            raise SpaceError(f"samples must be at least 1, got {samples!r}")
        counts: Counter[str] = Counter({constraint.name: 0 for constraint in self._constraints})
        rejected = 0
        for _ in range(samples):
            config, _ = self._drawn(rng, tested=False)
            violated = {constraint.name for constraint in self.violated(config)}
            counts.update(violated)
            rejected += bool(violated)
        return RejectionRates(rejected / samples, {name: count / samples for name, count in counts.most_common()})

    def active(self, config: Config) -> tuple[str, ...]:
        """The names of the parameters that are active given these values, in the order of declaration.

        A parameter whose condition reads a value that is missing is not active.
        """
        known: dict[str, Value] = {}
        names: set[str] = set()
        for decision in self._decisions:
            if decision.holds is None or decision.holds(known):
                names.add(decision.name)
                if decision.name in config:
                    known[decision.name] = config[decision.name]
        return tuple(name for name in self._by_name if name in names)

    def as_declared(self, config: Config) -> dict[str, Value]:
        """The config's values in the order of declaration."""
        return {name: config[name] for name in self._by_name if name in config}

    def violated(self, config: Config) -> tuple[Constraint, ...]:
        """The constraints that the config violates. Domains and conditions are not checked: see `check`."""
        return tuple(constraint for constraint in self._constraints if constraint.violated(config))

    def check(self, config: Config) -> None:
        """Checks that a config is legal.

        Args:
            config: The config to check.

        Raises:
            ConfigError: A value is missing, is not in its domain or belongs to an inactive parameter, or the config
                violates a constraint. The message names the parameter, value and domain, or the constraint.
        """

        def value_of(parameter: Parameter) -> Value:
            name = parameter.name
            if name not in config:
                raise ConfigError(f"parameter '{name}' is missing; add a value of {parameter.domain}", parameter=name)
            parameter.check(config[name])
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
        for constraint in self.violated(config):
            values = {name: config[name] for name in sorted(constraint.names or config) if name in config}
            raise ConfigError(
                f"constraint '{constraint.name}' is violated by {values}; change one of them",
                parameter=constraint.name,
                value=values,
            )

    def legal(self, config: Config) -> bool:
        """Whether `check` would pass."""
        try:
            self.check(config)
        except ConfigError:
            return False
        return True

    def nested(self, config: Config) -> dict[str, Any]:
        """The config in the form of the declaration: `{"units": [32, 64], "block": {"kernel": 3}}`."""
        return nested(self.parameters, config)

    def size(self, points: int | None = None) -> float:
        """The number of configs of `grid(points)` if constraints are ignored; may be infinite.

        It is exact if the parameters that conditions read have up to 10,000 combinations, else an upper bound; also if
        some of the `points` of a narrow domain coincide.
        """
        return self._size if points is None else size(self._decisions, points)

    def grid(self, points: int | None = None) -> Iterator[dict[str, Value]]:
        """Enumerates every legal config once.

        Args:
            points: The number of values to use of each Int or Float with more values, evenly spaced (for `log`, in the
                logarithm) and including both ends; at least 2. None uses all values.

        Raises:
            SpaceError: `points` is missing for a continuous Float, or is below 2.
        """
        return map(self.as_declared, grid(self._decisions, points))

    def fix(self, values: Config | None = None, /, **named: Value) -> Space:
        """The same space with some parameters constant: `fix(units=64)`, `fix({"block.kernel": 3})`.

        Parameters that can no longer be active are removed, as are conditions and constraints that always hold.

        Args:
            values: Values by name, for names that are not Python identifiers.
            **named: Values by name.

        Raises:
            ConfigError: A domain, a condition or a constraint does not allow a value, or the name is unknown.
        """
        given = {**(values or {}), **named}
        for name in given:
            if name not in self:
                raise ConfigError(unknown("parameter", name, self), parameter=name, value=given[name])
        partial = PartialSpace(self._decisions, given)
        left = [partial.parameters[name] for name in self._by_name if name in partial.parameters]
        return Space._from_parts(left, partial.constraints(self._constraints))

    def digest(self) -> str:
        """A hash of 16 hex digits, equal for two spaces that declare the same, in whatever order.

        A constraint that is a Python function counts by its name.
        """
        return self._digest

    def diff(self, other: Space) -> tuple[Change, ...]:
        """The changes from this space to the other; empty if and only if their digests are equal."""
        return tuple(changes(self._by_name, other._by_name, self._constraints, other._constraints))

    def to_json(self) -> dict[str, Any]:
        """The space as a value that the json module can write."""
        return {
            "parameters": {name: parameter.to_json() for name, parameter in self._by_name.items()},
            "constraints": [constraint.to_json() for constraint in self._constraints],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote. Constraints that are Python functions keep only their name, so that a space
        with such constraints can be inspected but not sampled.
        """
        parameters = [Parameter.from_json(name, part) for name, part in body["parameters"].items()]
        return cls._from_parts(parameters, map(constraint_from_json, body["constraints"]))

    # Not through JSON, which cannot hold functions.
    def __reduce__(self) -> tuple[Any, ...]:
        return Space._from_parts, (self.parameters, self.constraints)

    def _drawn(self, rng: np.random.Generator, tested: bool = True) -> tuple[dict[str, Value], Constraint | None]:
        """A random config, and the first constraint that it violates; drawing stops there."""
        config: dict[str, Value] = {}
        for decision, uniform in zip(self._decisions, rng.random(len(self._decisions)).tolist(), strict=True):
            if decision.holds is None or decision.holds(config):
                config[decision.name] = decision.draw(uniform)
            if tested and decision.constraints:
                for constraint in decision.constraints:
                    if constraint.violated(config):
                        return config, constraint
        return config, None

    @cached_property
    def _size(self) -> float:
        return size(self._decisions)

    @cached_property
    def _digest(self) -> str:
        body = self.to_json()
        body["constraints"].sort(key=json.dumps)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _split(given: Iterable[object]) -> tuple[Mapping[str, Any], list[Constraint]]:
    """The mapping of parameters, if the first argument is one, and the constraints."""
    mapping: Mapping[str, Any] = {}
    constraints: list[Constraint] = []
    for index, part in enumerate(given):
        if isinstance(part, Mapping) and index == 0:
            mapping = part
        elif isinstance(part, Rule | Predicate):
            constraints.append(part)
        else:
            raise SpaceError(
                f"the positional arguments of Space must be constraints, after at most one mapping of parameters; got "
                f'{part!r}; write Space(constraint("low < high"), low=…, high=…)'
            )
    return mapping, constraints
