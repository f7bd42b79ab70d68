"""What ends a study, beside its number of trials."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import archsearch
from archsearch import Study
from archsearch.search.cli.commands import resume
from archsearch.search.cli.commands import run as run_command
from archsearch.search.engine.stopping import StopSession, failure_kind
from archsearch.studies.stopping_criteria import (
    LIMITS,
    OUT_OF_GPU_TIME,
    OUT_OF_PATIENCE,
    OUT_OF_TIME,
    TARGET_REACHED,
    option_to_resume,
)


def run(session: Any, *losses: float, **limits: Any) -> Any:
    """Trials whose only report is the next of these losses."""
    return session.run(lambda trial: {"loss": losses[trial.number]}, trials=len(losses), **limits)


def test_a_target_ends_the_study_with_the_trial_that_reaches_it(session: Any) -> None:
    history = run(session, 5.0, 3.0, 2.0, 1.0, target=2.0)
    assert len(history.trials) == 3
    assert history.session_ended.reason == TARGET_REACHED


def test_a_target_that_is_raised_is_gone_on_to(session: Any) -> None:
    run(session, 5.0, 3.0, 2.0, 1.0, target=3.0)
    assert len(session.history.trials) == 2
    run(session, 5.0, 3.0, 2.0, 1.0, target=1.5)
    assert len(session.history.trials) == 4


def test_patience_counts_trials_since_the_last_better_one(session: Any) -> None:
    history = run(session, 5.0, 6.0, 4.0, 4.0, 7.0, 5.0, 3.0, patience=3)
    assert len(history.trials) == 6
    assert history.session_ended.reason == f"{OUT_OF_PATIENCE} 3"
    assert history.unimproved == 3


def test_gpu_hours_are_summed_over_the_trials(session: Any) -> None:
    now = [0.0]

    def slow(trial: Any) -> dict[str, float]:
        now[0] += 1800.0
        return {"loss": 1.0}

    history = session.run(slow, trials=9, gpus=0.5, gpu_hours=1.0, clock=lambda: now[0])
    assert len(history.trials) == 4  # half an hour each, on half a GPU
    assert history.trained_s == 7200.0
    assert history.session_ended.reason == OUT_OF_GPU_TIME
    now[0] += 1e6  # the gap between sessions is nobody's work
    assert len(session.run(slow, trials=9, gpus=0.5, gpu_hours=1.5, clock=lambda: now[0]).trials) == 6


def test_the_wait_ends_when_the_gpu_time_does(session: Any) -> None:
    asked: list[float | None] = []

    class Waiting:
        capacity = 2

        def submit(self, job: Any) -> str:
            return "w"

        def wait(self, timeout_s: float | None) -> list[Any]:
            asked.append(timeout_s)
            now[0] += timeout_s or 0.0
            return []

        def stop(self, trial: int) -> None: ...

        def close(self) -> None: ...

    now = [0.0]
    history = session.run(executor=Waiting(), trials=9, gpus=2.0, gpu_hours=1.0, clock=lambda: now[0])
    assert asked == [pytest.approx(900.0)]  # two trials on two GPUs each
    assert [trial.state for trial in history.trials] == ["waiting", "waiting"]


def test_it_may_leave_a_block() -> None:
    @contextmanager
    def block() -> Iterator[None]:
        yield

    with pytest.raises(StopSession), block():
        raise StopSession(TARGET_REACHED)


def test_each_end_says_what_to_go_on_with() -> None:
    options = {option for parameter in resume.params for option in parameter.opts}
    for reason in (OUT_OF_TIME, OUT_OF_GPU_TIME, TARGET_REACHED, f"{OUT_OF_PATIENCE} 9"):
        assert (option_to_resume(reason) or "").split()[0] in options
    assert option_to_resume("every trial is done") is None


def test_each_limit_is_an_argument_in_python_and_an_option_of_the_command() -> None:
    options = {option for command in (run_command, resume) for parameter in command.params for option in parameter.opts}
    for argument, limit in LIMITS.items():
        assert argument in inspect.signature(Study).parameters
        assert argument in inspect.signature(archsearch.resume).parameters
        assert limit.option in options


@pytest.mark.parametrize(
    "reasons",
    [
        (
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x128 and 64x10) (train.py, line 12)",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x7x3 and 64x10) (train.py, line 12)",
        ),
        (
            "ValueError: expected shape (3,), got (-1.5, 2e-05) (train.py, line 12)",
            "ValueError: expected shape (4, 5), got (7,) (train.py, line 12)",
        ),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: '/data/my run 3/x.png' (train.py, line 12)",
            "FileNotFoundError: [Errno 2] No such file or directory: 'C:\\\\temp\\\\y.png' (train.py, line 12)",
        ),
        ("OSError: cannot read data/a.csv, sorry", "OSError: cannot read ../b/c.csv, sorry"),
        (
            "TypeError: <function f at 0x7f01aa> is not a number (train.py, line 12)",
            "TypeError: <function f at 0x55c0ffee> is not a number (train.py, line 12)",
        ),
        ("KeyError: 'units_3' (train.py, line 9)", "KeyError: 'units_12' (train.py, line 9)"),
        ("ValueError: " + ("row 9 is bad; " * 99)[:500], "ValueError: " + ("row 12345 is bad; " * 99)[:500]),
    ],
)
def test_failures_that_are_alike(reasons: tuple[str, str]) -> None:
    assert failure_kind(reasons[0]) == failure_kind(reasons[1])


@pytest.mark.parametrize(
    "reasons",
    [
        ("KeyError: 'lr' (train.py, line 9)", "KeyError: 'lr' (train.py, line 10)"),
        ("KeyError: 'lr' (train.py, line 9)", "KeyError: 'lr' (data.py, line 9)"),
        ("KeyError: 'lr' (train.py, line 9)", "KeyError: 'depth' (train.py, line 9)"),
        ("KeyError: 'lr' (train.py, line 9)", "IndexError: 'lr' (train.py, line 9)"),
        ("metric 'loss' is nan at step 1", "metric 'loss' is nan at step 2"),
        ("Diverged: val_loss exploded to 1e+09 after epoch 1", "Diverged: val_loss exploded to 2e+07 after epoch 1"),
    ],
)
def test_failures_that_are_not_alike(reasons: tuple[str, str]) -> None:
    assert failure_kind(reasons[0]) != failure_kind(reasons[1])
