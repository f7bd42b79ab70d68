"""A spec file is a real module in every process: pickled, found by children, executed once, with its arguments."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch import SpecError
from archsearch.search.engine.spec import SpecFile
from archsearch.search.engine.spec_module import SpecModule, module_name
from archsearch.studies.store import Store

Python = Callable[..., subprocess.CompletedProcess[str]]

# Writes a line to `executions` whenever it is executed, with the name under which it is.
HEAD = """
import argparse, os, pickle, sys
from pathlib import Path
from archsearch import Float, Random, Space, Study

FOLDER = Path(__file__).parent
with (FOLDER / "executions").open("a") as file:
    file.write(f"{os.getpid()} {__name__}\\n")
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, required=True)
epochs = parser.parse_args().epochs

class Rows:
    def __len__(self):
        return 4

    def __getitem__(self, row):
        return float(row)

def double(x):
    return 2 * x + 100 * epochs
"""
TAIL = """
study = Study(name="s", space=Space(x=Float(0, 1)), objective=loss, shared=Rows, minimize="loss", strategy=Random(),
              trials=1, executor="EXECUTOR", workers=1)
if __name__ == "__main__":
    study.run(resume=True)
"""
CHILDREN = (
    HEAD
    + """
def loss(trial):
    import joblib, torch
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context
    from torch.utils.data import DataLoader

    Path(__file__).write_text("raise ValueError('edited while the study runs')")
    found = []
    for method in ("fork", "spawn", "forkserver"):
        with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
            found.append(pool.submit(double, 1).result())
    found += joblib.Parallel(n_jobs=2)(joblib.delayed(double)(x) for x in (2, 3))
    loader = DataLoader(trial.shared, batch_size=4, num_workers=1, multiprocessing_context="spawn")
    found += [batch.sum().item() for batch in loader]
    print(found)
    return sum(found)
"""
    + TAIL
)
SPAWNS = (
    HEAD
    + """
def loss(trial):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    assert type(trial.shared) is Rows
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(double, len(trial.shared)).result()
    (FOLDER / "rows.pickle").write_bytes(pickle.dumps(trial.shared))
    return found
"""
    + TAIL
)


def value(store: Path, trial: int = 0) -> float:
    with Store.open(store) as opened:
        history = opened.history()
        assert history.trials[trial].state == "finished", opened.log(trial)
        found = history.value(history.trials[trial])
    assert found is not None
    return found


def executions(folder: Path) -> list[str]:
    """The names under which the spec was executed, in order. No process may have executed it twice."""
    lines = [line.split() for line in (folder / "executions").read_text().splitlines()]
    assert len({process for process, _ in lines}) == len(lines), lines
    return [name for _, name in lines]


def test_children_of_any_kind_find_the_spec_as_it_was(tmp_path: Path, archsearch: Any) -> None:
    (tmp_path / "spec.py").write_text(CHILDREN.replace("EXECUTOR", "inline"))
    done = archsearch("run", "spec.py", "--", "--epochs", "1", timeout=300)
    assert done.returncode == 0, done.stderr
    assert value(tmp_path / "s.db") == 3 * 102 + 104 + 106 + 6
    assert set(executions(tmp_path)) == {"spec"}
    resumed = archsearch("resume", "s.db", "--trials", 1)  # nothing to do
    assert resumed.returncode == 0, resumed.stderr


def test_a_script_is_the_module_that_its_children_and_other_programs_import(tmp_path: Path, python: Python) -> None:
    (tmp_path / "spec.py").write_text(SPAWNS.replace("EXECUTOR", "inline"))
    done = python("spec.py", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert value(tmp_path / "s.db") == 208
    assert executions(tmp_path) == ["__main__", "__mp_main__"]
    arguments = "import pickle, sys; sys.argv[1:] = ['--epochs', '1']; "
    loaded = python("-c", arguments + "rows = pickle.load(open('rows.pickle', 'rb')); print(type(rows), len(rows))")
    assert loaded.stdout == "<class 'spec.Rows'> 4\n", loaded.stderr


@pytest.mark.ray
def test_a_ray_worker_and_its_children_import_the_spec_once_and_with_its_arguments(
    tmp_path: Path, python: Python
) -> None:
    (tmp_path / "spec.py").write_text(SPAWNS.replace("EXECUTOR", "ray"))
    done = python("spec.py", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert value(tmp_path / "s.db") == 308
    assert executions(tmp_path) == ["__main__", "spec", "spec"]  # the driver, the worker and its child


PACKAGED = SPAWNS.replace("from pathlib", "from .helpers import SHIFT\nfrom pathlib").replace(
    "return found", "return found + SHIFT"
)


@pytest.mark.parametrize("how", ["command", "module"])
def test_a_spec_in_a_package_may_import_its_siblings(tmp_path: Path, python: Python, archsearch: Any, how: str) -> None:
    folder = tmp_path / "project" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("from .helpers import SHIFT\n")
    (folder / "helpers.py").write_text("SHIFT = 0.5\n")
    (folder / "spec.py").write_text(PACKAGED.replace("EXECUTOR", "inline"))
    if how == "command":
        done = archsearch("run", "project/inner/spec.py", "--", "--epochs", "4")
    else:
        done = python("-m", "project.inner.spec", "--epochs", "4")
    assert done.returncode == 0, done.stderr
    assert value(tmp_path / "s.db") == 408.5
    name = "project.inner.spec"
    assert executions(folder) == ([name, name] if how == "command" else ["__main__", "__mp_main__"])
    (folder / "executions").unlink()
    (tmp_path / "elsewhere").mkdir()
    resumed = archsearch("resume", "../s.db", "--trials", 2, folder="elsewhere")
    assert resumed.returncode == 0, resumed.stderr
    assert value(tmp_path / "s.db", trial=1) == 408.5
    assert executions(folder) == [name, name]


def test_a_relative_import_outside_of_a_package_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "lonely.py").write_text("from .helpers import SHIFT\n")
    with pytest.raises(SpecError, match=r"lonely\.py, line 1: .* no known parent package: .*give it an __init__"):
        SpecFile.from_path(tmp_path / "lonely.py").load()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("own_spec_1.py", "own_spec_1"),
        ("own-spec.py", "own-spec"),
        ("own.spec.py", "own_spec"),
        ("random.py", "archsearch_spec_random"),
        ("torch.py", "archsearch_spec_torch"),
        ("__main__.py", "archsearch_spec_main"),
        ("own_package/spec.py", "own_package.spec"),
        ("own_package/__init__.py", "own_package"),
        ("test/spec.py", "archsearch_spec_spec"),
        ("own-folder/spec_1.py", "spec_1"),
    ],
)
def test_the_name_of_a_spec_is_the_natural_one_unless_another_module_has_it(
    tmp_path: Path, file: str, name: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    if path.parent != tmp_path:
        (path.parent / "__init__.py").write_text("")
    path.write_text("")
    assert module_name(path) == name


def test_a_module_is_executed_again_only_if_it_differs(tmp_path: Path) -> None:
    path = str(tmp_path / "own_spec_2.py")
    first = SpecModule("own_spec_2", path, "values = []", (path,), (str(tmp_path),)).load()
    assert SpecModule("own_spec_2", path, "values = []", (path,), (str(tmp_path),)).load() is first
    other = SpecModule("own_spec_2", path, "values = [1]", (path,), (str(tmp_path),)).load()
    assert other is not first
    assert other.values == [1]
    assert sys.modules["own_spec_2"] is other


def test_the_source_of_a_function_is_the_text_that_runs(tmp_path: Path) -> None:
    import inspect

    path = tmp_path / "own_spec_3.py"
    path.write_text("def one():\n    return 1\n")
    spec = SpecFile.from_path(path)
    path.write_text("# edited\n\n\ndef one():\n    return 2\n")
    assert inspect.getsource(spec.execute().one) == "def one():\n    return 1\n"


def test_a_spec_that_fails_can_be_loaded_again_when_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "own_spec_4.py"
    path.write_text("import own_spec_4_missing")
    with pytest.raises(SpecError, match="no module named 'own_spec_4_missing'"):
        SpecFile.from_path(path).execute()
    assert "own_spec_4" not in sys.modules
    path.write_text("import own_spec_4_helper as helper")
    (tmp_path / "own_spec_4_helper.py").write_text("found = True")
    assert SpecFile.from_path(path).execute().helper.found


MAIN_BLOCK = (
    SPAWNS.replace(
        "epochs = parser.parse_args().epochs", "epochs = parser.parse_args().epochs\nfrom .helpers import SHIFT"
    )
    .replace("study = Study", 'if __name__ == "__main__":\n    study = Study')
    .replace('if __name__ == "__main__":\n    study.run', "    study.run")
)
CELLS = """
cells = [
    "from archsearch import Float, Random, Space, Study\\nimport pickle",
    "class Rows:\\n    def __len__(self):\\n        return 4",
    "def loss(trial):\\n    assert type(trial.shared) is Rows\\n"
    "    return len(pickle.loads(pickle.dumps(trial.shared)))",
    "study = Study(name='s', space=Space(x=Float(0, 1)), objective=loss, shared=Rows, minimize='loss', trials=1, "
    "strategy=Random(), executor='EXECUTOR', workers=1)\\nstudy.run(quiet=True)",
]
import __main__
for cell in cells:
    exec(cell, vars(__main__))
"""


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_workers_and_their_children_find_what_a_script_defines(
    tmp_path: Path, python: Python, archsearch: Any, executor: str
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "helpers.py").write_text("SHIFT = 0.5\n")
    (folder / "spec.py").write_text(MAIN_BLOCK.replace("EXECUTOR", executor))
    done = python("-m", "project.spec", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert value(tmp_path / "s.db") == 208
    assert executions(folder) == ["__main__", "__mp_main__"]  # the objective was sent by value


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_the_classes_of_a_notebook_can_be_pickled(
    tmp_path: Path, python: Python, archsearch: Any, executor: str
) -> None:
    done = python("-c", CELLS.replace("EXECUTOR", executor))
    assert done.returncode == 0, done.stderr
    resumed = archsearch("resume", "s.db", "--trials", 2, "--executor", "inline")
    assert resumed.returncode == 0, resumed.stderr
    assert [value(tmp_path / "s.db", trial) for trial in (0, 1)] == [4, 4]
