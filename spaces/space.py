"""Space: names → domains, conditions and constraints. Everything that asks "which configs are legal?" asks here.

A config is a plain mapping that holds the active parameters only: `units_3` is absent when there are two layers.
One primitive, `walk`, visits the parameters in an order in which conditions can be decided, and asks a function for
each active value; decoding, mutation and Optuna's suggestions are walks with different functions.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from archsearch.spaces.changes import Change, changes
from archsearch.spaces.constraints import Constraint, Predicate, RejectionRates, Rule, constraint_from_json
from archsearch.spaces.dependency_order import Step, in_dependency_order
from archsearch.spaces.domains import Value
from archsearch.spaces.errors import ConfigError, SpaceError, unknown
from archsearch.spaces.flattening import Parameter, When, check_paths, flatten, nested
from archsearch.spaces.grid import grid, size
from archsearch.spaces.partial import PartialSpace

__all__ = ["Config", "Parameter", "Space", "When"]

Config = Mapping[str, Value]

_TRIES = 100_000  # draws until a space with constraints counts as empty, which takes a second or two


class Space:
    """The legal configurations: `Space(lr=Float(1e-5, 1e-1, log=True), depth=Int(1, 8), activation="relu")`.

    Each argument by name is a domain, a `When`, a `Repeat`, another `Space`, or a plain constant, which every config
    then holds. Parameters may also be given as one mapping, for names that are no identifiers; constraints follow it,
    or stand first: `Space(constraint("low < high"), low=Int(1, 9), high=Int(1, 9))`.

    A space is flat, however it was declared: the parameters of a nested space `block` are `block.kernel`, …, those of
    a `Repeat` are `units_1`, `units_2`, …; `nested` gives a config the declared form.

    Raises SpaceError for a name that is no parameter in a condition or constraint, for conditions in a circle, and for
    values that are not plain.
    """

    def __init__(self, /, *given: Mapping[str, Any] | Constraint, **named: Any) -> None:
        mapping, constraints = _told_apart(given)
        if twice := mapping.keys() & named.keys():
            raise SpaceError(f"parameter '{min(twice)}' is declared twice; drop one")
        for name in mapping:
            if not isinstance(name, str) or not name:
                raise SpaceError(f"a parameter's name must be text, got {name!r}")
        parts = list(flatten({**mapping, **named}))
        held = [part for part in parts if not isinstance(part, Parameter)]
        self._settle([part for part in parts if isinstance(part, Parameter)], [*constraints, *held])

    @classmethod
    def _from_parts(cls, parameters: Iterable[Parameter], constraints: Iterable[Constraint]) -> Space:
        """A space of what was flat already."""
        space = cls.__new__(cls)
        space._settle(parameters, constraints)
        return space

    def _settle(self, parameters: Iterable[Parameter], constraints: Iterable[Constraint]) -> None:
        self._by_name: dict[str, Parameter] = {}
        for parameter in parameters:
            if self._by_name.setdefault(parameter.name, parameter) is not parameter:
                raise SpaceError(f"parameter '{parameter.name}' is declared twice; drop one")
        self._constraints = tuple(constraints)
        check_paths(self._by_name.values())
        self._steps = in_dependency_order(self._by_name, self._constraints)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of declaration."""
        return tuple(self._by_name.values())

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """In the order of declaration."""
        return self._constraints

    @property
    def steps(self) -> tuple[Step, ...]:
        """In the order in which `walk` decides them, with the constraints that can be tested then."""
        return self._steps

    @property
    def free(self) -> tuple[Parameter, ...]:
        """Those with more than one possible value, in the order of declaration."""
        return tuple(p for p in self._by_name.values() if not p.fixed)

    @property
    def serializable(self) -> bool:
        """Does JSON hold all of it? Not where a constraint is a Python function, of which JSON keeps the name."""
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
        """Both spaces' parameters and constraints; SpaceError when they share a name."""
        if shared := self._by_name.keys() & other._by_name.keys():
            raise SpaceError(f"parameter '{min(shared)}' is declared by both spaces; rename one")
        return Space._from_parts((*self.parameters, *other.parameters), (*self.constraints, *other.constraints))

    def constrained(self, *constraints: Constraint) -> Space:
        """The same space under these constraints too; SpaceError for what is none, or reads an unknown parameter."""
        for each in constraints:
            if not isinstance(each, Rule | Predicate):
                raise SpaceError(f"a constraint is made with constraint(...), got {each!r}; write constraint('a < b')")
        new = [each for each in constraints if each not in self.constraints]
        return Space._from_parts(self.parameters, (*self.constraints, *new)) if new else self

    def walk(self, choose: Callable[[Parameter], Value]) -> dict[str, Value]:
        """The config that `choose` makes: it is asked for each active parameter, after those its condition reads.

        Conditions hold by construction; domains and constraints are up to `choose`: see `broken`.
        """
        config: dict[str, Value] = {}
        for step in self._steps:
            if step.holds is None or step.holds(config):
                config[step.name] = choose(step.parameter)
        return self.as_declared(config)

    def sample(self, rng: np.random.Generator) -> dict[str, Value]:
        """A legal config: each active domain is drawn by its prior and its own measure (log domains in the logarithm),
        and anew while a constraint is broken.

        Raises SpaceError when hardly a draw is legal.
        """
        broke: Counter[str] = Counter()
        for _ in range(_TRIES):
            config, broken = self._drawn(rng)
            if broken is None:
                return self.as_declared(config)
            broke[broken.name] += 1
        shares = ", ".join(
            f"'{name}' broke first in {100 * count / _TRIES:.5g}%" for name, count in broke.most_common(3)
        )
        raise SpaceError(
            f"the space has no legal config, or hardly any: of {_TRIES:,} draws {shares}; loosen a constraint, or move "
            "the domains to where it holds"
        )

    def rejection_rates(self, rng: np.random.Generator, samples: int = 1000) -> RejectionRates:
        """How much of the space the constraints take away, by so many draws without them."""
        if samples < 1:
            raise SpaceError(f"rejected() needs at least one sample, got {samples!r}")
        broke: Counter[str] = Counter({constraint.name: 0 for constraint in self._constraints})
        rejected = 0
        for _ in range(samples):
            config, _ = self._drawn(rng, tested=False)
            broken = {constraint.name for constraint in self.violated(config)}
            broke.update(broken)
            rejected += bool(broken)
        return RejectionRates(rejected / samples, {name: count / samples for name, count in broke.most_common()})

    def active(self, config: Config) -> tuple[str, ...]:
        """The names that a config with these values holds, in the order of declaration.

        Of what hangs on a value that is not given, none is active.
        """
        known: dict[str, Value] = {}
        names: set[str] = set()
        for step in self._steps:
            if step.holds is None or step.holds(known):
                names.add(step.name)
                if step.name in config:
                    known[step.name] = config[step.name]
        return tuple(name for name in self._by_name if name in names)

    def as_declared(self, config: Config) -> dict[str, Value]:
        """The config's values in the order of declaration."""
        return {name: config[name] for name in self._by_name if name in config}

    def violated(self, config: Config) -> tuple[Constraint, ...]:
        """The constraints that the config breaks, where `walk` and the domains saw to all else."""
        return tuple(constraint for constraint in self._constraints if constraint.violated(config))

    def check(self, config: Config) -> None:
        """Raises ConfigError, naming parameter, value and domain, or the constraint, unless the config is legal."""

        def value_of(parameter: Parameter) -> Value:
            name = parameter.name
            if name not in config:
                raise ConfigError(f"parameter '{name}' is missing; give a value of {parameter.domain}", parameter=name)
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
                f"constraint '{constraint.name}' is broken by {values}; change one of them",
                parameter=constraint.name,
                value=values,
            )

    def legal(self, config: Config) -> bool:
        """Would `check` pass?"""
        try:
            self.check(config)
        except ConfigError:
            return False
        return True

    def nested(self, config: Config) -> dict[str, Any]:
        """The config as it was declared: `{"units": [32, 64], "block": {"kernel": 3}}`."""
        return nested(self.parameters, config)

    def size(self, points: int | None = None) -> float:
        """How many configurations `grid(points)` has when constraints are ignored; may be infinite.

        Exact while the parameters that conditions read have up to 10,000 configs between them; beyond, an upper bound.
        So it is where some of the `points` of a narrow domain are one value.
        """
        return self._size if points is None else size(self._steps, points)

    def grid(self, points: int | None = None) -> Iterator[dict[str, Value]]:
        """Every legal config once; of an Int or Float with more values, `points`, spread evenly in its measure, ends
        included.

        Raises SpaceError for a continuous Float without `points`.
        """
        return map(self.as_declared, grid(self._steps, points))

    def fix(self, values: Config | None = None, /, **named: Value) -> Space:
        """The same space with these parameters constant: `fix(units=64)`, `fix({"block.kernel": 3})`.

        What can no longer be active is gone, and so are conditions and constraints that always hold. Raises
        ConfigError for a value that its domain, a condition or a constraint does not allow.
        """
        given = {**(values or {}), **named}
        for name in given:
            if name not in self:
                raise ConfigError(unknown("parameter", name, self), parameter=name, value=given[name])
        fixing = PartialSpace(self._steps, given)
        left = [fixing.parameters[name] for name in self._by_name if name in fixing.parameters]
        return Space._from_parts(left, fixing.constraints(self._constraints))

    def digest(self) -> str:
        """16 hex digits that two spaces share exactly when they declare the same, in whatever order.

        Of a constraint that is a Python function, the name counts.
        """
        return self._digest

    def diff(self, other: Space) -> tuple[Change, ...]:
        """What has changed from this space to the other; empty exactly when their digests are equal."""
        return tuple(changes(self._by_name, other._by_name, self._constraints, other._constraints))

    def to_json(self) -> dict[str, Any]:
        return {
            "parameters": {name: parameter.to_json() for name, parameter in self._by_name.items()},
            "constraints": [constraint.to_json() for constraint in self._constraints],
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Space:
        """The space that `to_json` wrote, its Python functions apart: without them it can be read, and not sampled."""
        parameters = [Parameter.from_json(name, part) for name, part in body["parameters"].items()]
        return cls._from_parts(parameters, map(constraint_from_json, body["constraints"]))

    # Not by JSON, which has no functions.
    def __reduce__(self) -> tuple[Any, ...]:
        return Space._from_parts, (self.parameters, self.constraints)

    def _drawn(self, rng: np.random.Generator, tested: bool = True) -> tuple[dict[str, Value], Constraint | None]:
        """A draw, as far as it came, and the first constraint that it breaks."""
        config: dict[str, Value] = {}
        for step, even in zip(self._steps, rng.random(len(self._steps)).tolist(), strict=True):
            if step.holds is None or step.holds(config):
                config[step.name] = step.draw(even)
            if tested and step.constraints:
                for constraint in step.constraints:
                    if constraint.violated(config):
                        return config, constraint
        return config, None

    @cached_property
    def _size(self) -> float:
        return size(self._steps)

    @cached_property
    def _digest(self) -> str:
        body = self.to_json()
        body["constraints"].sort(key=json.dumps)
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told_apart(given: Iterable[object]) -> tuple[Mapping[str, Any], list[Constraint]]:
    """The mapping of parameters, which comes first if there is one, and the constraints."""
    mapping: Mapping[str, Any] = {}
    constraints: list[Constraint] = []
    for place, part in enumerate(given):
        if isinstance(part, Mapping) and place == 0:
            mapping = part
        elif isinstance(part, Rule | Predicate):
            constraints.append(part)
        else:
            raise SpaceError(
                f"Space takes one mapping of parameters, and constraints after it, got {part!r}; write "
                'Space(constraint("low < high"), low=…, high=…)'
            )
    return mapping, constraints
