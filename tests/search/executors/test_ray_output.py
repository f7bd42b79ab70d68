"""Real Ray: all output of a worker's process is kept with the trial, and exceptions of the worker itself are told."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import ray
import torch
from tqdm import tqdm

from archsearch import ExecutionError, Float, Pruner, Space, Study
from archsearch.search.adapters.functions import FunctionObjective
from archsearch.search.executors.ray import RayExecutor, _check_reachable
from archsearch.search.protocols import Continue, Stop
from archsearch.studies.records import Ended, Failed, Lost
from archsearch.studies.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


def study(objective: Any, **settings: Any) -> Study:
    given = {"name": "s", "space": Space(x=Float(0, 1)), "minimize": "loss", "trials": 1, "workers": 1}
    return Study(objective=objective, **{**given, **settings})


def logs(path: Path, trials: int) -> list[str]:
    with Store.open(path) as store:
        return [store.log(number) for number in range(trials)]


KINDS = {
    "click": lambda: click.echo("clicked"),
    "bytes": lambda: sys.stdout.buffer.write(b"bytes\n"),
    "attributes": lambda: print(sys.stdout.encoding, sys.stdout.name, sys.stdout.mode, sys.stdout.isatty()),
    "reconfigure": lambda: sys.stdout.reconfigure(line_buffering=True),
    "descriptor": lambda: os.write(1, b"os.write\n"),
    "C": lambda: ctypes.CDLL(None).puts(b"puts"),
    "child": lambda: subprocess.run([sys.executable, "-c", "print('child')"], check=True),
    "child with the stream": lambda: subprocess.run(["echo", "echo"], stdout=sys.stdout, check=True),
    "shell": lambda: os.system("echo shell >&2"),
    "faulthandler": lambda: faulthandler.dump_traceback(sys.stderr, all_threads=False),
    "tqdm": lambda: [None for _ in tqdm(range(3))],
    "Python's own stream": lambda: print("own", file=sys.__stdout__),
    "logging": lambda: logging.getLogger("in.trial").warning("without a handler"),
}
EXPECTED = """\
clicked
bytes
utf-8 <stdout> w False
os.write
puts
child
echo
shell
3/3
own
without a handler
Stack (most recent call first):
""".splitlines()


def test_every_kind_of_output_is_kept_with_the_trial(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        for body in KINDS.values():
            body()
        return 0.0

    history = study(objective, trials=2).run(tmp_path / "s.db", quiet=True)
    assert history.counts() == {"finished": 2}, [trial.reason for trial in history.trials]
    for log in logs(tmp_path / "s.db", 2):
        assert [text for text in EXPECTED if text not in log] == []


SPEC = """
import logging, sys
import numpy as np
from archsearch import Float, Space, Study

logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
held = sys.stdout
handler = logging.StreamHandler(sys.stdout)
logger = logging.getLogger("own")
logger.addHandler(handler)
logger.propagate = False
np.seterr(all="raise")

def train(trial):
    logging.getLogger("mine").info("by basicConfig in trial %s", trial.number)
    logger.warning("by a handler in trial %s", trial.number)
    assert np.geterr()["under"] == "raise"
    return trial.config["x"]

study = Study(name="s", space=Space(x=Float(1e-5, 1, log=True)), objective=train, minimize="loss", trials=14)
"""


@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_logging_that_the_spec_has_set_up_is_kept_with_the_trial(
    tmp_path: Path, executor: str, command_env: dict[str, str]
) -> None:
    """In a process of its own, as `archsearch run` does."""
    (tmp_path / "spec.py").write_text(SPEC)
    command = [sys.executable, "-m", "archsearch", "run", "spec.py", "--executor", executor, "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "in trial" not in done.stdout + done.stderr
    for number, log in enumerate(logs(tmp_path / "s.db", 14)):
        assert log == f"mine: by basicConfig in trial {number}\nby a handler in trial {number}\n"


def test_a_trial_on_a_worker_starts_with_the_settings_of_the_first(tmp_path: Path) -> None:
    def objective(trial: Any) -> dict[str, float]:
        seen = torch.get_default_dtype(), torch.is_grad_enabled(), np.geterr()["over"], Path.cwd()
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        np.seterr(all="raise")
        os.chdir("/")
        print(*seen)
        return {"loss": 1.0}

    study(objective, trials=3).run(tmp_path / "s.db", quiet=True)
    first, *others = logs(tmp_path / "s.db", 3)
    for number, log in enumerate(others):
        line, rest = log.split("\n", 1)
        assert line.startswith(f"archsearch: restored what trial {number} had changed: ")
        assert all(name in line for name in ("working folder", "NumPy's", "gradient mode", "default dtype"))
        assert rest == first


class StopFirst(Pruner):
    def judge(self, trial: Any, history: Any) -> Any:
        return Stop("first") if trial.number == 0 else Continue()


def test_a_worker_that_dies_while_it_closes_a_trial_costs_the_next_one_nothing(tmp_path: Path) -> None:
    def objective(trial: Any) -> Iterator[float]:
        try:
            yield 1.0
            yield 0.0
        finally:
            if trial.number == 0:
                print("last words of trial 0")
                os.kill(os.getpid(), signal.SIGKILL)

    history = study(objective, trials=2, pruner=StopFirst(), retries=0).run(tmp_path / "s.db", quiet=True)
    assert [trial.state for trial in history.trials] == ["pruned", "finished"]
    assert history.trials[1].workers_lost == 0
    assert logs(tmp_path / "s.db", 2) == ["last words of trial 0\n", ""]


def test_a_silent_death_has_a_log_too(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        if trial.number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.0

    history = study(objective, trials=2, retries=0).run(tmp_path / "s.db", quiet=True)
    assert history.trials[0].reason.startswith("its worker died 1 time")
    assert logs(tmp_path / "s.db", 2)[0].startswith("worker-0 died: ")


def test_what_escapes_from_a_worker_that_lives_fails_its_trial_once_with_its_last_line(tmp_path: Path) -> None:
    def objective(trial: Any) -> float:
        from archsearch.search.executors import worker

        def broken(*arguments: Any) -> None:
            raise RuntimeError("a fault\nof the worker itself")

        print("before")
        if trial.number == 0:
            worker.Worker._printed = broken
        return 0.0

    history = study(objective, trials=2, retries=2).run(tmp_path / "s.db", quiet=True)
    assert history.trials[0].outcome == Failed("RuntimeError: a fault of the worker itself")
    assert history.trials[1].state == "finished"
    with Store.open(tmp_path / "s.db") as store:
        events = list(store.events())
        log = store.log(0)
    assert not any(isinstance(event, Lost) for event in events)
    assert sum(isinstance(event, Ended) and event.trial == 0 for event in events) == 1
    assert log.startswith("before\n")
    assert "in broken" in log


def test_an_address_is_not_ignored_when_this_process_uses_another_ray() -> None:
    connected = ray.get_runtime_context().gcs_address
    make = lambda: FunctionObjective(lambda trial: 0.0)  # noqa: E731
    with pytest.raises(ExecutionError, match=rf"already connected to the one at {connected}; call ray.shutdown"):
        RayExecutor(make, None, workers=1, address="10.1.2.3:6379")
    port = connected.rpartition(":")[2]
    for same in (connected, f"localhost:{port}", "auto"):
        RayExecutor(make, None, workers=1, address=same).close()


def test_an_ipv6_address_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def connect(address: Any, timeout: float) -> Any:
        asked.append(address)
        raise OSError("refused")

    monkeypatch.setattr("archsearch.search.executors.ray.socket.create_connection", connect)
    with pytest.raises(ExecutionError, match=r"no Ray cluster at \[::1\]:6379: refused"):
        _check_reachable("[::1]:6379")
    assert asked == [("::1", 6379)]
