"""How functions that report come to their end: at their budget, when they are resumed, and through decorators."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from archsearch import TrialContext
from archsearch.search.adapters.push import PushedReports, reports_of

TRIAL = TrialContext(number=0, attempt=1, config={"x": 0.5}, budget=None, seed=5)


def test_a_function_that_ignores_the_last_answer_may_still_clean_up() -> None:
    """Its second report after the end raises TrialStopped, and a second exception must not cut its `finally` short."""
    done = []

    def train(trial: TrialContext) -> None:
        try:
            while True:
                trial.report({"loss": 1.0})
        finally:
            done.append("saving")
            for _ in range(10_000):  # an exception from outside is raised before the next instruction
                pass
            done.append("saved")

    reports = PushedReports(train, TRIAL)
    next(reports)
    assert reports.finish() is None
    assert done == ["saving", "saved"]


def test_a_resumed_function_with_nothing_left_to_report_is_at_its_end() -> None:
    def train(trial: TrialContext) -> None:
        for step in range(trial.restored or 0, 3):
            trial.report({"loss": float(step)})

    assert len(list(reports_of(train, TRIAL))) == 3
    assert list(reports_of(train, replace(TRIAL, restored=3))) == []


def test_a_decorator_that_collects_a_generator_s_metrics() -> None:
    def last(train: Any) -> Any:
        @functools.wraps(train)
        def wrapped(trial: TrialContext) -> Any:
            return list(train(trial))[-1]

        return wrapped

    @last
    def train(trial: TrialContext) -> Iterator[dict[str, float]]:
        yield {"loss": 2.0}
        yield {"loss": 1.0}

    (returned,) = reports_of(train, TRIAL)
    assert returned.metrics == {"loss": 1.0}  # type: ignore[attr-defined]
