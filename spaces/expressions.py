"""Conditions and constraints as text, parsed without `eval`: `"optimizer == 'sgd' and block.layers >= 2"`.

They are text so that a space can be written as JSON, hashed, and compared with another. Names (also dotted ones),
constants, comparisons, `in`, `and`, `or`, `not` and arithmetic are supported; anything else is an error at declaration.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archsearch.spaces.errors import SpaceError

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

_MAX_DEPTH = 100  # of nested operations, because evaluation is recursive
_TOO_LARGE = (RecursionError, MemoryError, ValueError)

_MIRRORED: dict[type[ast.AST], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}

Evaluate = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A part of an expression that compares a parameter with a literal, such as `depth >= 2`.

    Attributes:
        text: The part as text.
        name: The parameter.
        operator: The operator with the parameter on its left, such as ">=".
        literal: The value on its right; a tuple for `in`.
        true_of: Whether it is true for a value of the parameter. Raises TypeError if the two cannot be compared.
    """

    text: str
    name: str
    operator: str
    literal: Any
    true_of: Callable[[Any], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed condition or constraint. `names` are the parameters that it reads.

    Two expressions are equal if their normalized texts are.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    what: str = field(compare=False, repr=False)  # "condition" or "constraint", for errors
    _evaluate: Evaluate = field(compare=False, repr=False)

    @classmethod
    def from_text(cls, text: str, what: str = "condition") -> Expression:
        """Parses the text. Raises SpaceError with the text and the part that is not supported."""
        if not isinstance(text, str):
            raise SpaceError(f"a {what} must be text such as \"optimizer == 'sgd'\", got {text!r}")
        try:
            return cls._from_tree(_parsed(text), text, what)
        except SyntaxError as error:
            raise SpaceError(f"{what} {text!r} does not parse at column {error.offset}: {error.msg}") from error
        except _TOO_LARGE as error:
            raise SpaceError(
                f"{what} '{text[:60]}…' cannot be parsed: it is nested too deeply, or has a number with thousands of "
                "digits; simplify it"
            ) from error

    @classmethod
    def _from_tree(cls, tree: ast.expr, text: str, what: str) -> Expression:
        names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
        evaluate = _compile(tree, f"{what} {text!r}")
        return cls(_text(tree), names, what, evaluate)

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether it is true for these values. False if a parameter that it reads is inactive."""
        return self.names <= config.keys() and self.true_of(config)

    def true_of(self, config: Mapping[str, Any]) -> bool:
        """Whether it is true for these values, which include all that it reads."""
        try:
            return bool(self._evaluate(config))
        except (TypeError, ArithmeticError) as error:
            values = {name: config[name] for name in sorted(self.names)}
            raise SpaceError(f"{self.what} {self.text!r} cannot be evaluated with {values}: {error}") from error

    def renamed(self, names: Mapping[str, str]) -> Expression:
        """The same expression with other parameter names; names that are not in the mapping are kept."""
        tree = _parsed(self.text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
        return Expression._from_tree(tree, self.text, self.what)

    def negated(self) -> Expression:
        return Expression._from_tree(ast.UnaryOp(ast.Not(), _parsed(self.text)), self.text, self.what)

    def __and__(self, other: Expression) -> Expression:
        parts = [part for each in (self, other) for part in _conjuncts(_parsed(each.text))]
        return Expression._from_tree(ast.BoolOp(ast.And(), parts), f"{self.text} and {other.text}", self.what)

    def comparisons(self) -> Iterator[Comparison]:
        """Its comparisons of one parameter with a literal, wherever they stand in it."""
        for node in ast.walk(_parsed(self.text)):
            if isinstance(node, ast.Compare):
                sides = (node.left, *node.comparators)
                for left, op, right in zip(sides, node.ops, node.comparators, strict=False):
                    if isinstance(right, ast.Name) and not isinstance(op, ast.In | ast.NotIn):
                        left, op, right = right, _MIRRORED.get(type(op), type(op))(), left
                    if isinstance(left, ast.Name) and (literal := _literal(right)):
                        yield _comparison(left.id, op, right, *literal)

    def decided(self, known: Mapping[str, Any]) -> bool | None:
        """Its truth if the known values decide it whatever the other values are, else None.

        It assumes that all parameters that it reads are active.
        """
        return _decided(_parsed(self.text), self, known)

    # Closures cannot be pickled; the text can.
    def __reduce__(self) -> tuple[Any, ...]:
        return Expression.from_text, (self.text, self.what)


def is_name(text: str) -> bool:
    """Whether an expression reads this text as one name."""
    try:
        tree = _parsed(text)
    except (SyntaxError, *_TOO_LARGE):
        return False
    return isinstance(tree, ast.Name) and tree.id == text


def _parsed(text: str) -> ast.expr:
    """The syntax tree of the text, in which `block.kernel` is one name."""
    tree: ast.expr = _Dotted().visit(ast.parse(text.strip(), mode="eval").body)
    _check_depth(tree)
    return tree


class _Dotted(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        inner = self.visit(node.value)
        return ast.Name(f"{inner.id}.{node.attr}", ast.Load()) if isinstance(inner, ast.Name) else node


def _conjuncts(tree: ast.expr) -> list[ast.expr]:
    return tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]


def _decided(tree: ast.expr, whole: Expression, known: Mapping[str, Any]) -> bool | None:
    """Three-valued logic (Kleene's): `a and b` is False as soon as one of them is, `a or b` True as soon as one is."""
    match tree:
        case ast.BoolOp(op, values):
            return _joint(values, isinstance(op, ast.Or), whole, known)
        case ast.UnaryOp(ast.Not(), operand):
            verdict = _decided(operand, whole, known)
            return None if verdict is None else not verdict
        case _:
            part = Expression._from_tree(tree, whole.text, whole.what)
            return part.true_of(known) if part.names <= known.keys() else None


def _joint(values: list[ast.expr], settles: bool, whole: Expression, known: Mapping[str, Any]) -> bool | None:
    """Evaluates from left to right, like Python: parts after the one that decides are not evaluated."""
    undecided = False
    for value in values:
        try:
            verdict = _decided(value, whole, known)
        except SpaceError:
            if not undecided:
                raise
            verdict = None  # an undecided part before it may prevent its evaluation
        if verdict is settles:
            return settles
        undecided |= verdict is None
    return None if undecided else not settles


def _literal(node: ast.expr) -> tuple[Any] | None:
    """The value of a literal, in a tuple, since it may be None; None if the node is something else."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError):
        return None


def _comparison(name: str, op: ast.cmpop, right: ast.expr, literal: Any) -> Comparison:
    compare, word = _BINARY[type(op)], _WORDS[type(op)]
    return Comparison(
        f"{name} {word} {_text(right, 5)}", name, word, literal, lambda value: bool(compare(value, literal))
    )


def _compile(node: ast.AST, text: str) -> Evaluate:
    match node:
        case ast.Constant(value):
            return lambda config: value
        case ast.Name(name):
            return operator.itemgetter(name)
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
            return _applied(_numeric(_BINARY[type(op)]), _compile(left, text), _compile(right, text))
        case ast.Compare(ast.Name(name), [op], [ast.Constant(value)]) if type(op) in _BINARY:
            compare = _BINARY[type(op)]  # a fast path for nearly all conditions
            return lambda config: compare(config[name], value)
        case ast.Compare(left, [op], [right]) if type(op) in _BINARY:
            return _applied(_BINARY[type(op)], _compile(left, text), _compile(right, text))
        case ast.Compare(left, ops, rights) if all(type(op) in _BINARY for op in ops):
            return _chained([_BINARY[type(op)] for op in ops], [_compile(part, text) for part in (left, *rights)])
        case _:
            raise SpaceError(
                f"{text} uses {ast.unparse(node)!r}, which is not supported; use names, constants, comparisons, in, "
                "and, or, not and arithmetic"
            )


# Operator precedence, from `or` to the minus sign.
_LEVELS: dict[type[ast.AST], int] = {ast.Or: 1, ast.And: 2, ast.Not: 3, ast.Compare: 4, ast.USub: 7}
_WORDS: dict[type[ast.AST], str] = {
    **{ast.Or: "or", ast.And: "and", ast.Not: "not ", ast.USub: "-", ast.In: "in", ast.NotIn: "not in"},
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%"},
    **{ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
}


def _text(tree: ast.AST, least: int = 0) -> str:
    """The tree as text, in brackets if its precedence is below `least`.

    Not `ast.unparse`, whose output differs between Python versions, and would change digests.
    """
    match tree:
        case ast.BoolOp(op, values):
            level = _LEVELS[type(op)]
            text = f" {_WORDS[type(op)]} ".join(_text(value, level + 1) for value in values)
        case ast.UnaryOp(op, operand):
            level = _LEVELS[type(op)]
            text = f"{_WORDS[type(op)]}{_text(operand, level)}"
        case ast.BinOp(left, op, right):
            level = 5 if isinstance(op, ast.Add | ast.Sub) else 6
            text = f"{_text(left, level)} {_WORDS[type(op)]} {_text(right, level + 1)}"
        case ast.Compare(left, ops, rights):
            level = 4
            links = (f" {_WORDS[type(op)]} {_text(right, 5)}" for op, right in zip(ops, rights, strict=True))
            text = f"{_text(left, 5)}{''.join(links)}"
        case ast.Tuple(items) | ast.List(items) | ast.Set(items):
            level = 8
            text = f"({', '.join(map(_text, items))}{',' if len(items) == 1 else ''})"
        case _:
            level, text = 8, ast.unparse(tree)
    return text if level >= least else f"({text})"


def _joined(parts: list[Evaluate], until: bool) -> Evaluate:
    """`a or b` (until True) or `a and b` (until False). As in Python, the value is that of the part that decides."""

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
        if depth > _MAX_DEPTH:
            raise RecursionError


def _numeric(operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Restricts an operation to numbers, because `'a' * 10000000000` or `'%9999999999d' % n` would fill the memory."""

    def evaluate(left: Any, right: Any) -> Any:
        if not (isinstance(left, int | float | np.number) and isinstance(right, int | float | np.number)):
            raise TypeError(f"arithmetic needs numbers, got {left!r} and {right!r}")
        return operate(left, right)

    return evaluate


def _applied(operate: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda config: operate(left(config), right(config))


def _chained(operators: list[Callable[[Any, Any], Any]], parts: list[Evaluate]) -> Evaluate:
    """`a < b < c`. As in Python, evaluation stops at the first comparison that is false."""

    def evaluate(config: Mapping[str, Any]) -> Any:
        left = parts[0](config)
        for link, part in zip(operators, parts[1:], strict=True):
            right = part(config)
            if not link(left, right):
                return False
            left = right
        return True

    return evaluate
