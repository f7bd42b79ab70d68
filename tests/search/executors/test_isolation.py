"""Global settings: a trial sees those of the spec, never those of another trial, and the engine sees the defaults."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from archsearch import MLP, Bayes, Float, Random, Recipe, Session, Space, Study, Supervised, TrialContext, digits
from archsearch.search.executors.isolation import Settings, default_settings
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job
from archsearch.studies.records import Ended, Finished, Logged

# What a trial does, and the name of the setting that it changes.
CHANGES: dict[str, Callable[[], object]] = {
    "NumPy's error handling": lambda: np.seterr(all="raise"),
    "torch's anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's deterministic algorithms": lambda: torch.set_deterministic_debug_mode("error"),
    "torch's gradient mode": lambda: torch.set_grad_enabled(False),
    "torch's matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch.backends.cudnn.deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "warning filters": lambda: warnings.simplefilter("ignore"),
    "working folder": lambda: os.chdir(os.sep),
}


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test does, the settings of this process are the same afterwards."""
    before = Settings.current()
    yield
    changed = before.changes_to(Settings.current())
    before.restore(Settings.current())
    assert {*changed} <= {"warning filters"}  # to which a library that a test imports first may add


def job(number: int = 0, budget: int | None = None) -> Job:
    return Job(number, 1, {}, budget, 5, metrics=("loss",))


def to_the_end(worker: Worker, start: Job) -> list[Any]:
    events = worker.advance(start, stop=False)
    while not isinstance(events[-1], Ended):
        events += worker.advance(None, stop=False)
    assert events[-1].outcome == Finished()
    return events


def log_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Logged))


def test_every_setting_has_a_test() -> None:
    assert {*CHANGES} == {*Settings.current().values}


@pytest.mark.parametrize("generator", [True, False], ids=["generator", "function"])
@pytest.mark.parametrize("name", CHANGES)
def test_what_a_trial_changes_is_restored_before_the_next(name: str, generator: bool) -> None:
    seen: list[Any] = []

    def look(trial: TrialContext) -> None:
        seen.append(Settings.current().values[name])
        if trial.number == 0:
            CHANGES[name]()
            seen.append(Settings.current().values[name])

    def generated(trial: TrialContext) -> Iterator[float]:
        look(trial)
        yield 0.0
        seen.append(Settings.current().values[name])  # it keeps what it has set until it ends

    def function(trial: TrialContext) -> None:
        look(trial)
        trial.report(0.0)
        seen.append(Settings.current().values[name])

    worker = Worker(generated if generator else function, "cpu")
    before = Settings.current()
    first = to_the_end(worker, job(0))
    assert before.changes_to(Settings.current()) == []  # of the engine
    second, third = to_the_end(worker, job(1)), to_the_end(worker, job(2))
    own, set_by_0, kept, *others = seen
    assert own != set_by_0 == kept
    assert others == [own] * 4
    assert log_of(first) == log_of(third) == ""
    assert log_of(second) == f"archsearch: restored what trial 0 had changed: {name}\n"


def test_a_context_that_spans_reports_is_left_alone() -> None:
    def objective(trial: TrialContext) -> Iterator[float]:
        with torch.no_grad(), np.errstate(all="raise"), warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("error")
            for _ in range(2):
                yield 0.0
                assert not torch.is_grad_enabled()
                assert np.geterr()["over"] == "raise"
                assert torch.get_default_device().type == "meta"
                with pytest.raises(UserWarning):
                    warnings.warn("now an error", stacklevel=1)

    worker, before = Worker(objective, "cpu"), Settings.current()
    to_the_end(worker, job(0))
    assert before.changes_to(Settings.current()) == []
    assert log_of(to_the_end(worker, job(1))) == ""


def test_warnings_caught_in_another_thread_are_left_alone() -> None:
    """As by a strategy that is asked in advance."""
    caught, done = threading.Event(), threading.Event()

    def strategy() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            caught.set()
            done.wait()
            warnings.warn("not for the user", stacklevel=1)

    thread = threading.Thread(target=strategy)

    def objective(trial: TrialContext) -> float:
        thread.start()
        caught.wait()
        return 0.0

    raised: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", raised.append)
        to_the_end(Worker(objective, "cpu"), job())
        done.set()
        thread.join()
    assert raised == []


def test_a_folder_that_a_trial_has_deleted_is_left(tmp_path: Path) -> None:
    def objective(trial: TrialContext) -> float:
        folder = tmp_path / str(trial.number)
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()
        return 0.0

    worker = Worker(objective, "cpu")
    for number in range(2):
        to_the_end(worker, job(number))


def test_trials_start_with_the_settings_of_the_spec() -> None:
    seen: list[Any] = []

    def objective(trial: TrialContext) -> float:
        seen.append((torch.get_default_dtype(), np.geterr()["over"]))
        return 0.0

    torch.set_default_dtype(torch.float64)
    with np.errstate(over="raise"):
        worker = Worker(objective, "cpu")
    torch.set_default_dtype(torch.float32)
    to_the_end(worker, job())
    assert seen == [(torch.float64, "raise")]


def test_the_engine_runs_with_default_settings() -> None:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), np.errstate(all="raise"), torch.no_grad():
        patch.setattr(torch.backends.cudnn, "benchmark", True)
        warnings.simplefilter("error")
        spec = Settings.current()
        with default_settings():
            assert "error" not in [action for action, *_ in warnings.filters]
            assert torch.is_grad_enabled()
            assert not torch.backends.cudnn.benchmark
            assert np.geterr() == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
        assert spec.changes_to(Settings.current()) == []


SPEC = """
import warnings
import numpy as np
import torch
from archsearch import Float, Int, Space, Study

np.seterr(all="raise")
torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)
warnings.simplefilter("error")

def train(trial):
    assert np.geterr()["under"] == "raise" and torch.get_default_dtype() == torch.float64
    for step in range(3):
        yield (trial.config["x"] - 0.3) ** 2 + trial.config["k"] / (step + 1)

study = Study(name="s", space=Space(x=Float(1e-5, 1, log=True), k=Int(0, 5)), objective=train, minimize="loss",
              trials=25, budget=3, pruner="median", executor="inline")
"""


@pytest.mark.parametrize("command", [["-m", "archsearch", "run", "spec.py"], ["spec.py"]], ids=["command", "script"])
def test_settings_of_a_spec_do_not_reach_the_strategy(
    tmp_path: Path, command: list[str], command_env: dict[str, str]
) -> None:
    run = "\nif __name__ == '__main__':\n    study.run()\n"
    (tmp_path / "spec.py").write_text(SPEC + run * (command == ["spec.py"]))
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.db").exists()


def test_settings_of_a_program_do_not_reach_the_strategy_of_its_session() -> None:
    with (
        np.errstate(all="raise"),
        Session(Space(x=Float(0, 1)), minimize="loss", strategy=Bayes(startup_trials=3)) as session,
    ):
        for _ in range(6):
            trial = session.ask()
            session.tell(trial, {"loss": trial.config["x"]})
        assert np.geterr()["under"] == "raise"


def test_a_supervised_study_is_the_same_under_a_default_dtype(tmp_path: Path) -> None:
    def losses(name: str) -> list[Any]:
        recipe = Recipe(learning_rate=Float(1e-3, 1e-1, log=True))
        study = Study(
            name=name, objective=Supervised(digits(), MLP(1, 8), recipe), maximize="val_accuracy", strategy=Random(),
            trials=2, budget=1, executor="inline",
        )  # fmt: skip
        return [dict(trial.reports[-1].metrics) for trial in study.run(tmp_path / f"{name}.db", quiet=True).trials]

    usual = losses("usual")
    torch.set_default_dtype(torch.float64)
    try:
        assert losses("float64") == usual
    finally:
        torch.set_default_dtype(torch.float32)
    assert usual


def test_filters_of_a_library_that_a_trial_imports_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library_with_filters.py").write_text(
        "import warnings\nwarnings.filterwarnings('ignore', message='of the library')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def train(trial: TrialContext) -> float:
        import library_with_filters  # noqa: F401

        if trial.number == 0:
            warnings.simplefilter("error")
        else:
            warnings.warn("of the library", stacklevel=1)  # an error, but for the library's filter
        return 1.0

    worker = Worker(train, "cpu")
    to_the_end(worker, job())
    assert "warning filters" in log_of(to_the_end(worker, job(1)))  # the trial's own is undone
