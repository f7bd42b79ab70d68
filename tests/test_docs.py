"""The README and the guide say what is true: their code runs, and every command and strategy is in them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archsearch.search.cli.commands import cli
from archsearch.search.pruners import PRUNERS
from archsearch.search.strategies import STRATEGIES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_readme_s_search_runs_from_start_to_report(archsearch: Any, tmp_path: Path) -> None:
    (tmp_path / "wine.py").write_text(blocks(README, "python")[0])
    commands = [line.split("#")[0] for line in blocks(README, "sh")[2].splitlines()]
    assert [shlex.split(command)[1] for command in commands] == ["run", "best", "resume", "report"]
    for command in commands:
        words = shlex.split(command)[1:]
        quick = ["--executor", "inline"] if words[0] == "run" else []
        done = archsearch(*words, *quick)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "wine.html").stat().st_size > 1_000_000


def test_the_readme_s_own_objective_runs(archsearch: Any, tmp_path: Path, command_env: dict[str, str]) -> None:
    (tmp_path / "mine.py").write_text(
        blocks(README, "python")[1].replace("    trials=30", "    executor='inline', trials=6")
    )
    ran = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, env=command_env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "'depth':" in ran.stdout
    assert archsearch("show", "mine.db", 3, "--log").stdout.startswith("epoch 0\nepoch 1\n")


def test_the_readme_s_own_loop_runs(capsys: Any) -> None:
    exec(compile(blocks(README, "python")[2], "README.md", "exec"), {})
    assert "'lr':" in capsys.readouterr().out


def test_the_readme_s_look_at_a_finished_run_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    declared: dict[str, Any] = {}
    exec(compile(blocks(README, "python")[0], "README.md", "exec"), declared)
    history = replace(declared["study"], trials=3, executor="inline").run(quiet=True)
    exec(compile(blocks(README, "python")[3], "README.md", "exec"), {})
    assert history.best is not None
    assert f"{history.best.value('val_accuracy')} {{'layers':" in capsys.readouterr().out
    assert (tmp_path / "wine.html").stat().st_size > 1_000_000


def test_the_guide_s_code_runs() -> None:
    for code in blocks(GUIDE, "python"):
        exec(compile(code, "guide.md", "exec"), {})


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"| `archsearch {command}" in README


@pytest.mark.parametrize("table", [STRATEGIES, PRUNERS], ids=["strategies", "pruners"])
def test_every_name_is_in_the_guide_with_its_class(table: dict[str, str]) -> None:
    for name, place in table.items():
        assert f"| `{name}` | `{place.rpartition(':')[2]}()` |" in GUIDE


def test_every_option_of_run_and_resume_is_in_the_readme() -> None:
    options = {
        option for name in ("run", "resume") for p in cli.commands[name].params for option in p.opts if "--" in option
    }
    told = README + GUIDE
    assert {option for option in options if option not in told} <= {"--ray-log"}  # for those who debug Ray


def test_links_lead_somewhere() -> None:
    for text, folder in ((README, ROOT), (GUIDE, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (folder / target).exists(), target
