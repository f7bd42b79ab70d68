"""The worker: whatever an objective does, an advance returns events."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch

from archsearch.search.executors.output import LOG_LIMIT_BYTES
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job
from archsearch.studies.records import Ended, Failed, Finished, Logged, Reported


def job(number: int = 0, budget: int | None = None, seed: int = 5) -> Job:
    return Job(number, 1, {"x": 0.5}, budget, seed)


def outcomes(events: list[Any]) -> list[Any]:
    return [event.outcome for event in events if isinstance(event, Ended)]


def test_a_budget_ends_a_generator_that_would_go_on() -> None:
    def endless(trial: Any) -> Iterator[dict[str, float]]:
        while True:
            yield {"loss": 1.0}

    worker = Worker(endless, "cpu")
    assert outcomes(worker.advance(job(budget=2), stop=False)) == []
    assert outcomes(worker.advance(None, stop=False)) == [Finished()]
    assert worker.advance(None, stop=False) == []


def test_a_plain_function_takes_one_advance() -> None:
    events = Worker(lambda trial: {"loss": 2}, "cpu").advance(job(), stop=False)
    assert [type(event) for event in events] == [Reported, Ended]
    assert events[0].report.metrics == {"loss": 2.0}
    assert events[0].report.step == 1


def test_numpy_and_torch_numbers_are_numbers() -> None:
    events = Worker(lambda trial: {"a": np.float32(0.5), "b": torch.tensor(2.0)}, "cpu").advance(job(), stop=False)
    assert events[0].report.metrics == {"a": 0.5, "b": 2.0}


def test_sys_exit_in_an_objective_is_its_failure() -> None:
    def leaves(trial: Any) -> None:
        sys.exit("no data")

    events = Worker(leaves, "cpu").advance(job(), stop=False)
    line = leaves.__code__.co_firstlineno + 1
    assert outcomes(events) == [Failed(f"SystemExit: no data (test_worker.py, line {line})")]


def test_all_that_is_printed_is_kept_in_order() -> None:
    def chatty(trial: Any) -> Iterator[dict[str, float]]:
        print("one")
        print("two", file=sys.stderr)
        yield {"loss": 1.0}
        print("four")

    worker = Worker(chatty, "cpu")
    first = worker.advance(job(), stop=False)
    assert [event.text for event in first if isinstance(event, Logged)] == ["one\ntwo\n"]
    assert [event.text for event in worker.advance(None, stop=False) if isinstance(event, Logged)] == ["four\n"]


def test_a_flood_of_output_is_cut_and_says_so() -> None:
    def flood(trial: Any) -> dict[str, float]:
        for _ in range(30):
            print("x" * (LOG_LIMIT_BYTES // 10))
        return {"loss": 1.0}

    (log,) = (e for e in Worker(flood, "cpu").advance(job(), stop=False) if isinstance(e, Logged))
    assert LOG_LIMIT_BYTES < len(log.text) < LOG_LIMIT_BYTES + 100
    assert log.text.endswith(" bytes]\n")


@pytest.mark.parametrize("sign", ["é", "\N{GRINNING FACE}", "\ud800"])
def test_the_limit_of_a_log_is_in_bytes_as_they_are_stored(sign: str) -> None:
    def flood(trial: Any) -> dict[str, float]:
        print("x", end="")
        for _ in range(30):
            print(sign * (LOG_LIMIT_BYTES // 20), end="")
        return {"loss": 1.0}

    (log,) = (e for e in Worker(flood, "cpu").advance(job(), stop=False) if isinstance(e, Logged))
    size = len(log.text.encode("utf-8", "backslashreplace"))
    assert LOG_LIMIT_BYTES - 10 < size < LOG_LIMIT_BYTES + 100
    assert log.text.endswith("[output truncated after 1,048,576 bytes]\n")
    assert "\N{REPLACEMENT CHARACTER}" not in log.text


def test_a_stop_closes_the_objective_and_the_next_begins_in_the_same_advance() -> None:
    closed = []

    def objective(trial: Any) -> Iterator[dict[str, float]]:
        try:
            while True:
                yield {"loss": float(trial.number)}
        finally:
            print("closing", trial.number)
            closed.append(trial.number)

    worker = Worker(objective, "cpu")
    worker.advance(job(3), stop=False)
    events = worker.advance(job(4), stop=True)
    assert closed == [3]
    assert [(type(event), event.trial) for event in events] == [(Logged, 3), (Reported, 4)]
    assert worker.clean


def test_the_global_generators_are_the_trial_s_own() -> None:
    def drawing(trial: Any) -> dict[str, float]:
        return {"a": random.random(), "b": np.random.rand(), "c": torch.rand(()).item()}

    worker = Worker(drawing, "cpu")
    first = worker.advance(job(0, seed=1), stop=False)[0].report.metrics
    other = worker.advance(job(1, seed=2), stop=False)[0].report.metrics
    again = worker.advance(job(0, seed=1), stop=False)[0].report.metrics
    assert first == again
    assert all(first[name] != other[name] for name in "abc")


def test_an_objective_cannot_change_the_config_of_the_record() -> None:
    mine = job()
    Worker(lambda trial: {"loss": trial.config.pop("x")}, "cpu").advance(mine, stop=False)
    assert mine.config == {"x": 0.5}


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError("no picture")


def raising(error: BaseException) -> Any:
    def objective(trial: Any) -> dict[str, float]:
        raise error

    return objective


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (raising(asyncio.CancelledError()), "CancelledError"),
        (raising(GeneratorExit()), "GeneratorExit"),
        (raising(BaseException("odd")), "BaseException: odd"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raising(Unspeakable()), "Unspeakable: (its __str__ raised RuntimeError)"),
        (lambda trial: Opaque(), "the objective gave <Opaque instance at"),
        (lambda trial: {"loss": Opaque()}, "metric 'loss' is <Opaque instance at"),
        (lambda trial: {"loss": 10**400}, "metric 'loss' is 1000"),
        (lambda trial: [0.5] * 10**6, "the objective gave [0.5, 0.5,"),
    ],
)
def test_nothing_that_an_objective_does_is_the_worker_s_end(objective: Any, reason: str) -> None:
    worker = Worker(objective, "cpu")
    (outcome,) = outcomes(worker.advance(job(), stop=False))
    assert outcome.error.startswith(reason)
    assert len(outcome.error) <= 600
    assert worker.advance(None, stop=False) == []


def test_inline_a_keyboard_interrupt_is_the_person_s() -> None:
    with pytest.raises(KeyboardInterrupt):
        Worker(raising(KeyboardInterrupt()), "cpu", interruptible=True).advance(job(), stop=False)


def log_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Logged))


@pytest.mark.parametrize("value", ["0.5", b"0.5", True, np.bool_(1), torch.tensor(True)])
def test_text_and_truth_values_are_no_metrics_in_a_mapping_or_alone(value: Any) -> None:
    for metrics in (value, {"loss": value}):
        events = Worker(lambda trial, given=metrics: given, "cpu").advance(
            Job(0, 1, {}, None, 5, metric="loss"), stop=False
        )
        (outcome,) = outcomes(events)
        assert isinstance(outcome, Failed), metrics


@pytest.mark.parametrize("metrics", [None, {}, {"loss": float("nan")}, {"loss": "low"}])
def test_the_log_of_a_trial_that_failed_by_its_metrics_has_the_reason(metrics: Any) -> None:
    def generator(trial: Any) -> Iterator[Any]:
        yield metrics

    for objective in (lambda trial: metrics, generator):
        events = Worker(objective, "cpu").advance(job(), stop=False)
        (outcome,) = outcomes(events)
        assert log_of(events) == f"{outcome.error}\n"


def test_an_exception_of_a_generator_that_is_closed_at_its_budget_fails_it_with_all_reports() -> None:
    def objective(trial: Any) -> Iterator[dict[str, float]]:
        try:
            while True:
                yield {"loss": 1.0}
        finally:
            raise OSError("cannot save the model")

    worker = Worker(objective, "cpu")
    events = worker.advance(job(budget=2), stop=False) + worker.advance(None, stop=False)
    assert [event.report.step for event in events if isinstance(event, Reported)] == [1, 2]
    assert outcomes(events) == [Failed("OSError: cannot save the model")]
    assert "in objective" in log_of(events)
    assert not worker.clean


def test_a_generator_that_ignores_its_end_has_done_its_work() -> None:
    def objective(trial: Any) -> Iterator[dict[str, float]]:
        while True:
            with suppress(GeneratorExit):
                yield {"loss": 1.0}

    worker = Worker(objective, "cpu")
    events = worker.advance(job(budget=1), stop=False)
    assert outcomes(events) == [Finished()]
    assert "the objective ignores GeneratorExit" in log_of(events)
    assert not worker.clean
