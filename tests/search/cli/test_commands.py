"""The command as a user meets it: in a folder of their own, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = """
from archsearch import Float, Int, Random, Space, Study

def train(trial):
    print("hello from", trial.number)
    for step in range(trial.budget):
        yield {"loss": trial.config["x"] / (step + 1), "accuracy": 0.5}

study = Study(
    name="tiny", space=Space(x=Float(0, 1), depth=Int(1, 4)), objective=train, minimize="loss",
    strategy=Random(), trials=4, budget=3, executor="inline",
)
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(GOOD)
    return path


def read(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_run_resume_and_every_question(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    ran = archsearch("run", spec)
    assert ran.returncode == 0, ran.stderr
    assert "4/4" in ran.stderr  # plain lines, since this is no terminal
    assert "store: tiny.db" in ran.stdout
    assert read(tmp_path / "tiny.db", "SELECT state, count(*) FROM trials GROUP BY state") == [("finished", 4)]

    again = archsearch("run", spec)
    assert again.returncode == 2
    assert (
        "tiny.db already exists; resume it with: archsearch resume tiny.db, or choose another file with --store"
        in again.stderr
    )

    extended = archsearch("resume", "tiny.db", "--trials", 6, "--json", "--quiet")
    assert extended.returncode == 0
    assert extended.stderr == ""
    assert json.loads(extended.stdout)["trials"] == {"finished": 6}

    fewer = archsearch("resume", "tiny.db", "--trials", 3)
    assert fewer.returncode == 2
    assert (
        "error: --trials must be at least 6: it is a total, and the study already has 6 trials; got 3" in fewer.stderr
    )

    done = archsearch("resume", "tiny.db")  # nothing to do is no mistake
    assert done.returncode == 0

    best = json.loads(archsearch("best", "tiny.db", "--json").stdout)
    values = dict(read(tmp_path / "tiny.db", "SELECT number, value FROM trials"))
    assert best["value"] == min(values.values()) == values[best["number"]]
    assert set(best["config"]) == {"x", "depth"}

    shown = archsearch("show", "tiny.db")
    assert "6 finished" in shown.stdout
    assert shown.stdout.endswith("\nshow all trials with: archsearch show tiny.db --all\n")
    assert archsearch("show", "tiny.db", "best").stdout == archsearch("best", "tiny.db").stdout
    assert archsearch("show", "tiny.db", "best", "--log").stdout == f"hello from {best['number']}\n"
    assert "Random()" in shown.stdout
    trial = json.loads(archsearch("show", "tiny.db", 2, "--json").stdout)
    assert [report["step"] for report in trial["reports"]] == [1, 2, 3]
    assert archsearch("show", "tiny.db", 2, "--log").stdout == "hello from 2\n"

    assert archsearch("copy", "tiny.db", "copy.db").returncode == 0
    assert archsearch("copy", "tiny.db", "copy.db").returncode == 2
    listed = json.loads(archsearch("list", "--json").stdout)
    assert [(row["store"], row["ended"]) for row in listed] == [("copy.db", 6), ("tiny.db", 6)]

    report = archsearch("report", "tiny.db", "copy.db", "-o", "both.html")
    assert report.stdout == "report: both.html\n"
    assert "plotly" in (tmp_path / "both.html").read_text(encoding="utf-8")


def test_a_target_and_patience_end_a_study_that_may_go_on(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    ran = archsearch("run", spec, "--trials", 60, "--target", 0.2, "--quiet")
    assert ran.returncode == 0, ran.stderr
    assert "tiny: the target is reached; " in ran.stdout
    assert "\ncontinue with a stricter target: archsearch resume tiny.db --target VALUE\n" in ran.stdout
    reached = json.loads(archsearch("best", "tiny.db", "--json").stdout)["value"]
    assert reached <= 0.2
    further = archsearch("resume", "tiny.db", "--target", reached / 2, "--patience", 7, "--quiet")
    assert further.returncode == 0, further.stderr
    assert "tiny: the target is reached; " in further.stdout or "no better trial among the last 7" in further.stdout
    again = archsearch("resume", "tiny.db", "--target", -1, "--trials", 60, "--quiet")
    assert "tiny: no better trial among the last 7; " in again.stdout


def test_the_command_line_has_the_last_word_and_resume_remembers_it(
    archsearch: Any, spec: Path, tmp_path: Path
) -> None:
    one = archsearch("run", spec, "--store", "one.db", "--seed", 5, "--strategy", "tpe", "--trials", 2, "--quiet")
    assert one.returncode == 0, one.stderr
    spec.unlink()  # the store keeps the spec's text
    assert archsearch("resume", "one.db", "--trials", 3, "--quiet").returncode == 0
    study = json.loads(archsearch("show", "one.db", "--json").stdout)
    assert (study["seed"], study["strategy"][:4], study["trials"]) == (5, "TPE(", {"finished": 3})


def test_the_same_spec_and_seed_is_the_same_search(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    for store in ("a.db", "b.db"):
        archsearch("run", spec, "--store", store, "--quiet")
    query = "SELECT number, config, value FROM trials"
    assert read(tmp_path / "a.db", query) == read(tmp_path / "b.db", query)


BAD_SPECS = {
    "syntax": ("study = (\n", ["bad.py, line 1", "'(' was never closed"]),
    "no study": ("from archsearch import Study\n", ["bad.py defines no `study`", "add study = Study(...)"]),
    "another name": (GOOD.replace("study = Study", "search_ = Study"), ["it has a Study named 'search_'"]),
    "not a study": ("study = 3\n", ["`study` in bad.py must be a Study, got a int"]),
    "unknown import": (
        "from archsearch import Studdy\n",
        ["line 1", "unknown name in archsearch 'Studdy'", "did you mean 'Study'?"],
    ),
    "unknown name": (
        GOOD.replace("Random()", "Radom()"),
        ["line 11", "unknown name 'Radom'", "did you mean 'Random'?"],
    ),
    "unknown argument": (
        GOOD.replace("trials=4", "trails=4"),
        ["unknown argument of Study 'trails'", "did you mean 'trials'?"],
    ),
    "unknown module": ("import nosuchthing\n", ["line 1", "no module named 'nosuchthing'"]),
    "wrong type": (GOOD.replace("trials=4", "trials='4'"), ["trials must be a whole number of at least 1, got '4'"]),
    "zero trials": (GOOD.replace("trials=4", "trials=0"), ["trials must be a whole number of at least 1, got 0"]),
    "no metric": (GOOD.replace('minimize="loss"', "minimize=None"), ["Study needs a metric"]),
    "no space": (GOOD.replace("space=Space(x=Float(0, 1), depth=Int(1, 4))", "space=None"), ["needs space=Space(...)"]),
    "empty space": (GOOD.replace("x=Float(0, 1), depth=Int(1, 4)", ""), ["the space is empty"]),
    "swapped bounds": (GOOD.replace("Float(0, 1)", "Float(1, 0)"), ["low is above high; swap them"]),
    "a list": (GOOD.replace("Int(1, 4)", "[1, 4]"), ["parameter 'depth' must be a domain", "Choice", "got [1, 4]"]),
    "strategy": (GOOD.replace("Random()", "'tpee'"), ["unknown strategy 'tpee'", "did you mean 'tpe'?"]),
    "executor": (
        GOOD.replace('"inline"', '"in line"'),
        ["unknown executor 'in line'"],
    ),
    "objective": (GOOD.replace("objective=train", "objective=None"), ["objective must be a Supervised or a function"]),
    "name": (GOOD.replace('"tiny"', '"a/b"'), ["usable as a file name, got 'a/b'"]),
    "a class": (GOOD.replace("Random()", "Random"), ["strategy is the class Random; write Random()"]),
    "no pruner": (GOOD.replace("trials=4", "trials=4, pruner=3"), ["pruner must be a Pruner, got 3; try Median()"]),
    "part of a gpu": (GOOD.replace("trials=4", "trials=4, gpus=1.5"), ["a fraction of one GPU or a whole number"]),
    "raises": ("1 / 0\n", ["bad.py, line 1: ZeroDivisionError"]),
    "runs itself": (GOOD + "\nstudy.run()\n", ["if __name__ == '__main__'"]),
    "endless": (GOOD.replace("trials=4", "trials=None"), ["neither trials= nor timeout="]),
    "perhaps endless": (GOOD.replace("trials=4", "trials=None, target=1.0"), ["its target may not be reached"]),
    "gpus": (GOOD.replace("trials=4", "trials=4, gpus=64"), ["each trial needs 64 GPUs", "lower Study(gpus"]),
    "metric never yielded": (
        GOOD.replace('minimize="loss"', 'minimize="los"'),
        [
            "never reported the study's metric",
            "unknown metric 'los'",
            "did you mean 'loss'?; before you run a corrected spec, delete tiny.db or choose another store",
        ],
    ),
}


@pytest.mark.parametrize("name", BAD_SPECS)
def test_a_bad_spec_is_one_clear_line_and_exit_2(archsearch: Any, tmp_path: Path, name: str) -> None:
    text, expected = BAD_SPECS[name]
    assert text != GOOD
    (tmp_path / "bad.py").write_text(text)
    ran = archsearch("run", "bad.py", "--quiet")
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    for part in expected:
        assert part in ran.stderr
    if name != "metric never yielded":  # found before the first trial: no store stands in the way of the next try
        assert not list(tmp_path.glob("*.db"))


BAD_CALLS = {
    "no spec": (["run", "nosuch.py"], ["no spec file at nosuch.py", "does not exist"]),
    "no spec to check": (["check", "nosuch.py"], ["no spec file at nosuch.py", "does not exist"]),
    "no samples": (["check", "tiny.py", "--samples", "0"], ["--samples", "0 is not in the range x>=1"]),
    "spec is a folder": (["run", "."], ["is a folder"]),
    "strategy": (["run", "tiny.py", "--strategy", "ranodm"], ["unknown strategy 'ranodm'", "did you mean 'random'?"]),
    "executor": (["run", "tiny.py", "--executor", "rai"], ["unknown executor 'rai'", "did you mean 'ray'?"]),
    "timeout": (["run", "tiny.py", "--timeout", "soon"], ["--timeout must be like 90s, 20m or 1h30m, got 'soon'"]),
    "no unit": (
        ["run", "tiny.py", "--timeout", "20"],
        ["--timeout has no unit, got '20'; write 20s for seconds or 20m"],
    ),
    "part of a trial": (["run", "tiny.py", "--trials", "2.5"], ["'--trials': '2.5' is not a valid integer"]),
    "seed": (["run", "tiny.py", "--seed", "-1"], ["--seed must be a whole number of at least 0, got -1"]),
    "trials": (["run", "tiny.py", "--trials", "0"], ["--trials must be a whole number of at least 1, got 0"]),
    "patience": (["run", "tiny.py", "--patience", "0"], ["--patience must be a whole number of at least 1, got 0"]),
    "target": (["run", "tiny.py", "--target", "nan"], ["--target must be a finite number, got nan"]),
    "GPU hours": (["run", "tiny.py", "--gpu-hours", "-1"], ["--gpu-hours must be a finite number above 0, got -1"]),
    "no GPU": (
        ["run", "tiny.py", "--gpu-hours", "1"],
        ["--gpu-hours has no effect, as the trials use no GPU; set a timeout"],
    ),
    "inline workers": (["run", "tiny.py", "--workers", "2"], ["--workers must be 1 in the inline executor, got 2"]),
    "no folder": (["run", "tiny.py", "--store", "no/such/x.db"], ["the folder", "does not exist", "mkdir -p"]),
    "no store": (["resume", "nosuch.db"], ["no store at nosuch.db"]),
    "not a store": (["report", "text.txt"], ["text.txt is not an archsearch store"]),
    **{
        f"{command} of a spec": (
            [command, "tiny.py", *more],
            ["tiny.py is a spec, not a store; run it with: archsearch run tiny.py"],
        )
        for command, *more in (("resume",), ("best",), ("show",), ("report",), ("copy", "other.db"))
    },
    "run a store": (["run", "seed.db"], ["seed.db is a store, not a spec; resume it with: archsearch resume seed.db"]),
    "check a store": (["check", "seed.db"], ["seed.db is a store, not a spec"]),
    "no trial": (["show", "seed.db", "first"], ["'first' is not a trial; give its number, or best"]),
    "all and one": (["show", "seed.db", "1", "--all"], ["--all shows the trials of a study; leave out the trial"]),
    "no such trial": (["show", "seed.db", "9"], ["the study has no trial 9; its trials are 0 to 3"]),
    "option": (["run", "tiny.py", "--trial", "3"], ["No such option"]),
    "command": (["rnu", "tiny.py"], ["No such command 'rnu'"]),
    "log of what": (["show", "seed.db", "--log"], ["--log needs a trial: archsearch show STORE TRIAL --log"]),
    "list nowhere": (["list", "nosuch"], ["no folder at nosuch"]),
    "report nowhere": (
        ["report", "seed.db", "-o", "no/such/x.html"],
        ["cannot write no/such/x.html: No such file or directory; choose another file with -o"],
    ),
}


@pytest.fixture(scope="module")
def seed_store(tmp_path_factory: pytest.TempPathFactory, command_env: dict[str, str]) -> Path:
    folder = tmp_path_factory.mktemp("seed")
    (folder / "tiny.py").write_text(GOOD)
    subprocess.run(
        [sys.executable, "-m", "archsearch", "run", "tiny.py", "--quiet"], cwd=folder, env=command_env, check=True
    )
    return folder / "tiny.db"


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_call_is_told_plainly_and_exits_with_2(
    archsearch: Any, spec: Path, seed_store: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "seed.db").write_bytes(seed_store.read_bytes())
    (tmp_path / "text.txt").write_text("no store")
    args, expected = BAD_CALLS[name]
    ran = archsearch(*args)
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    for part in expected:
        assert part in ran.stderr
    assert not (tmp_path / "tiny.db").exists()


def test_debug_shows_the_traceback(archsearch: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0\n")
    ran = archsearch("run", "bad.py", "--debug")
    assert ran.returncode == 2
    assert "Traceback" in ran.stderr
    assert "ZeroDivisionError" in ran.stderr


def test_a_failed_study_exits_with_1_and_says_where_to_look(archsearch: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        GOOD.replace('    print("hello from", trial.number)', "    raise KeyError('col')")
    )
    ran = archsearch("run", "broken.py", "--trials", 20, "--quiet")
    assert ran.returncode == 1
    advice = (
        "before you run a corrected spec, delete tiny.db or choose another store, since no trial in it has finished "
        "(archsearch resume runs the stored spec)\n"
    )
    error = "KeyError: 'col' (broken.py, line 5)"
    see = "see the log: archsearch show tiny.db 4 --log"
    assert ran.stderr == f"error: the first 5 trials all failed with: {error}; {see}; {advice}"
    again = archsearch("run", "broken.py")
    assert (again.returncode, again.stderr) == (2, f"error: tiny.db already exists; {advice}")
    resumed = archsearch("resume", "tiny.db", "--trials", 6)
    assert resumed.returncode == 1
    assert f"warning: {advice}" in resumed.stderr
    see = "see why: archsearch show tiny.db 5 --log"
    assert resumed.stderr.endswith(f"error: no trial has finished; {see}; {advice}")
    (tmp_path / "tiny.db").unlink()
    assert archsearch("run", "broken.py", "--trials", 20, "--quiet").returncode == 1
    assert "KeyError: 'col'" in archsearch("show", "tiny.db", 4, "--log").stdout
    shown = archsearch("show", "tiny.db", 4).stdout
    assert shown.endswith("\nshow its output and traceback with: archsearch show tiny.db 4 --log\n")
    best = archsearch("best", "tiny.db")
    assert best.returncode == 1
    see = "see its log: archsearch show tiny.db 4 --log"
    assert best.stderr == f"error: tiny.db: all 5 trials failed with: {error}; {see}\n"


MIXED = """
from archsearch import Continue, Float, Pruner, Random, Space, Stop, Study

class StopTrial2(Pruner):
    def judge(self, trial, history):
        return Stop("enough") if trial.number == 2 else Continue()

def train(trial):
    if trial.number % 2:
        raise KeyError("col")
    for step in range(3):
        yield {"loss": trial.config["x"]}

study = Study(name="tiny", space=Space(x=Float(0, 1)), objective=train, minimize="loss", strategy=Random(),
              pruner=StopTrial2(), trials=12, budget=3, executor="inline")
"""


def test_pruned_and_failed_trials_are_listed_too(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    spec.write_text(MIXED)
    assert archsearch("run", spec, "--quiet").returncode == 0
    rows = archsearch("show", "tiny.db", "--all").stdout.splitlines()
    assert [row.split()[:2] for row in rows[:4]] == [
        ["trial", "state"],
        ["0", "finished"],
        ["1", "failed"],
        ["2", "pruned"],
    ]
    told = json.loads(archsearch("show", "tiny.db", "--all", "--json").stdout)
    assert [trial["state"] for trial in told[:4]] == ["finished", "failed", "pruned", "failed"]
    header, row = archsearch("list").stdout.splitlines()
    assert header.split() == ["store", "study", "goal", "trials", "pruned", "failed", "best"]
    assert row.split()[:-1] == ["tiny.db", "tiny", "minimize", "loss", "12/12", "1", "6"]
    for column in ("trials", "pruned", "failed", "best"):  # aligned at the right
        end = header.index(column) + len(column)
        assert row[end - 1] != " "
        assert row[end : end + 1].strip() == ""
    (listed,) = json.loads(archsearch("list", "--json").stdout)
    assert (listed["ended"], listed["pruned"], listed["failed"]) == (12, 1, 6)


def test_the_log_of_a_trial_that_printed_nothing_says_so(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    spec.write_text(GOOD.replace('    print("hello from", trial.number)', ""))
    assert archsearch("run", spec, "--trials", 1, "--quiet").returncode == 0
    text = archsearch("show", "tiny.db", 0, "--log").stdout
    assert text == "trial 0 has no output; show the trial itself with: archsearch show tiny.db 0\n"
    assert "--log" not in archsearch("show", "tiny.db", 0).stdout
    assert json.loads(archsearch("show", "tiny.db", 0, "--log", "--json").stdout) == {"trial": 0, "log": ""}


def heed_ctrl_c() -> None:
    """A shell starts its background jobs with Ctrl-C ignored, which a test run in one would hand down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_exits_with_130_and_the_study_can_go_on(
    archsearch: Any, tmp_path: Path, command_env: dict[str, str], number: int, code: int
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    (tmp_path / "slow.py").write_text(
        GOOD.replace(
            '    print("hello from", trial.number)',
            f"    if trial.number == 1 and trial.attempt == 1:\n"
            f"        open({str(started)!r}, 'w').close()\n"
            f"        import time; time.sleep(60)",
        )
    )
    command = [sys.executable, "-m", "archsearch", "run", "slow.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=command_env, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    )
    started.open().close()  # blocks until trial 1 has begun
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted; nothing is lost; continue with: archsearch resume tiny.db" in stderr
    assert "Traceback" not in stderr
    assert archsearch("resume", "tiny.db", "--quiet").returncode == 0
    assert read(tmp_path / "tiny.db", "SELECT state, count(*) FROM trials GROUP BY state") == [("finished", 4)]


def test_files_of_the_users_with_our_folders_names_are_no_matter(archsearch: Any, tmp_path: Path) -> None:
    for name in ("search.py", "spaces.py", "studies.py"):
        (tmp_path / name).write_text("raise RuntimeError('mine')\n")
    (tmp_path / "tiny.py").write_text(GOOD)
    # python -m puts this folder first on the path
    for command in (["--help"], ["run", "tiny.py"], ["resume", "tiny.db", "--trials", 6], ["report", "tiny.db"]):
        done = archsearch(*command)
        assert done.returncode == 0, done.stderr


def test_the_store_and_the_page_are_in_the_current_folder(spec: Path, tmp_path: Path, archsearch: Any) -> None:
    for name in ("specs", "here"):
        (tmp_path / name).mkdir()
    spec.rename(tmp_path / "specs" / spec.name)
    for command in (["run", f"../specs/{spec.name}", "--quiet"], ["report", "tiny.db"]):
        done = archsearch(*command, folder="here")
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"tiny.db", "tiny.html"}
    assert [path.name for path in (tmp_path / "specs").iterdir()] == [spec.name]
    assert {path.name for path in tmp_path.iterdir()} == {"specs", "here"}


def test_help_loads_neither_torch_nor_ray(root: Path) -> None:
    code = (
        "import sys; sys.argv = ['archsearch', '--help']\n"
        "from archsearch.search.cli.commands import main\n"
        "try: main()\n"
        "except SystemExit as exit: assert exit.code == 0, exit.code\n"
        "heavy = {'torch', 'ray', 'optuna', 'skopt', 'sklearn', 'plotly', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "resume" in done.stdout


@pytest.mark.parametrize("command", ["check", "run", "resume", "report", "list", "show", "best", "copy"])
def test_every_command_has_help(archsearch: Any, command: str) -> None:
    done = archsearch(command, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout


def test_a_person_can_read_the_store_while_the_study_runs(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    """`list` and `show` of a store that a driver has open, here this process."""
    archsearch("run", spec, "--quiet")
    from archsearch.studies.store import Store

    with Store.open(tmp_path / "tiny.db", write=True):
        assert "4 finished" in archsearch("show", "tiny.db").stdout
        held = archsearch("resume", "tiny.db", "--trials", 9)
        assert held.returncode == 2
        assert "in use by another driver" in held.stderr


def test_the_installed_command_runs_in_any_folder(spec: Path, tmp_path: Path) -> None:
    """Without PYTHONPATH, as `pip install` leaves it; a `search.py` in the user's folder is nobody's business then."""
    (tmp_path / "search.py").write_text("raise RuntimeError('the wrong search')\n")
    command = Path(sys.executable).parent / "archsearch"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [command, "run", spec, "--quiet"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "tiny.db").is_file()


NOOP = """
from archsearch import Float, Random, Space, Study
study = Study(name="noop", space=Space(x=Float(0, 1)), objective=lambda trial: {"loss": trial.config["x"]},
              minimize="loss", strategy=Random(), trials=100000, executor="inline")
"""


@pytest.mark.parametrize("after", [1, 40, 333, 1000, 1777])
def test_ctrl_c_between_any_two_steps_leaves_a_store_in_order(
    archsearch: Any, tmp_path: Path, command_env: dict[str, str], after: int
) -> None:
    """With trials that take no time, the signal falls into the engine's own work, and not into an objective."""
    (tmp_path / "noop.py").write_text(NOOP)
    store = tmp_path / "noop.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "archsearch", "run", "noop.py", "--quiet"],
        cwd=tmp_path,
        env=command_env,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    while not store.exists() or read(store, "SELECT count(*) FROM events")[0][0] < after:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    done = read(store, "SELECT count(*) FROM trials")[0][0]
    resumed = archsearch("resume", "noop.db", "--trials", done + 5, "--quiet", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["trials"] == {"finished": done + 5}


def test_what_is_no_store_is_not_resumed(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    ran = archsearch("run", spec, "--store", "tiny.py")
    assert ran.returncode == 2
    assert "tiny.py already exists and is not a store; choose another file" in ran.stderr
    assert spec.read_text() == GOOD


def test_a_mistake_leaves_nothing_behind(archsearch: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD_SPECS["gpus"][0])
    assert archsearch("run", "bad.py").returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.py"]


def test_piped_output_is_not_wrapped(archsearch: Any, spec: Path, tmp_path: Path) -> None:
    archsearch("run", spec, "--store", "a-name-that-is-rather-long-for-a-narrow-screen.db", "--quiet")
    listed = archsearch("list", env={"COLUMNS": "40"}).stdout.splitlines()
    assert "a-name-that-is-rather-long-for-a-narrow-screen.db" in listed[1]
    assert len(listed) == 2
    assert all(line == line.rstrip() for line in listed)


NETWORK = """
import torch
from archsearch import Choice, Float, Int, Random, Recipe, Space, Study, Supervised, constraint, iris
from torch import nn

class Mine:
    space = Space(constraint("width < 9"), width=Int(1, 9), kind=Choice("good", "narrow"))

    def build(self, config, inputs, outputs):
        print("building")
        width = config["width"]
        if width > 4:
            raise ValueError(f"width {width} is too much")
        return nn.Sequential(nn.Linear(4, width), nn.Linear(width + (config["kind"] == "narrow"), outputs))

study = Study(
    name="mine", objective=Supervised(iris(), Mine(), Recipe(learning_rate=Float(1e-3, 1e-1, log=True))),
    minimize="val_loss", strategy=Random(), trials=4, budget=1, executor="inline",
)
"""


def test_a_check_reports_what_cannot_be_built(archsearch: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(NETWORK)
    told = archsearch("check", "mine.py", "--samples", 100)
    assert told.returncode == 2
    error = re.fullmatch(r"error: (\d+) of 101 configurations cannot be built; fix the network .*\n", told.stderr)
    assert error
    assert f"\n{error[1]} of 101 configurations cannot be built:\n" in told.stdout
    assert re.search(
        r"\n +\d+x +ValueError: width (\d) is too much \(mine.py, line \d+\)\n +width=\1 kind=",
        told.stdout,
    )
    assert re.search(r"\n +\d+x +RuntimeError: .* \[2, \d\] X .*; in Linear '1'\n +width=\d kind=narrow ", told.stdout)
    assert re.search(r"\nthe constraints reject \d+\.\d% of all draws:\n +\d+\.\d% +width < 9\n", told.stdout)
    assert "building" not in told.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py"]


def test_a_check_without_networks_loads_no_torch(archsearch: Any, spec: Path) -> None:
    spec.write_text(
        GOOD + "\nimport atexit, sys\natexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
    )
    told = archsearch("check", spec)
    assert (told.returncode, told.stderr) == (0, "False\n")
    assert "so only the space was checked" in told.stdout
    body = json.loads(archsearch("check", spec, "--json", "--samples", 10).stdout)
    assert (body["study"], body["configs"], body["costs"], body["failures"]) == ("tiny", 12, None, [])
    assert archsearch("run", spec, "--quiet").stderr == "False\n"
