"""Where a study comes from: its arguments, moved folders, shadowed files, edited code, and scripts that run it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch.search.engine.moved_folders import moved_file
from archsearch.search.engine.spec import SpecFile
from archsearch.studies.store import Store

Python = Callable[..., subprocess.CompletedProcess[str]]

SPEC = """
import argparse, sys
from archsearch import Float, Random, Space, Study

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, required=True)
epochs = parser.parse_args().epochs

def loss(trial):
    return 100 * epochs + len(sys.argv)

study = Study(name="s", space=Space(x=Float(0, 1)), objective=loss, minimize="loss", strategy=Random(), trials=1,
              executor="inline")
if __name__ == "__main__":
    study.run(resume=True)
"""
IN_MAIN = """
import argparse, sys
from archsearch import Float, Random, Space, Study
import neighbour

def loss(trial):
    return 100 * epochs + len(sys.argv) + neighbour.SHIFT

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, required=True)
    epochs = parser.parse_args().epochs
    Study(name="s", space=Space(x=Float(0, 1)), objective=loss, minimize="loss", strategy=Random(), trials=1,
          executor="inline").run(resume=True)
"""


@pytest.fixture
def python(tmp_path: Path, command_env: dict[str, str]) -> Python:
    """Runs Python in a folder in `tmp_path`, in a fresh process."""

    def run(*args: str, folder: str = ".") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path / folder,
            env=command_env,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def values(store: Path) -> list[float | None]:
    with Store.open(store) as opened:
        history = opened.history()
        return [history.value(trial) for trial in history.trials]


def test_the_command_passes_what_follows_two_dashes_to_the_spec(tmp_path: Path, archsearch: Any) -> None:
    (tmp_path / "spec.py").write_text(SPEC)
    done = archsearch("run", "spec.py", "--quiet", "--", "--epochs", "5")
    assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "s.db") as store:
        assert store.meta["source"]["argv"] == ["spec.py", "--epochs", "5"]
    resumed = archsearch("resume", "s.db", "--trials", 2, "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    assert values(tmp_path / "s.db") == [503.0, 503.0]


def test_the_arguments_of_a_script_are_those_of_its_resume_and_of_a_check(
    tmp_path: Path, python: Python, archsearch: Any
) -> None:
    (tmp_path / "spec.py").write_text(SPEC)
    done = python("spec.py", "--epochs", "6")
    assert done.returncode == 0, done.stderr
    code = "import archsearch, sys; archsearch.resume('s.db', trials=2, quiet=True); print(sys.argv)"
    resumed = python("-c", code, "--mine")
    assert resumed.stdout == "['-c', '--mine']\n", resumed.stderr
    assert values(tmp_path / "s.db") == [603.0, 603.0]
    checked = archsearch("check", "spec.py", "--samples", 5, "--", "--epochs", "1")
    assert checked.returncode == 0, checked.stderr


def test_a_script_that_makes_its_study_when_run_keeps_its_arguments_too(
    tmp_path: Path, python: Python, archsearch: Any
) -> None:
    (tmp_path / "neighbour.py").write_text("SHIFT = 0.5\n")
    (tmp_path / "script.py").write_text(IN_MAIN)
    done = python("script.py", "--epochs", "7")
    assert done.returncode == 0, done.stderr
    assert archsearch("resume", "s.db", "--trials", 2, "--quiet").returncode == 0
    assert values(tmp_path / "s.db") == [703.5, 703.5]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["spec.py"],
            "spec.py, line 7: the spec exits with status 2 before it has declared a study; if it needs argum",
        ),
        (
            ["spec.py", "--epochs", "5"],
            "Arguments of the spec file come after --, as in: python -m archsearch run SPEC.py -- --epochs",
        ),
        (["spec.py", "more.py"], "Got unexpected extra argument (more.py)"),
    ],
)
def test_arguments_in_the_wrong_place_are_told(tmp_path: Path, archsearch: Any, args: list[str], message: str) -> None:
    (tmp_path / "spec.py").write_text(SPEC)
    done = archsearch("run", *args)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "s.db").exists()


MOVABLE = SPEC.replace("import argparse", "from neighbour import SHIFT\nimport argparse").replace(
    "len(sys.argv)", "len(sys.argv) + SHIFT"
)


@pytest.mark.parametrize("place", [".", "runs"])
def test_a_renamed_folder_is_found_near_the_store(tmp_path: Path, archsearch: Any, place: str) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "code").mkdir(parents=True)
    (old / place).mkdir(exist_ok=True)
    (old / "code" / "neighbour.py").write_text("SHIFT = 0.5\n")
    (old / "code" / "spec.py").write_text(MOVABLE)
    done = archsearch("run", "code/spec.py", "--quiet", "--store", f"{place}/s.db", "--", "--epochs", 1, folder="old")
    assert done.returncode == 0, done.stderr
    old.rename(new)
    resumed = archsearch("resume", new / place / "s.db", "--trials", 2)
    assert resumed.returncode == 0, resumed.stderr
    told = f"warning: {old / 'code' / 'spec.py'} no longer exists; modules are imported from {new / 'code'} instead"
    assert told in resumed.stderr
    assert values(new / place / "s.db") == [103.5, 103.5]
    with Store.open(new / place / "s.db") as store:
        assert "source_2" not in store.meta


@pytest.mark.parametrize("text", [MOVABLE, IN_MAIN], ids=["spec", "main block"])
def test_modules_beside_the_store_or_in_the_current_folder_are_found(
    tmp_path: Path, python: Python, archsearch: Any, text: str
) -> None:
    for name in ("old", "stores", "current"):
        (tmp_path / name).mkdir()
    (tmp_path / "old" / "neighbour.py").write_text("SHIFT = 0.5\n")
    (tmp_path / "old" / "script.py").write_text(text)
    done = python("script.py", "--epochs", "1", folder="old")
    assert done.returncode == 0, done.stderr
    (tmp_path / "old" / "s.db").rename(tmp_path / "stores" / "s.db")
    (tmp_path / "old").rename(tmp_path / "gone")
    missing = archsearch("resume", tmp_path / "stores" / "s.db", "--trials", 2, folder="current")
    assert missing.returncode == 2
    for place in ("stores", "current"):
        assert str(tmp_path / place) in missing.stderr
    (tmp_path / "current" / "neighbour.py").write_text("SHIFT = 0.75\n")
    found = archsearch("resume", tmp_path / "stores" / "s.db", "--trials", 2, folder="current")
    assert found.returncode == 0, found.stderr
    assert "no longer exists; modules are imported from" in found.stderr
    assert values(tmp_path / "stores" / "s.db") == [103.5, 103.75]


def test_a_file_that_was_not_moved_is_where_it_was(tmp_path: Path) -> None:
    assert moved_file(tmp_path / "deleted.py", tmp_path / "s.db") == (tmp_path / "deleted.py", None)


def test_a_file_that_the_standard_library_shadows_is_told_with_both_places(tmp_path: Path, archsearch: Any) -> None:
    shadowing = importlib.import_module("test")
    (tmp_path / "test.py").write_text("SHIFT = 1\n")
    (tmp_path / "spec.py").write_text("from test import SHIFT\n" + SPEC)
    (tmp_path / "elsewhere").mkdir()
    done = archsearch("run", "../spec.py", "--", "--epochs", 1, folder="elsewhere")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: spec.py, line 1: ImportError: cannot import name 'SHIFT' from 'test': `test` is the module "
        f"{shadowing.__file__}, not {tmp_path / 'test.py'}; if you mean yours, rename its file\n"
    )


@pytest.mark.parametrize(
    ("line", "error"),
    [("import calendar; calendar.SHIFT", "AttributeError"), ("import calendar.inner", "ModuleNotFoundError")],
)
def test_every_way_to_miss_a_shadowed_name_is_told(tmp_path: Path, line: str, error: str) -> None:
    (tmp_path / "calendar.py").write_text("SHIFT = 1\n")
    (tmp_path / "own_spec_5.py").write_text(line)
    with pytest.raises(Exception, match=rf"line 1: {error}: .*calendar.py, not {tmp_path / 'calendar.py'}; if you"):
        SpecFile.from_path(tmp_path / "own_spec_5.py").load()


def test_a_shadowed_file_is_warned_of_even_if_the_import_succeeds(tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("")
    (tmp_path / "unused.py").write_text("")
    (tmp_path / "own_spec_6.py").write_text("import random, json")
    (warning,) = SpecFile.from_path(tmp_path / "own_spec_6.py").warnings
    assert warning.startswith("`random` is the module ")
    assert f"not {tmp_path / 'random.py'}; if you mean yours, rename its file" in warning


def test_a_run_with_changed_code_is_what_a_resume_continues(tmp_path: Path, python: Python, archsearch: Any) -> None:
    (tmp_path / "spec.py").write_text(SPEC)
    assert python("spec.py", "--epochs", "1").returncode == 0
    (tmp_path / "spec.py").write_text(SPEC.replace("trials=1", "trials=2").replace("100 *", "200 *"))
    done = python("spec.py", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "s.db") as store:
        assert "200 *" in store.meta["source_2"]["text"]
        assert store.meta["source_2"]["argv"] == ["spec.py", "--epochs", "2"]
    (tmp_path / "spec.py").write_text("edited = True")
    resumed = archsearch("resume", "s.db", "--trials", 3)
    assert resumed.returncode == 0, resumed.stderr
    told = (
        f"warning: {tmp_path / 'spec.py'} has changed since the study started, which continues with the stored spec; "
        "to start anew with the changed one: archsearch run spec.py --store NEW.db\n"
    )
    assert told in resumed.stderr
    assert values(tmp_path / "s.db") == [103.0, 403.0, 403.0]
    with Store.open(tmp_path / "s.db") as store:
        assert "source_3" not in store.meta


def test_a_script_that_runs_its_study_unguarded_is_told_the_line(tmp_path: Path, python: Python) -> None:
    text = SPEC.replace('if __name__ == "__main__":\n    study', "print('once')\nstudy")
    (tmp_path / "script.py").write_text(text)
    done = python("script.py", "--epochs", "1")
    assert done.returncode == 1
    assert done.stdout == "once\n"
    assert "script.py, line 15: study.run() would start again in every worker, since each one imp" in done.stderr
    assert "put it under if __name__ == '__main__':" in done.stderr
    assert not (tmp_path / "s.db").exists()


GLOBAL = """
from archsearch import Float, Random, Space, Study

def main():
    global study
    study = Study(name="s", space=Space(x=Float(0, 1)), objective=lambda trial: 7.0, minimize="loss", strategy=Random(),
                  trials=1, executor="inline")
    study.run()

CALL
"""


@pytest.mark.parametrize("call", ["if __name__ == '__main__':\n    main()", "import sys\nsys.argv[1:] or main()"])
def test_a_study_that_a_function_makes_is_pickled(tmp_path: Path, python: Python, call: str) -> None:
    (tmp_path / "script.py").write_text(GLOBAL.replace("CALL", call))
    done = python("script.py")
    assert done.returncode == 0, done.stderr
    with Store.open(tmp_path / "s.db") as store:
        assert store.meta["source"]["kind"] == "pickle"


def test_a_script_in_another_encoding_can_make_its_study_when_it_is_run(tmp_path: Path, python: Python) -> None:
    text = f"# -*- coding: latin-1 -*-\n# gr\xfcn\n{GLOBAL}".replace("CALL", "if __name__ == '__main__':\n    main()")
    (tmp_path / "script.py").write_bytes(text.replace("global study", "pass").encode("latin-1"))
    done = python("script.py")
    assert done.returncode == 0, done.stderr
