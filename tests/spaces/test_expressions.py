"""Conditions: what they mean, and what they refuse to run."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch import Int, Space, SpaceError, When, constraint
from archsearch.spaces.expressions import Expression, is_name

CONFIG = {"n": 3, "x": 0.5, "opt": "sgd", "flag": True, "shape": (3, 3), "none": None}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("n == 3", True),
        ("n != 3", False),
        ("1 < n <= 3", True),
        ("3 < n < 9", False),
        ("2 < n < 1 / 0", False),  # as in Python: the chain ends at its first false link
        ("opt in ('sgd', 'adam')", True),
        ("opt not in ['sgd']", False),
        ("opt in {'adam'}", False),
        ("not flag", False),
        ("flag and opt == 'sgd' or n > 9", True),
        ("flag and (opt == 'adam' or n > 9)", False),
        ("n * 2 + 1 == 7 and n - 1 == 2 and n / 2 == 1.5 and n // 2 == 1 and n % 2 == 1", True),
        ("-n == -3", True),
        ("shape == (3, 3)", True),
        ("none == None", True),
        ("n", True),
        ("n - 3", False),
        ("  n == 3  ", True),
        ("missing == 1", False),
        ("not missing == 1", False),
        ("n == 3 or missing", False),
        ("(none or n) == 3", True),
        ("(n and x) == 0.5", True),
        ("True", True),
    ],
)
def test_meaning(text: str, holds: bool) -> None:
    if "1 / 0" in text:
        with pytest.raises(SpaceError, match="cannot be evaluated"):
            Expression.from_text(text).holds(CONFIG)  # both sides of a chain are worked out first
    else:
        assert Expression.from_text(text).holds(CONFIG) is holds


def test_numpy_values_are_compared_like_plain_ones() -> None:
    config = {"n": np.int64(3), "x": np.float32(0.5), "opt": np.str_("sgd"), "flag": np.True_}
    assert Expression.from_text("n + 1 == 4 and x * 2 == 1 and opt == 'sgd' and flag").holds(config) is True


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "shape[0].n",
        "(n, x).n",
        "'a'.n == 3",
        "opt.upper() == 'SGD'",
        "len(opt) == 3",
        "(lambda: 1)()",
        "lambda: 1",
        "shape[0] == 3",
        "shape[:1]",
        "9**9**9",
        "n ** 2 == 9",
        "1 << 9999999999",
        "n | 1",
        "~n",
        "+n",
        "n @ n",
        "n is None",
        "[n for n in shape]",
        "{n: 1}",
        "(n := 3)",
        "n if flag else x",
        "f'{n}'",
        "(*shape,)",
        "await n",
        "(yield)",
    ],
)
def test_anything_else_is_refused_when_it_is_declared(text: str) -> None:
    with pytest.raises(SpaceError, match=r"use names, constants, comparisons|does not parse"):
        Expression.from_text(text)


@pytest.mark.parametrize("text", ["", "   ", "n ==", "n = 3", "n; x", "import os", "(n", "n == 3\nx", "n\0", "'"])
def test_what_does_not_parse_is_shown(text: str) -> None:
    with pytest.raises(SpaceError, match=r"does not parse|cannot be read"):
        Expression.from_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "not " * 3000 + "n",
        "-" * 30000 + "n",
        "(" * 150 + "n" + ")" * 150 + " == " + "-" * 300 + "1",
        "n" + " + n" * 3000,
        "n and (" * 150 + "n" + ")" * 150,
        "n == " + "9" * 5000,
        "n == 0x" + "f" * 5000,
    ],
    ids=lambda text: f"{text[:8]}…{len(text)}",
)
def test_what_is_too_deep_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Expression.from_text(text)
    assert "does not parse" in str(caught.value) or len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text", ["'a' * 10000000000 == opt", "(1, 2) * 10000000000 == n", "'%9999999999d' % n == opt", "opt + 'x' == opt"]
)
def test_arithmetic_is_for_numbers(text: str) -> None:
    with pytest.raises(SpaceError, match="arithmetic needs numbers"):
        Expression.from_text(text).holds(CONFIG)


@pytest.mark.parametrize(
    "text", ["opt < 1", "n < 'a'", "n in 3", "none >= 1", "n / 0 == 1", "n % 0", "-opt == 1", f"{10**400} / n > 1"]
)
def test_what_cannot_be_evaluated_names_the_condition_and_the_values(text: str) -> None:
    with pytest.raises(SpaceError, match="cannot be evaluated with") as caught:
        Expression.from_text(text).holds(CONFIG)
    assert any(f"'{name}': {value!r}" in str(caught.value) for name, value in CONFIG.items())


def test_a_condition_is_text() -> None:
    with pytest.raises(SpaceError, match="a condition must be text"):
        Expression.from_text(True)  # type: ignore[arg-type]


def test_spelling_does_not_matter() -> None:
    left, right = Expression.from_text("a=='x'   and(b>1)"), Expression.from_text('a == "x" and b > 1')
    assert left == right
    assert hash(left) == hash(right)
    assert left != Expression.from_text("b > 1 and a == 'x'")
    assert left.names == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("((a)) and(b)and (c==1)", "a and b and c == 1"),
        ("(a and b) and c", "(a and b) and c"),
        ("a and (b or not(c)) or d", "a and (b or not c) or d"),
        ("not (a and b)", "not (a and b)"),
        ("not (a == b) == c", "not (a == b) == c"),
        ("(a < b) < c < (not d)", "(a < b) < c < (not d)"),
        ("a-(b-c)-d*(e+1)", "a - (b - c) - d * (e + 1)"),
        ("(a*b)/c//(d % e)", "a * b / c // (d % e)"),
        ("-(a+1) < - -b", "-(a + 1) < --b"),
        ("a in [1, 'x'] or a not in {2}", "a in (1, 'x') or a not in (2,)"),
        ("a == ((1, 2), ())", "a == ((1, 2), ())"),
        ("block . kernel>1e400", "block.kernel > 1e309"),
    ],
)
def test_the_normal_form(text: str, normal: str) -> None:
    """Digests hold it, so it may not change with a release, of this or of Python."""
    assert Expression.from_text(text).text == normal
    assert Expression.from_text(normal).text == normal


def test_a_dotted_name_is_a_name() -> None:
    expression = Expression.from_text("block.kernel > 3 and n_1.x.y")
    assert expression.names == {"block.kernel", "n_1.x.y"}
    assert expression.holds({"block.kernel": 4, "n_1.x.y": True}) is True
    assert expression.holds({"block": 4, "kernel": 4, "n_1.x.y": True}) is False
    assert expression.renamed({"block.kernel": "a.b.c"}).text == "a.b.c > 3 and n_1.x.y"
    with pytest.raises(SpaceError, match=r"the condition of 'a' reads an unknown parameter 'n\.__class__'"):
        Space(n=Int(0, 1), a=When("n.__class__ == 3", 1))


@pytest.mark.parametrize(
    ("text", "known", "truth"),
    [
        ("a > 1", {"a": 2}, True),
        ("a > 1", {"a": 1}, False),
        ("a > 1", {"b": 1}, None),
        ("a > 1 and b", {"a": 1}, False),
        ("a > 1 and b", {"a": 2}, None),
        ("a > 1 or b", {"a": 2}, True),
        ("a > 1 or b", {"a": 1}, None),
        ("not (a > 1 or b)", {"a": 2}, False),
        ("not b", {"a": 2}, None),
        ("(a or b) == 2", {"a": 2}, None),  # not a truth but a value is asked for
        ("a and b", {"a": 2, "b": 0}, False),
    ],
)
def test_what_is_known_may_decide(text: str, known: dict[str, Any], truth: bool | None) -> None:
    assert Expression.from_text(text).decided(known) is truth


@pytest.mark.parametrize(
    ("text", "named"),
    [("a", True), ("über.b_1", True), ("a b", False), ("class", False), ("None", False), ("ﬁ", False), ("1", False)],
)
def test_what_an_expression_reads_as_a_name(text: str, named: bool) -> None:
    assert is_name(text) is named


ATOMS = st.sampled_from(["n", "x", "opt", "1", "-2.5", "'é\"q'", "None", "1e400", "(1, 'b')", "True"])
TEXTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(
            st.sampled_from(["({} == {})", "({} != {})", "({} and {})", "({} or not {})", "({} in (None, {}))"]),
            inner,
            inner,
        ).map(lambda t: t[0].format(t[1], t[2])),
        inner.map("(not {})".format),
    ),
    max_leaves=12,
)


@given(TEXTS)
def test_the_normal_form_means_the_same_and_survives(text: str) -> None:
    first = Expression.from_text(text)
    again: Any = pickle.loads(pickle.dumps(first))
    assert Expression.from_text(first.text) == first == again
    assert first.holds(CONFIG) is again.holds(CONFIG) is bool(eval(text, {}, dict(CONFIG)))


def test_what_follows_the_deciding_part_is_not_looked_at() -> None:
    guarded = Space(constraint("b == 0 or a / b < 2"), c=When("b != 0 and a / b > 1", 1), a=Int(1, 4), b=Int(0, 4))
    assert guarded.fix(a=1, b=0).size() == 1
    assert guarded.fix(b=0).size() == 4
    chain = Expression.from_text("0 < b <= 10 / b")
    assert [chain.true_of({"b": b}) for b in (0, 2, 5)] == [False, True, False]
