"""What is checked of strategies and pruners of the user's own, and how they are recorded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from archsearch import ASHA, TPE, Median, SpecError
from archsearch.search.protocols import Pruner, Strategy
from archsearch.search.pruners import PRUNERS, pruner
from archsearch.search.strategies import STRATEGIES, strategy
from archsearch.search.validation import check_part, stable_repr


def check(part: Any) -> None:
    check_part("strategy", part, Strategy, required=("propose", "ask"), example="TPE()")


class Own(Strategy):
    def propose(self, history: Any, rng: Any) -> Any:
        return history.study.space.sample(rng)


def test_a_plain_strategy_passes_and_may_have_members_of_its_own() -> None:
    class Rich(Own):
        asked = 3
        shape = (1, 2)
        _promot = None

        def describe(self) -> str:
            return ""

    check(Own())
    check(Rich())


@pytest.mark.parametrize("make", [*(lambda n=n: strategy(n) for n in STRATEGIES), lambda: ASHA(TPE())])
def test_our_strategies_pass(make: Any) -> None:
    check(make())


@pytest.mark.parametrize("name", PRUNERS)
def test_our_pruners_pass(name: str) -> None:
    check_part("pruner", pruner(name), Pruner, required=("judge",), example="Median()")


class WithoutMethods(Strategy):
    pass


class Misspelt(Own):
    def promot(self, history: Any, n: int) -> list[Any]:
        return []


class MisspeltRequired(Strategy):
    def propse(self, history: Any, rng: Any) -> Any: ...


class NotAMethod(Own):
    ask = 3  # type: ignore[assignment]


class MisspeltAttribute(Own):
    need_budget = True


class Unrelated:
    def ask(self) -> None: ...


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Own, r"strategy is the class Own; write Own\(\)"),
        (WithoutMethods(), r"strategy must have a method `propose` or `ask`, and WithoutMethods\(\) has none"),
        (Misspelt(), r"unknown member `promot` of the strategy Misspelt\(\); did you mean `promote`\?"),
        (MisspeltRequired(), r"unknown member `propse` .*did you mean `propose`\?"),
        (NotAMethod(), r"`ask` of the strategy NotAMethod\(\) must be a method, got 3"),
        (MisspeltAttribute(), r"unknown member `need_budget` .*did you mean `needs_budget`\?"),
        (
            Unrelated(),
            r"strategy must be a Strategy, got .*Unrelated; try TPE\(\), or derive its class from archsearch",
        ),
        ("tpe", "strategy must be a Strategy, got 'tpe'"),
    ],
)
def test_what_does_not_fit_is_refused(part: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check(part)


class Plain:
    pass


@dataclass
class Holder:
    part: Any


def test_a_repr_has_no_addresses() -> None:
    name = f"{__name__}.Plain"
    assert stable_repr(Plain()) == stable_repr(Plain()) == name
    assert stable_repr(Holder(Plain())) == f"Holder(part={name})"
    assert stable_repr(TPE(startup_trials=3)).startswith("TPE(startup_trials=3, ")
    for thing in (Holder(lambda: 0), Holder(functools.partial(check)), Holder(Plain().__init__), Holder(type(Plain()))):
        assert "0x" not in stable_repr(thing)


def test_settings_may_be_integers_of_numpy_and_become_plain() -> None:
    made = Median(startup_trials=np.int64(4))  # type: ignore[arg-type]
    assert type(made.startup_trials) is int
    for wrong in (4.0, True, "4", 0):
        with pytest.raises(
            SpecError, match=r"Median startup_trials must be a whole number of at least 1, got .*; 5 is"
        ):
            Median(startup_trials=wrong)  # type: ignore[arg-type]
