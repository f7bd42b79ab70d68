"""`study.run()` as people write it: in scripts, under the main guard, in notebooks, and again with `resume=True`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archsearch
from archsearch import Float, Random, Session, Space, StoreError, Study, StudyFailed, open_study
from archsearch.spaces.errors import ArgumentError
from archsearch.studies.store import Store

Python = Callable[..., subprocess.CompletedProcess[str]]

SPACE = Space(x=Float(0, 1))


def study(**settings: Any) -> Study:
    given = {"name": "s", "space": SPACE, "minimize": "loss", "trials": 4, "executor": "inline", "strategy": Random()}
    return Study(**{"objective": lambda trial: {"loss": trial.config["x"]}, **given, **settings})


def numbers_and_source(store: Path) -> tuple[list[int], str]:
    with Store.open(store) as opened:
        return [trial.number for trial in opened.history().in_state("finished")], opened.meta["source"]["kind"]


OBJECTIVE = """
from archsearch import Float, Random, Space, Study
from neighbour import SHIFT

def loss(trial):
    return {"loss": shifted(trial.config["x"])}

def shifted(x):  # a sibling, which must travel with the objective
    return x + SHIFT
"""
MADE_IN_MAIN = (
    OBJECTIVE
    + """
if __name__ == "__main__":
    study = Study(name="main", space=Space(x=Float(0, 1)), objective=loss, minimize="loss", strategy=Random(), trials=3,
                  executor="EXECUTOR", workers=WORKERS)
    history = study.run(resume=True)
    print(len(history.trials), history.best.value("loss") >= 100)
"""
)
MADE_IN_A_FUNCTION = (
    OBJECTIVE
    + """
def main():
    study = Study(name="main", space=Space(x=Float(0, 1)), objective=loss, minimize="loss", strategy=Random(), trials=3,
                  executor="EXECUTOR", workers=WORKERS)
    history = study.run(resume=True)
    print(len(history.trials), history.best.value("loss") >= 100)

if __name__ == "__main__":
    main()
"""
)


@pytest.mark.parametrize("text", [MADE_IN_MAIN, MADE_IN_A_FUNCTION], ids=["main block", "function"])
@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_script_may_make_its_study_when_it_is_run(
    tmp_path: Path, python: Python, archsearch: Any, text: str, executor: str
) -> None:
    (tmp_path / "neighbour.py").write_text("SHIFT = 100\n")
    workers = "2" if executor == "ray" else "None"
    (tmp_path / "script.py").write_text(text.replace("EXECUTOR", executor).replace("WORKERS", workers))
    for _ in range(2):  # again: it goes on, and there is nothing left to do
        done = python("script.py")
        assert (done.returncode, done.stdout.split()) == (0, ["3", "True"]), done.stderr
    assert numbers_and_source(tmp_path / "main.db") == ([0, 1, 2], "pickle")
    (tmp_path / "elsewhere").mkdir()  # the command finds what the script imports from its folder
    resumed = archsearch("resume", "../main.db", "--trials", 4, "--executor", "inline", "--quiet", folder="elsewhere")
    assert resumed.returncode == 0, resumed.stderr
    assert numbers_and_source(tmp_path / "main.db")[0] == [0, 1, 2, 3]


def test_the_command_tells_of_a_study_that_is_made_when_the_script_is_run(tmp_path: Path, archsearch: Any) -> None:
    (tmp_path / "neighbour.py").write_text("SHIFT = 100\n")
    (tmp_path / "script.py").write_text(MADE_IN_MAIN.replace("EXECUTOR", "inline").replace("WORKERS", "None"))
    told = archsearch("run", "script.py")
    assert told.returncode == 2
    assert "script.py makes its study under if __name__ == '__main__': only; run it with python" in told.stderr


def test_a_study_that_the_main_block_replaces_is_the_one_that_runs(tmp_path: Path, python: Python) -> None:
    (tmp_path / "script.py").write_text(
        """
from dataclasses import replace
from archsearch import Float, Random, Space, Study

study = Study(name="one", space=Space(x=Float(0, 1)), objective=lambda trial: {"loss": 0.0}, minimize="loss", trials=9)
if __name__ == "__main__":
    study = replace(study, name="two", objective=lambda trial: {"loss": 7.0}, trials=2, executor="inline")
    study.run(quiet=True)
"""
    )
    done = python("script.py")
    assert done.returncode == 0, done.stderr
    assert archsearch.resume(tmp_path / "two.db", trials=3, quiet=True).trials[2].value("loss") == 7.0
    assert numbers_and_source(tmp_path / "two.db") == ([0, 1, 2], "pickle")


CELLS = """
cells = [
    "from archsearch import Float, Random, Space, Study\\nSCALE = 3",
    "def loss(trial):\\n    return {'loss': SCALE + trial.config['x']}",
    "study = Study(name='cells', space=Space(x=Float(0, 1)), objective=loss, minimize='loss', strategy=Random(), "
    "trials=TRIALS, executor='EXECUTOR', workers=1)\\nhistory = study.run(resume=True, quiet=True)",
]
import __main__
assert not hasattr(__main__, "__file__")
for cell in cells:
    exec(cell, vars(__main__))
print(len(history.trials), history.best.value("loss") > 3)
"""


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_the_cells_of_a_notebook_may_be_run_again(tmp_path: Path, python: Python, executor: str) -> None:
    for trials in (2, 2, 3):  # in a fresh kernel each time
        done = python("-c", CELLS.replace("TRIALS", str(trials)).replace("EXECUTOR", executor))
        assert (done.returncode, done.stdout.split()) == (0, [str(trials), "True"]), done.stderr
    assert numbers_and_source(tmp_path / "cells.db") == ([0, 1, 2], "pickle")


def test_an_existing_store_names_the_argument_in_python_and_the_command_elsewhere(tmp_path: Path) -> None:
    study().run(tmp_path / "s.db", quiet=True)
    with pytest.raises(StoreError) as caught:
        study().run(tmp_path / "s.db", quiet=True)
    assert str(caught.value) == (
        f"{tmp_path / 's.db'} already exists; continue it: study.run(resume=True), or use another file: "
        "study.run(store=...)"
    )


def test_a_script_that_is_run_twice_ends_with_one_short_traceback(tmp_path: Path, python: Python) -> None:
    (tmp_path / "neighbour.py").write_text("SHIFT = 100\n")
    text = MADE_IN_MAIN.replace("EXECUTOR", "inline").replace("WORKERS", "None").replace("resume=True", "")
    (tmp_path / "script.py").write_text(text)
    assert python("script.py").returncode == 0
    again = python("script.py")
    assert again.returncode == 1
    assert again.stderr.count("Traceback") == 1
    assert "StoreError: main.db already exists; continue it: study.run(resume=True)" in again.stderr.splitlines()[-1]


SLOW = """
import signal
from archsearch import Float, Space, Study, resume

def train(trial):
    if trial.number == 1 and trial.attempt == 1:
        open("started", "w").close()
        signal.pause()
    return {"loss": trial.config["x"]}

if __name__ == "__main__":
    study = Study(name="slow", space=Space(x=Float(0, 1)), objective=train, minimize="loss", trials=3,
                  executor="inline")
    CALL
"""


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("study.run()", "study.run(resume=True) or archsearch resume slow.db"),
        ("study.run('my.db')", "study.run('my.db', resume=True) or archsearch resume my.db"),
        (
            "study.run('my.db', resume=True, quiet=True)",
            "study.run('my.db', resume=True) or archsearch resume my.db",
        ),
    ],
)
def test_ctrl_c_in_a_script_says_how_to_continue(
    tmp_path: Path, python: Python, command_env: dict[str, str], call: str, named: str
) -> None:
    os.mkfifo(tmp_path / "started")
    (tmp_path / "slow.py").write_text(SLOW.replace("CALL", call))
    process = subprocess.Popen(
        [sys.executable, "slow.py"],
        cwd=tmp_path,
        env=command_env,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    (tmp_path / "started").open().close()  # blocks until trial 1 has begun
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert f"\ninterrupted; nothing is lost; continue with: {named}\nTraceback" in f"\n{stderr}"
    assert stderr.endswith("\nKeyboardInterrupt\n")
    assert stderr.count("  File ") == 3
    store = "my.db" if "my.db" in call else "slow.db"
    (tmp_path / "slow.py").write_text(SLOW.replace("CALL", f"study.run({store!r}, resume=True)"))
    assert python("slow.py").returncode == 0
    assert numbers_and_source(tmp_path / store)[0] == [0, 1, 2]


def test_a_store_of_failed_trials_is_to_be_deleted(tmp_path: Path) -> None:
    def fails(trial: Any) -> float:
        raise KeyError("col")

    with pytest.raises(StudyFailed) as failed:
        study(objective=fails, trials=9).run(tmp_path / "s.db", quiet=True)
    with pytest.raises(StoreError) as exists:
        study().run(tmp_path / "s.db", quiet=True)
    advice = f"before you run a corrected spec, delete {tmp_path / 's.db'} or choose another store"
    assert advice in str(failed.value)
    assert str(exists.value).startswith(f"{tmp_path / 's.db'} already exists; {advice}")


def test_a_resumed_run_is_the_run_that_was_not_interrupted(tmp_path: Path) -> None:
    whole = study(trials=6).run(tmp_path / "whole.db", quiet=True)
    for trials in (2, 4, 6):
        parts = study(trials=trials).run(tmp_path / "parts.db", resume=True, quiet=True)
        assert len(parts.trials) == trials
    assert [trial.config for trial in parts.trials] == [trial.config for trial in whole.trials]


def test_the_declared_limits_are_the_new_totals(tmp_path: Path) -> None:
    study(trials=3, target=-1.0).run(tmp_path / "s.db", quiet=True)
    history = study(trials=5).run(tmp_path / "s.db", resume=True, quiet=True)
    assert len(history.trials) == 5
    assert history.session_started is not None
    assert "target=-1" not in repr(history.session_started)  # it is declared no more
    assert study(trials=4).run(tmp_path / "s.db", resume=True, quiet=True) == history  # they are done


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ({"space": Space(x=Float(0, 2))}, "changed x: "),
        ({"minimize": None, "maximize": "loss"}, "its aim is maximize loss, and was minimize loss"),
        ({"seed": 1}, "its seed is 1, and was 0"),
        ({"strategy": "tpe"}, "its strategy is TPE("),
        ({"pruner": "median"}, "its pruner is Median("),
        ({"budget": 3}, "its budget is 3, and was None"),
        ({"start": [{"x": 0.5}]}, "its start is ({'x': 0.5},), and was ()"),
    ],
)
def test_a_store_of_a_study_that_was_declared_otherwise_is_refused(
    tmp_path: Path, settings: dict[str, Any], change: str
) -> None:
    before = study().run(tmp_path / "s.db", quiet=True)
    with pytest.raises(StoreError) as caught:
        study(trials=8, **settings).run(tmp_path / "s.db", resume=True, quiet=True)
    head, line = str(caught.value).splitlines()
    assert head.endswith(
        "s.db belongs to a study that was declared differently; use another store, or restore the former declaration:"
    )
    assert line.strip().startswith(change)
    with Store.open(tmp_path / "s.db") as store:
        assert store.history() == before


def test_a_study_that_was_warmed_up_goes_on(tmp_path: Path) -> None:
    study().run(tmp_path / "first.db", quiet=True)
    declared: dict[str, Any] = {"start": [{"x": 0.5}], "warm_start": tmp_path / "first.db"}
    study(trials=2, **declared).run(tmp_path / "s.db", resume=True, quiet=True)
    assert len(study(trials=9, **declared).run(tmp_path / "s.db", resume=True, quiet=True).trials) == 9


def test_a_study_that_was_extended_since_is_returned_as_it_is(tmp_path: Path) -> None:
    declared, path = study(trials=3), tmp_path / "again.db"
    declared.run(path, quiet=True)
    archsearch.resume(path, trials=5, quiet=True)
    with pytest.raises(ArgumentError, match="trials must be at least 5"):
        archsearch.resume(path, trials=3, quiet=True)
    history = declared.run(path, resume=True, quiet=True)
    assert history.counts() == {"finished": 5}
    assert history == open_study(path).history


def test_the_store_of_a_session_is_not_continued_by_a_study(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Session(SPACE, minimize="loss", strategy=Random(), store=path) as session:
        session.tell(session.ask(), 1.0)
    with pytest.raises(StoreError, match="belongs to a Session, not to a Study; use another file"):
        study().run(path, resume=True, quiet=True)
    assert len(open_study(path).trials) == 1
