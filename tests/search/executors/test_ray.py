"""Real Ray: persistent workers, their deaths, their output, and a driver that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch import (
    MLP,
    TPE,
    Bayes,
    ExecutionError,
    Float,
    Int,
    Median,
    Objective,
    Pruner,
    Random,
    Recipe,
    Space,
    Streaming,
    Study,
    StudyFailed,
    SuccessiveHalving,
    Supervised,
    arrays,
    digits,
)
from archsearch.search.adapters.functions import FunctionObjective
from archsearch.search.executors.ray import RayExecutor
from archsearch.search.protocols import Continue, Job, Stop
from archsearch.studies.records import Ended, Failed, Finished, Logged, Lost, Reported
from archsearch.studies.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

SPACE = Space(x=Float(0, 1), depth=Int(1, 4))


def study(objective: Any, **settings: Any) -> Study:
    given = {"name": "on-ray", "space": SPACE, "minimize": "loss", "trials": 8, "budget": 3, "workers": 2}
    return Study(objective=objective, **{**given, **settings})


def curve(trial: Any) -> Iterator[dict[str, float]]:
    print("trial", trial.number, "in", os.getpid())
    for step in range(trial.budget):
        yield {"loss": trial.config["x"] + 1 / (step + 1), "pid": os.getpid()}


@pytest.mark.parametrize("strategy", [Random(), TPE(startup_trials=3), Bayes(startup_trials=3, candidates=50)])
@pytest.mark.parametrize("pruner", [None, Median(startup_trials=2), SuccessiveHalving(min_steps=1, eta=2)])
def test_every_strategy_with_every_pruner_on_two_workers(tmp_path: Path, strategy: Any, pruner: Any) -> None:
    history = study(curve, strategy=strategy, pruner=pruner).run(tmp_path / "s.db", quiet=True)
    assert len(history.trials) == 8
    assert not history.unfinished
    assert history.best is not None
    assert {trial.worker for trial in history.trials} == {"worker-0", "worker-1"}
    pids = {report.metrics["pid"] for trial in history.trials for report in trial.reports}
    assert len(pids) == 2  # the workers persist from trial to trial
    assert os.getpid() not in pids
    with Store.open(tmp_path / "s.db") as store:
        assert store.history() == history
        for trial in history.trials:
            assert store.log(trial.number).startswith(f"trial {trial.number} in ")


def test_shared_data_is_mapped_by_the_workers_and_not_copied(tmp_path: Path) -> None:
    def objective(trial: Any) -> dict[str, float]:
        return {"loss": float(trial.shared[0]), "writable": float(trial.shared.flags.writeable)}

    history = study(objective=objective, budget=None, shared=lambda: np.full(100_000, 7.0)).run(
        tmp_path / "on-ray.db", quiet=True
    )
    assert [dict(trial.reports[-1].metrics) for trial in history.trials] == [{"loss": 7.0, "writable": 0.0}] * 8


class Looking(Supervised):
    """Says of its data on the worker: is it read-only, do the tensors share its memory, is it mapped from a file?"""

    def metrics_of(self, shared: Any) -> None:
        """Any name will do."""

    def __call__(self, trial: Any) -> Iterator[dict[str, float]]:
        shared, tensors = self._attached["prepared"], self._tensors("cpu", trial.config, fold=0)
        parts = [array for part in (shared.train, shared.validation) for array in (part.inputs, part.targets)]
        held = (tensors.train_inputs, tensors.train_targets, tensors.validation_inputs, tensors.validation_targets)
        copied = sum(tensor.data_ptr() != array.ctypes.data for tensor, array in zip(held, parts, strict=True))
        lines = Path("/proc/self/maps").read_text().splitlines()
        mapped = sum(shared.train.file is not None and line.endswith(shared.train.file) for line in lines)
        writable = sum(array.flags.writeable for array in parts)
        yield {"val_loss": trial.config["learning_rate"], "writable": writable, "copied": copied, "mapped": mapped}


@pytest.mark.parametrize("above_bytes", [10**9, 0])
def test_the_data_of_a_supervised_study_is_held_once_per_machine(tmp_path: Path, above_bytes: int) -> None:
    """Ray's workers see the object store's memory, or the file's, and torch's tensors are that same memory."""
    inputs, targets = np.random.default_rng(0).normal(size=(600, 20, 20)), np.arange(600) % 3
    data = arrays(inputs, targets, streaming=Streaming(above_bytes, tmp_path))
    objective = Looking(data, MLP(1, 8), Recipe(learning_rate=Float(1e-3, 1e-1)))
    history = study(objective, space=None, budget=1, minimize="val_loss").run(tmp_path / "s.db", quiet=True)
    mapped = float(above_bytes == 0)
    for trial in history.trials:
        assert {**trial.reports[-1].metrics, "val_loss": 0} == {
            "val_loss": 0,
            "writable": 0,
            "copied": 0,
            "mapped": mapped,
        }
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_worker_that_does_not_see_the_data_s_file_says_what_to_do(tmp_path: Path) -> None:
    data = arrays(np.ones((200, 4, 4)), np.arange(200) % 2, streaming=Streaming(0, tmp_path))
    objective = Supervised(data, MLP(1, 8))
    shared = objective.prepare()
    objective.release()  # as if this were another machine
    with pytest.raises(ExecutionError, match=r"worker-0 could not load .* cannot read .*Streaming\(folder=") as told:
        RayExecutor(lambda: objective, shared, workers=1)
    assert "\n" not in str(told.value)


class Held:
    """Data that can be watched."""


class Holding(Objective):
    """An objective of which the driver prepares the data."""

    def __init__(self) -> None:
        self.watched: list[Any] = []

    def prepare(self) -> Held:
        held = Held()
        self.watched[:] = [weakref.ref(held)]
        return held

    def attach(self, shared: Held) -> None:
        pass

    def __call__(self, trial: Any) -> dict[str, float]:
        return {"loss": trial.config["x"]}

    def __getstate__(self) -> dict[str, Any]:
        return {"watched": []}


def test_the_driver_does_not_hold_the_data_beside_the_object_store(tmp_path: Path) -> None:
    objective, seen = Holding(), []

    class Watching(Random):
        def ask(self, history: Any, n: int, rng: Any) -> Any:
            seen.append(objective.watched[0]())
            return Random.ask(self, history, n, rng)

        def __reduce__(self) -> Any:
            return Random, ()

    study(objective, budget=None, strategy=Watching()).run(tmp_path / "s.db", quiet=True)
    assert seen
    assert set(seen) == {None}


def test_a_supervised_study_is_the_same_on_ray_and_inline(tmp_path: Path) -> None:
    """Bit for bit: the same seeds, the same number of threads, the data mapped or in place."""

    def declared(executor: str) -> Study:
        network, recipe = MLP(Int(1, 2), 32, dropout=Float(0.0, 0.3)), Recipe(learning_rate=Float(1e-3, 1e-1, log=True))
        return Study(
            name="same", objective=Supervised(digits(), network, recipe), maximize="val_accuracy", strategy=Random(),
            trials=4, budget=2, executor=executor, workers=None if executor == "inline" else 2,
        )  # fmt: skip

    one, other = (declared(name).run(tmp_path / f"{name}.db", quiet=True) for name in ("ray", "inline"))
    assert [trial.config for trial in one.trials] == [trial.config for trial in other.trials]
    for left, right in zip(one.trials, other.trials, strict=True):
        assert [report.metrics for report in left.reports] == [report.metrics for report in right.reports]


def test_a_worker_that_dies_costs_an_attempt_and_not_a_trial(tmp_path: Path) -> None:
    def dies_once(trial: Any) -> Iterator[dict[str, float]]:
        yield {"loss": 1.0}
        if trial.number == 2 and trial.attempt == 1:
            print("last words")
            os.kill(os.getpid(), signal.SIGKILL)
        yield {"loss": 0.5}

    history = study(dies_once, budget=None, trials=6).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 6}
    assert (history.trials[2].attempt, history.trials[2].workers_lost) == (2, 1)
    assert [report.step for report in history.trials[2].reports] == [1, 2]
    with Store.open(tmp_path / "s.db") as store:
        assert store.log(2) == "last words\n"


def test_a_crash_in_native_code_is_named(tmp_path: Path) -> None:
    def crashes(trial: Any) -> dict[str, float]:
        if trial.number == 0:
            import faulthandler

            faulthandler._sigsegv()
        return {"loss": 1.0}

    history = study(crashes, retries=0, trials=2, budget=None).run(tmp_path / "s.db", quiet=True)
    assert "Segmentation fault" in history.trials[0].reason
    with Store.open(tmp_path / "s.db") as store:
        assert "in crashes" in store.log(0)
    assert history.trials[1].outcome == Finished()


def test_a_worker_that_a_trial_leaves_unclean_is_replaced(tmp_path: Path) -> None:
    def messy(trial: Any) -> Iterator[dict[str, float]]:
        try:
            while True:
                yield {"loss": 1.0, "pid": os.getpid()}
        finally:
            if trial.number == 0:
                raise RuntimeError("cannot let go")

    history = study(messy, workers=1, trials=3, budget=2).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 2, "failed": 1}
    first, second, third = (trial.value("pid") for trial in history.trials)
    assert first != second == third
    with Store.open(tmp_path / "s.db") as store:
        assert "cannot let go" in store.log(0)


def test_a_worker_left_unclean_by_a_stop_does_not_get_the_next_trial(tmp_path: Path) -> None:
    def messy(trial: Any) -> Iterator[dict[str, float]]:
        try:
            while True:
                yield {"loss": 1.0, "pid": os.getpid()}
        finally:
            if trial.number == 0:
                raise RuntimeError("cannot let go")

    class StopFirst(Pruner):
        def judge(self, trial: Any, history: Any) -> Any:
            return Stop("first") if trial.number == 0 else Continue()

    history = study(messy, workers=1, trials=3, budget=3, pruner=StopFirst()).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"pruned": 1, "finished": 2}
    assert [trial.attempt for trial in history.trials] == [1, 1, 1]
    first, second, third = (trial.value("pid") for trial in history.trials)
    assert first != second == third


def test_a_time_out_closes_the_objectives(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def slow(trial: Any) -> Iterator[dict[str, float]]:
        try:
            while True:
                time.sleep(0.05)  # an epoch
                yield {"loss": 1.0}
        finally:
            (Path(folder) / f"closed-{trial.number}").touch()

    history = study(slow, trials=4, budget=None, timeout=1).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"waiting": 2}
    assert sorted(path.name for path in tmp_path.glob("closed-*")) == ["closed-0", "closed-1"]


@pytest.mark.parametrize("error", ["asyncio.CancelledError()", "KeyboardInterrupt()", "GeneratorExit()"])
def test_whatever_an_objective_raises_there_is_its_failure(tmp_path: Path, error: str) -> None:
    def raises(trial: Any) -> dict[str, float]:
        if trial.number == 1:
            raise eval(error, {"asyncio": __import__("asyncio")})
        return {"loss": 1.0}

    history = study(raises, trials=3).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 2, "failed": 1}
    assert history.trials[1].reason == error[:-2].rpartition(".")[2]


def test_an_objective_runs_in_the_folder_where_the_study_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.txt").write_text("0.25")
    monkeypatch.chdir(tmp_path)
    history = study(lambda trial: {"loss": float(Path("here.txt").read_text())}, trials=1).run(quiet=True)
    assert history.best is not None
    assert history.best.value("loss") == 0.25
    assert (tmp_path / "on-ray.db").is_file()


def test_five_alike_failures_stop_the_study(tmp_path: Path) -> None:
    def broken(trial: Any) -> dict[str, float]:
        raise ValueError("always")

    with pytest.raises(StudyFailed, match="the first 5 trials all failed with: ValueError: always"):
        study(broken, trials=30).run(tmp_path / "s.db", quiet=True)
    with Store.open(tmp_path / "s.db") as store:
        assert not store.history().open_trials("running")


def test_more_than_there_is_is_told_before_a_worker_starts(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match=r"2 workers of 64 CPUs each: 128 CPUs needed, 4 available"):
        study(curve, cpus=64).run(tmp_path / "s.db", quiet=True)
    with pytest.raises(ExecutionError, match=r"1 worker of 2 GPUs each: 2 GPUs needed, 0 available"):
        RayExecutor(lambda: curve, None, workers=1, gpus=2)
    assert not (tmp_path / "s.db").exists()


def test_a_study_that_a_worker_cannot_load_is_told_before_the_first_trial() -> None:
    def cannot() -> Any:
        raise ImportError("no such package here")

    with pytest.raises(ExecutionError, match=r"worker-0 could not load the study: .*no such package here"):
        RayExecutor(cannot, None, workers=1)


def test_the_executor_alone() -> None:
    executor = RayExecutor(lambda: FunctionObjective(curve), None, workers=2)
    try:
        assert executor.capacity == 2
        assert executor.submit(Job(7, 1, {"x": 0.5}, 10**6, 0)) == "worker-0"
        assert executor.submit(Job(8, 1, {"x": 0.25}, 2, 0)) == "worker-1"
        with pytest.raises(ExecutionError, match="no worker is free; the capacity is 2"):
            executor.submit(Job(9, 1, {"x": 0.5}, 2, 0))
        events: list[Any] = []
        while len({e.trial for e in events if isinstance(e, Reported)}) < 2:
            events += executor.wait(None)
        executor.stop(7)
        assert executor.submit(Job(9, 1, {"x": 0.75}, 2, 0)) == "worker-0"  # free at once
        while sum(isinstance(event, Ended) for event in events) < 2:
            events += executor.wait(None)
        assert {e.trial for e in events if isinstance(e, Ended)} == {8, 9}
        assert {e.trial for e in events if isinstance(e, Logged)} == {7, 8, 9}
        assert not any(isinstance(e, Lost) for e in events)
        assert executor.wait(0.0) == []
    finally:
        executor.close()


def test_an_objective_that_swallows_the_close_fails_nobody_else(tmp_path: Path) -> None:
    def stubborn(trial: Any) -> Iterator[dict[str, float]]:
        while True:
            try:
                yield {"loss": 1.0}
            except BaseException:  # noqa: BLE001 - what users do
                yield {"loss": 2.0}

    history = study(stubborn, trials=3, budget=2, workers=1).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 3}
    assert not any(isinstance(trial.outcome, Failed) for trial in history.trials)


SPEC = """
from archsearch import TPE, Float, Space, Study, Pruner
import helper

def train(trial):
    for step in range(trial.budget):
        yield {"loss": helper.loss(trial.config["x"], step)}

study = Study(
    name="killed", space=Space(x=Float(0, 1)), objective=train, minimize="loss", strategy=TPE(startup_trials=4),
    pruner="halving", trials=400, budget=5, workers=2,
)
"""


def test_kill_9_of_the_driver_loses_nothing(tmp_path: Path, command_env: dict[str, str]) -> None:
    """A real driver with a Ray of its own, in a folder with a file named like one of ours; a helper beside the spec."""
    (tmp_path / "killed.py").write_text(SPEC)
    (tmp_path / "helper.py").write_text(
        "import time\ndef loss(x, step):\n    time.sleep(0.002)\n    return x / (step + 1)\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "search.py").write_text("raise RuntimeError('the wrong search')\n")
    run = [sys.executable, "-P", "-m", "archsearch"]  # -P: as the installed command, without this folder on the path
    store = elsewhere / "killed.db"

    def events() -> int:
        try:
            connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # not there yet

    driver = subprocess.Popen([*run, "run", "../killed.py", "--quiet"], cwd=elsewhere, env=command_env)
    while events() < 500:
        assert driver.poll() is None, "the driver ended before it was killed"
    driver.kill()
    driver.wait()
    before = events()
    assert before < 400 * 4
    resumed = subprocess.run(
        [*run, "resume", "killed.db", "--trials", "200", "--quiet"],
        cwd=elsewhere,
        env=command_env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr == ""  # nothing of Ray's
    with Store.open(store) as opened:
        history = opened.history()
        assert len(history.trials) == 200
        assert not history.unfinished
        assert history.seq > before
        lost = [event for event in opened.events() if isinstance(event, Lost)]
        assert 1 <= len(lost) <= 2
        assert all(event.blame == "driver" for event in lost)
