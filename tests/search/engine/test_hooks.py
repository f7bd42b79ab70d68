"""Methods of a user's objective or strategy that fail outside of a trial, or return what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archsearch import Float, Never, Objective, Random, Space, SpecError, Study
from archsearch.search.engine.preflight import preflight

SPACE = Space(x=Float(0, 1))


class Plain(Objective):
    """An objective one of whose methods is replaced by each test."""

    space = SPACE

    def __call__(self, trial: Any) -> float:
        return float(trial.config["x"])


def study(**settings: Any) -> Study:
    return Study(
        **{"name": "hooks", "objective": Plain(), "minimize": "loss", "trials": 2, "executor": "inline"} | settings
    )


def failing(base: type, method: str, result: Any = None) -> Any:
    """An instance of a subclass whose method raises, or returns the result."""

    def hook(self: Any, *args: Any) -> Any:
        if result is None:
            raise RuntimeError("it is broken")
        return result[0]

    return type("Mine", (base,), {method: hook})()


@pytest.mark.parametrize("method", ["prepare", "metrics_of", "check_budget", "fingerprint_of", "attach", "release"])
def test_a_method_of_an_objective_that_raises_is_named(method: str, tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=rf"^the objective's method Mine\.{method}\(\) failed: .*it is broken"
    ) as caught:
        study(objective=failing(Plain, method)).run(tmp_path / "s.db", quiet=True)
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("method", "result", "wanted"),
    [
        ("fingerprint_of", b"abc", "must return a text, or None, got b'abc'"),
        ("fingerprint_of", ("a", 1), "must return a text, or None"),
        ("metrics_of", "loss", "must return a list of names, or None, got 'loss'"),
        ("metrics_of", [1], "must return a list of names, or None"),
    ],
)
def test_a_result_of_the_wrong_type_is_refused(method: str, result: Any, wanted: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"Mine\.{method}\(\) {wanted}"):
        study(objective=failing(Plain, method, [result])).run(tmp_path / "s.db", quiet=True)
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize(("base", "role"), [(Random, "strategy"), (Never, "pruner")])
def test_warnings_of_a_strategy_and_a_pruner(base: type, role: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"^the {role}'s method Mine\.warnings_for\(\) failed: .*it is broken"):
        study(**{role: failing(base, "warnings_for")}).run(tmp_path / "s.db", quiet=True)
    with pytest.raises(SpecError, match=rf"Mine\.warnings_for\(\) must return a list of texts, got None.*the {role}"):
        study(**{role: failing(base, "warnings_for", [None])}).run(tmp_path / "s.db", quiet=True)


def test_methods_that_are_called_at_the_declaration() -> None:
    with pytest.raises(SpecError, match=r"^the strategy's method Mine\.check_study\(\) failed: "):
        study(strategy=failing(Random, "check_study"))
    with pytest.raises(SpecError, match=r"^the objective's method Mine\.known_metrics\(\) failed: "):
        study(objective=failing(Plain, "known_metrics"))


def test_the_check_names_them_too() -> None:
    with pytest.raises(SpecError, match=r"Mine\.summary_of\(\) must return a text, or None, got 3"):
        preflight(study(objective=failing(Plain, "summary_of", [3])), 5)


def test_an_error_that_says_what_is_wrong_is_passed_on_as_it_is(tmp_path: Path) -> None:
    class Strict(Plain):
        def check_budget(self, budget: int | None, shared: Any) -> None:
            raise SpecError("this objective needs 3 folds")

    with pytest.raises(SpecError, match=r"^this objective needs 3 folds$"):
        study(objective=Strict()).run(tmp_path / "s.db", quiet=True)


def test_the_command_prints_one_line(tmp_path: Path, archsearch: Any) -> None:
    (tmp_path / "spec.py").write_text(
        "from archsearch import *\n"
        "class Mine(Objective):\n"
        "    space = Space(x=Float(0, 1))\n"
        "    def __call__(self, trial): return trial.config['x']\n"
        "    def prepare(self): return open('missing.csv').read()\n"
        "study = Study(name='s', objective=Mine(), minimize='loss', trials=2, executor='inline')\n"
    )
    done = archsearch("run", "spec.py", "--quiet")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the objective's method Mine.prepare() failed: FileNotFoundError")
    assert "No such file" in done.stderr
    assert done.stderr.count("\n") == 1
