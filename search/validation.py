"""What is checked, and said, of the parts that a study is made of: strategies, pruners, objectives."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from inspect import getattr_static
from typing import Any, Self

from archsearch.spaces import SpecError
from archsearch.spaces.argument_checks import whole_number
from archsearch.spaces.errors import ArgumentError, unknown

# From which difflib ratio on a name is taken for another one misspelt: `metric_of` and `metrics_of` have 0.95, `shape`
# and `space`, which are not meant, 0.8. Where a required name is missing there is less to lose by a suggestion.
_SIMILAR = 0.85
_SIMILAR_REQUIRED = 0.6


def check_int(owner: Any, name: str, *, least: int, allow_none: bool = False) -> None:
    """Checks a field of a frozen dataclass that must be a whole number, and makes it a plain int.

    Args:
        owner: The dataclass; the field's default is recommended in the message.
        name: The field's name.
        least: The lowest value that is allowed.
        allow_none: None has a meaning too.

    Raises:
        SpecError: The field is no whole number, or below `least`.
    """
    value = getattr(owner, name)
    if allow_none and value is None:
        return
    try:
        object.__setattr__(owner, name, whole_number(value, name, least=least))
    except ArgumentError as error:
        usual = next(field.default for field in fields(owner) if field.name == name)
        raise SpecError(f"{type(owner).__name__} {error}; {usual} is usual") from None


@dataclass(frozen=True, slots=True)
class Seam:
    """The names by which the engine knows a part of a study.

    Attributes:
        role: The part's name as an argument of `Study`: "strategy".
        example: Something that would do, for messages: "TPE()".
        base: The class that it must derive from; None: any object will do.
        required: Methods of which it must implement at least one.
        methods: Methods that it may implement.
        attributes: Attributes that it may have.
    """

    role: str
    example: str
    base: type | None = None
    required: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()

    @classmethod
    def from_base(cls, base: type, *, role: str, example: str, required: tuple[str, ...]) -> Self:
        """The seam whose members are the public ones of the class, all with working defaults but the required ones."""
        public = [name for name in vars(base) if not name.startswith("_") and name not in required]
        methods = tuple(name for name in public if callable(getattr(base, name)))
        attributes = tuple(name for name in public if name not in methods)
        return cls(role, example, base, required, methods, attributes)

    def check(self, part: Any) -> None:
        """Checks that an object fits the seam, so that a slip is found before anything is trained.

        Raises:
            SpecError: It is a class, does not derive from the base, has no required method, has one that cannot be
                called, or has a member whose name is nearly one of the seam's, which would never be called.
        """
        if isinstance(part, type):
            raise SpecError(f"{self.role} is the class {part.__name__}; write {part.__name__}()")
        who = stable_repr(part)
        if self.base is not None and not isinstance(part, self.base):
            name = self.base.__name__
            raise SpecError(
                f"{self.role} must be a {name}, got {who}; try {self.example}, or derive its class from "
                f"archsearch.{name}"
            )
        if self.required and not any(self._implements(part, name) for name in self.required):
            near = [mine for name in self.required if (mine := self._misspelt(part, name, _SIMILAR_REQUIRED))]
            hint = f"is `{near[0]}` meant as one?" if near else f"try {self.example}"
            names = " or ".join(f"`{name}`" for name in self.required)
            raise SpecError(f"{self.role} must have a method {names}, and {who} has none; {hint}")
        for name in (*self.required, *self.methods, *self.attributes):
            if self._implements(part, name):
                if name not in self.attributes and not callable(getattr(part, name)):
                    raise SpecError(f"`{name}` of the {self.role} {who} must be a method, got {getattr(part, name)!r}")
            elif (near_name := self._misspelt(part, name, _SIMILAR)) is not None:
                raise SpecError(
                    f"unknown member `{near_name}` of the {self.role} {who}; did you mean `{name}`? If not, begin its "
                    "name with an underscore"
                )

    def _implements(self, part: Any, name: str) -> bool:
        """Has it the member, other than by the default of the base? None stands for none."""
        found = getattr_static(part, name, None)
        return found is not None and (self.base is None or found is not getattr_static(self.base, name, None))

    def _misspelt(self, part: Any, name: str, similarity: float) -> str | None:
        """A public member of its own that has nearly this name, and is a method where this names one."""
        known = {*self.required, *self.methods, *self.attributes}
        for mine in dir(part):
            if mine in known or mine.startswith("_"):
                continue
            found = getattr_static(part, mine)  # a property is not computed
            is_method = callable(found) or isinstance(found, classmethod)
            if is_method != (name in self.attributes) and SequenceMatcher(None, mine, name).ratio() >= similarity:
                return mine
        return None


def check_metrics(wanted: Iterable[str], known: Collection[str], objective: Any) -> None:
    """Checks that the objective yields the metrics that a study is about.

    Args:
        wanted: Those of the study's goals and outcome constraints.
        known: Those that the objective yields.
        objective: It; its `optional_metrics` are what it would yield if its argument `metrics` named them.

    Raises:
        SpecError: One of them is not known.
    """
    for metric in wanted:
        if metric in known:
            continue
        if metric in (getattr(objective, "optional_metrics", None) or ()):
            call = type(objective).__name__
            raise SpecError(
                f"metric '{metric}' is reported only where it is named; write {call}(..., metrics=('{metric}',))"
            )
        raise SpecError(unknown("metric", metric, known))


def stable_repr(part: object) -> str:
    """The repr of an object without addresses in memory, so that it is the same in every process.

    An object without a `__repr__` of its own is the qualified name of its class.
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", re.sub(r"<([\w.<>]+) object at 0x[0-9a-fA-F]+>", r"\1", repr(part)))
