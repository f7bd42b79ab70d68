"""Flattening: conditions, repeats and nested spaces become one flat list of parameters, and configs are nested again.

Strategies need flat names and plain conditions: `units_3`, active when `units.times >= 3`. Users want to declare a
layer once and to read `{"units": [32, 64, 64]}`. A parameter's `path` is its position in that nested form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.spaces.constraints import Constraint
from archsearch.spaces.domains import Choice, Domain, Float, Int, Value, domain_from_json
from archsearch.spaces.errors import ConfigError, SpaceError, unknown
from archsearch.spaces.expressions import Expression, is_name

Path = tuple[str | int, ...]

_MAX_REPEATS = 1000  # more is probably a mistake, and would take minutes to declare


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named domain, with the condition under which it is active.

    Args:
        name: The flat name, such as "blocks_1.kernel".
        domain: Its values.
        condition: When it is active; None for always.
        path: Its position in the nested form, such as ("blocks", 1, "kernel"). The elements of a Repeat count from 1;
            index 0 is the parameter that holds their number.
    """

    name: str
    domain: Domain
    condition: Expression | None = None
    path: Path = ()

    def __post_init__(self) -> None:
        if not self.path:
            object.__setattr__(self, "path", (self.name,))

    def __str__(self) -> str:
        return f"{self.domain} when {self.condition.text}" if self.condition else f"{self.domain}"

    @property
    def fixed(self) -> bool:
        """Whether there is only one value, so that there is nothing to search."""
        return self.domain.size() == 1

    def check(self, value: object) -> None:
        """Raises ConfigError, naming parameter, value and domain, unless the value is in the domain."""
        if value not in self.domain:
            raise ConfigError(
                f"parameter '{self.name}' is {value!r}, which is not in {self.domain}", parameter=self.name, value=value
            )

    def to_json(self) -> dict[str, Any]:
        when = {"when": self.condition.text} if self.condition else {}
        path = {"path": list(self.path)} if self.path != (self.name,) else {}
        return {**self.domain.to_json(), **when, **path}

    @classmethod
    def from_json(cls, name: str, body: Mapping[str, Any]) -> Parameter:
        condition = Expression.from_text(body["when"]) if "when" in body else None
        return cls(name, domain_from_json(body), condition, tuple(body.get("path", ())))


@runtime_checkable
class Nested(Protocol):
    """A nested space, as a protocol: this module cannot import Space, which imports it."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def constraints(self) -> tuple[Constraint, ...]: ...


@dataclass(frozen=True, slots=True, init=False)
class When(ArgumentHints):
    """Declares what is active only if a condition holds: `When("optimizer == 'sgd'", Float(0, 1))`.

    Args:
        condition: Text with parameter names, constants, comparisons, `in`, `and`, `or`, `not` and arithmetic. A
            condition that reads an inactive parameter does not hold. Parameters of a nested space are read as
            `block.kernel`.
        what: A domain, a constant, a Space, a Repeat or another When.

    Raises:
        SpaceError: The condition does not parse.

    Example:
        >>> from archsearch import Choice, Float, Space, When
        >>> space = Space(optimizer=Choice("sgd", "adam"), momentum=When("optimizer == 'sgd'", Float(0.0, 0.99)))
        >>> space.active({"optimizer": "adam"})
        ('optimizer',)
    """

    condition: Expression
    what: Any

    def __init__(self, condition: str, what: Any) -> None:
        object.__setattr__(self, "condition", Expression.from_text(condition))
        object.__setattr__(self, "what", _as_domain(what))


@dataclass(frozen=True, slots=True, init=False)
class Repeat(ArgumentHints):
    """Declares a list of elements: `units=Repeat(Choice(32, 64), times=Int(1, 4))` makes `units_1` … `units_4`.

    Args:
        item: What each element is: a domain, a constant, a When, or a Space, whose parameters then exist once for each
            element, as `blocks_1.kernel`.
        times: The number of elements, from 0 to 1000: an integer; a domain of integers, which becomes the parameter
            `units.times`; or the name of another parameter of the space. Element k is active if there are at least k.

    Raises:
        SpaceError: `times` is out of range or not an integer.

    Example:
        >>> from archsearch import Choice, Int, Repeat, Space
        >>> space = Space(units=Repeat(Choice(32, 64), times=Int(1, 3)))
        >>> space.nested({"units.times": 2, "units_1": 64, "units_2": 32})
        {'units': [64, 32]}
    """

    item: Any
    times: int | Int | Choice | str

    def __init__(self, item: Any, times: int | Int | Choice | str) -> None:
        object.__setattr__(self, "item", _as_domain(item))
        if not isinstance(times, str):
            domain = times if isinstance(times, Int | Float | Choice) else Choice(times)
            low, _ = _counts(domain)
            times = low if domain is not times else times
        object.__setattr__(self, "times", times)


def flatten(declared: Mapping[str, Any]) -> Iterator[Parameter | Constraint]:
    """The declared parameters and constraints under their flat names, in the order of declaration."""
    parts: dict[str, list[Parameter | Constraint]] = {}
    known: dict[str, Parameter] = {}
    waiting = dict(declared)
    while waiting:
        # A Repeat whose `times` names a parameter comes after it. `_flat` raises if there is no such parameter.
        ready = [name for name, value in waiting.items() if _counters(value) <= known.keys()] or list(waiting)
        for name in ready:
            parts[name] = list(_flat(name, (name,), None, waiting.pop(name), known))
        known |= {p.name: p for name in ready for p in parts[name] if isinstance(p, Parameter)}
    return (part for name in declared for part in parts[name])


def check_paths(parameters: Iterable[Parameter]) -> None:
    """Raises SpaceError if two parameters have conflicting positions in the nested form."""
    claims: dict[Path, tuple[object, str]] = {}
    for parameter in parameters:
        path, name = parameter.path, parameter.name
        for depth in range(len(path) + 1):
            # A position holds one value, a dict (with text as keys), or a list.
            kind = type(path[depth]) if depth < len(path) else name
            taken, first = claims.setdefault(path[:depth], (kind, name))
            if taken != kind:
                raise SpaceError(f"'{name}' and '{first}' cannot both be nested at '{path[0]}'; rename one")


def nested(parameters: Sequence[Parameter], config: Mapping[str, Value]) -> dict[str, Any]:
    """The config in nested form: a dict for each nested space, and a list for each Repeat.

    The list is empty if the Repeat has no element in this config, and absent if it can have none in any.
    """
    lists = {p.path[:depth] for p in parameters for depth, key in enumerate(p.path) if isinstance(key, int)}
    root: dict[Any, Any] = {}
    for parameter in parameters:
        if parameter.name in config:
            node, (*holders, last) = root, parameter.path
            for key in holders:
                node = node.setdefault(key, {})
            if last != 0:
                node[last] = config[parameter.name]
    for *holders, last in sorted(lists, key=len):
        if isinstance(last, str):  # a list within a list is an element, which exists only if it is active
            node = root
            for key in holders:
                node = node.get(key, {})
            node.setdefault(last, {})
    return _listed(root, (), lists)  # type: ignore[no-any-return]  # the root is no list


def _listed(node: Any, path: Path, lists: set[Path]) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(part, (*path, key), lists) for key, part in node.items()}
    return [inner[key] for key in sorted(inner)] if path in lists else inner


def _flat(
    name: str, path: Path, condition: Expression | None, value: Any, known: Mapping[str, Parameter]
) -> Iterator[Parameter | Constraint]:
    match value:
        case When():
            yield from _flat(name, path, _both(condition, value.condition), value.what, known)
        case Repeat():
            yield from _repeated(name, path, condition, value, known)
        case Int() | Float() | Choice():
            yield Parameter(name, value, condition, path)
        case Nested() if not isinstance(value, type):
            _check_holder(name)
            names = {p.name: f"{name}.{p.name}" for p in value.parameters}
            for p in value.parameters:
                own = None if p.condition is None else p.condition.renamed(names)
                yield Parameter(names[p.name], p.domain, _both(condition, own), (*path, *p.path))
            for constraint in value.constraints:
                yield constraint.within(name, names)
        case _:
            yield Parameter(name, _constant(name, value), condition, path)


def _repeated(
    name: str, path: Path, condition: Expression | None, repeat: Repeat, known: Mapping[str, Parameter]
) -> Iterator[Parameter | Constraint]:
    _check_holder(name)
    match repeat.times:
        case str(count):
            low, high = _named_counts(name, count, known)
        case int(number):
            count, low, high = "", number, number
        case domain:
            count, (low, high) = f"{name}.times", _counts(domain)
            yield Parameter(count, domain, condition, (*path, 0))
    for k in range(1, high + 1):
        enough = None if k <= low else Expression.from_text(f"{count} >= {k}")
        yield from _flat(f"{name}_{k}", (*path, k), _both(condition, enough), repeat.item, known)


def _named_counts(name: str, count: str, known: Mapping[str, Parameter]) -> tuple[int, int]:
    """The smallest and the largest number of elements, where another parameter holds their number."""
    if count not in known:
        raise SpaceError(f"times of the Repeat '{name}' is an {unknown('parameter', count, known)}")
    if not is_name(count):
        raise SpaceError(f"times of the Repeat '{name}' is '{count}', which conditions cannot read; rename it")
    if not isinstance(known[count].domain, Int | Choice):
        raise SpaceError(f"times of the Repeat '{name}' must name an Int, got '{count}', {known[count].domain}")
    low, high = _counts(known[count].domain)
    # If the parameter may be inactive, there may be no elements, so every element needs a condition.
    return (low if known[count].condition is None else 0), high


def _counts(domain: Domain) -> tuple[int, int]:
    values = domain.values if isinstance(domain, Choice) else (domain.from_unit(0.0), domain.from_unit(1.0))
    whole = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    if len(whole) < len(values) or min(whole) < 0 or max(whole) > _MAX_REPEATS:
        raise SpaceError(
            f"Repeat times must be a whole number from 0 to {_MAX_REPEATS}, a domain of such numbers or a parameter's "
            f"name, got {values[0] if len(values) == 1 else domain!r}"
        )
    return min(whole), max(whole)


def _counters(value: Any) -> set[str]:
    """The names of the parameters that hold the numbers of elements of Repeats in this value."""
    match value:
        case When():
            return _counters(value.what)
        case Repeat():
            return _counters(value.item) | ({value.times} if isinstance(value.times, str) else set())
        case _:
            return set()


def _both(left: Expression | None, right: Expression | None) -> Expression | None:
    return left & right if left and right else left or right


def _check_holder(name: str) -> None:
    if not is_name(name):
        raise SpaceError(f"'{name}' holds other parameters, so its name must be a Python identifier; rename it")


def _as_domain(value: Any) -> Any:
    """A constant as a Choice with one value; anything else as it is."""
    held = isinstance(value, Int | Float | Choice | When | Repeat) or (
        isinstance(value, Nested) and not isinstance(value, type)
    )
    if isinstance(value, tuple):
        raise SpaceError(f"got {value!r} in place of a domain{_domain_to_write(value)}")
    return value if held else Choice(value)


def _constant(name: str, value: Any) -> Choice:
    if isinstance(value, Constraint):
        raise SpaceError(
            f"'{name}' is {value!r}, and constraints have no name; write Space({value!r}, …), before the parameters"
        )
    if isinstance(value, list | dict | set | tuple) or callable(value):
        raise SpaceError(
            f"parameter '{name}' must be a domain (Choice, Int, Float), a Space, a Repeat, a When or a plain constant, "
            f"got {value!r}{_domain_to_write(value)}"
        )
    return Choice(value)


def _domain_to_write(value: object) -> str:
    """What was probably meant by a tuple or list in place of a domain, as the end of a message."""
    if not isinstance(value, list | tuple) or not value:
        return ""
    if isinstance(value, tuple) and len(value) in (2, 3) and not isinstance(value[-1], int | float):
        value = value[:2]  # (1e-4, 1e-1, "log") of other libraries
    choice = f"Choice({', '.join(map(repr, value))})"
    whole = f", or Choice({tuple(value)!r}) for the tuple itself as a constant"
    numbers = [each for each in value if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(value) != 2 or len(numbers) < 2 or numbers[0] >= numbers[1]:
        return f"; write {choice}{whole}"
    low, high = numbers
    kind = "Int" if isinstance(low, int) and isinstance(high, int) else "Float"
    log = ", log=True" if low > 0 and high / low >= 100 else ""
    return f"; write {kind}({low!r}, {high!r}{log}) for a range, {choice} for two values{whole}"
