"""Conditions as text, parsed safely: `"optimizer == 'sgd' and layers >= 2"`.

Text, because a space must survive as JSON, have a digest and be compared with another. Only names, constants,
comparisons, `in`, `and`, `or`, `not` and arithmetic are understood; anything else is an error at declaration.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spaces.errors import SpaceError

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg}

_DEEPEST = 100  # nested operations; evaluating recurses

Evaluate = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed condition. Two are equal when their normalised texts are; `names` are the parameters it reads."""

    text: str
    names: frozenset[str] = field(compare=False)
    _evaluate: Evaluate = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Raises SpaceError with the text and the place that cannot be understood."""
        if not isinstance(text, str):
            raise SpaceError(f"a condition must be text such as \"optimizer == 'sgd'\", got {text!r}")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            _check_depth(tree)
            normal = ast.unparse(tree)
        except SyntaxError as error:
            raise SpaceError(f"condition {text!r} does not parse at column {error.offset}: {error.msg}") from error
        except (RecursionError, MemoryError, ValueError) as error:
            raise SpaceError(
                f"condition '{text[:60]}…' cannot be read: it nests too deep, or holds a number of thousands of digits"
            ) from error
        names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        return cls(normal, names, _compile(tree, text))

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Is it true of these values? False when a parameter that it reads is not active."""
        if not self.names <= config.keys():
            return False
        try:
            return bool(self._evaluate(config))
        except (TypeError, ArithmeticError) as error:
            values = {name: config[name] for name in sorted(self.names)}
            raise SpaceError(f"condition {self.text!r} cannot be evaluated with {values}: {error}") from error

    # Closures do not pickle; the text does.
    def __reduce__(self) -> tuple[Any, ...]:
        return Expression.parse, (self.text,)


def _compile(node: ast.AST, text: str) -> Evaluate:
    match node:
        case ast.Constant(value):
            return lambda config: value
        case ast.Name(name):
            return lambda config: config[name]
        case ast.Tuple(items) | ast.List(items) | ast.Set(items):
            parts = [_compile(item, text) for item in items]
            return lambda config: tuple(part(config) for part in parts)
        case ast.BoolOp(op, values):
            parts = [_compile(value, text) for value in values]
            return _joined(parts, until=isinstance(op, ast.Or))
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            unary, part = _UNARY[type(op)], _compile(operand, text)
            return lambda config: unary(part(config))
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            parts = [_compile(left, text), _compile(right, text)]
            return _pairwise([_numeric(_BINARY[type(op)])], parts, arithmetic=True)
        case ast.Compare(left, ops, rights) if all(type(op) in _BINARY for op in ops):
            parts = [_compile(part, text) for part in (left, *rights)]
            return _pairwise([_BINARY[type(op)] for op in ops], parts, arithmetic=False)
        case _:
            raise SpaceError(
                f"condition {text!r} uses {ast.unparse(node)!r}; only names, constants, comparisons, in, and, or, not "
                "and arithmetic are understood"
            )


def _joined(parts: list[Evaluate], until: bool) -> Evaluate:
    """`a or b` (until True) and `a and b` (until False), whose value is, as in Python, that of the deciding part."""

    def evaluate(config: Mapping[str, Any]) -> Any:
        value: Any = None
        for part in parts:
            value = part(config)
            if bool(value) is until:
                break
        return value

    return evaluate


def _check_depth(tree: ast.AST) -> None:
    level, depth = [tree], 0
    while level:
        level, depth = [child for node in level for child in ast.iter_child_nodes(node)], depth + 1
        if depth > _DEEPEST:
            raise RecursionError


def _numeric(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """For numbers only: `'a' * 10000000000` and `'%9999999999d' % n` would fill the memory."""

    def evaluate(left: Any, right: Any) -> Any:
        if not (isinstance(left, int | float | np.number) and isinstance(right, int | float | np.number)):
            raise TypeError(f"arithmetic needs numbers, got {left!r} and {right!r}")
        return operate(left, right)

    return evaluate


def _pairwise(operators: list[Callable[[Any, Any], Any]], parts: list[Evaluate], arithmetic: bool) -> Evaluate:
    """`a + b`, or the chain `a < b < c`, which holds when every link does."""

    def evaluate(config: Mapping[str, Any]) -> Any:
        values = [part(config) for part in parts]
        results = (apply(a, b) for apply, a, b in zip(operators, values, values[1:], strict=False))
        return next(results) if arithmetic else all(results)

    return evaluate
