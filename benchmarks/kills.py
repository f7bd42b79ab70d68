"""Kill -9 the driver at a random number of events, resume, count: is anything ever lost, doubled or left running?

    python benchmarks/kills.py [--kills 10] [--trials 12] [--seed 0] [--strategies random,tpe,bayes]

For each strategy and kill, the digits study runs on Ray with two workers in a driver of its own; when its store holds
as many events as were drawn, the driver is killed, and the study resumed in a new one. The event counts are drawn
between the first event and what an single_threaded run makes. Prints one line a kill, and fails unless all are right.
"""

from __future__ import annotations

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "examples" / "digits_mlp.py"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", default="random,tpe,bayes")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    wrong = 0
    for strategy in arguments.strategies.split(","):
        for kill in range(arguments.kills):
            at = rng.randint(1, arguments.trials * 10)
            with tempfile.TemporaryDirectory(prefix="archsearch-kills-") as folder:
                fault = once(Path(folder) / "digits.db", strategy, arguments.trials, at)
            wrong += fault is not None
            print(f"{strategy:7} kill {kill + 1:2}/{arguments.kills} at event {at:3}: {fault or 'right'}", flush=True)
    total = arguments.kills * len(arguments.strategies.split(","))
    print(f"{total - wrong} of {total} kills ended with exactly {arguments.trials} trials")
    return 1 if wrong else 0


def once(store: Path, strategy: str, trials: int, at: int) -> str | None:
    """One kill and resume; what is wrong afterwards, or None."""
    command = [sys.executable, "-m", "archsearch"]
    run = [*command, "run", SPEC, "--store", store, "--strategy", strategy, "--trials", trials, "--workers", 2]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([*map(str, run), "--quiet"], cwd=store.parent, env=environment, stdout=subprocess.DEVNULL)
    while count(store) < at and driver.poll() is None:
        time.sleep(0.002)  # the kill is to fall between two commits wherever it likes
    driver.kill()
    driver.wait()
    before = rows(store, "SELECT seq, kind, trial, at, body FROM events ORDER BY seq")
    resume = [*command, "resume", str(store), "--quiet"]
    resumed = subprocess.run(resume, cwd=store.parent, env=environment, capture_output=True, text=True, check=False)
    if resumed.returncode != 0:
        return f"resume exited with {resumed.returncode}: {resumed.stderr.strip()}"
    return fault_in(store, trials, before)


def fault_in(store: Path, trials: int, before: list[tuple[object, ...]]) -> str | None:
    after = rows(store, "SELECT seq, kind, trial, at, body FROM events ORDER BY seq")
    if after[: len(before)] != before:
        return "events from before the kill are gone or changed"
    numbers = [number for (number,) in rows(store, "SELECT number FROM trials ORDER BY number")]
    if numbers != list(range(trials)):
        return f"trials {numbers}, wanted 0 to {trials - 1}"
    states = rows(store, "SELECT number, state FROM trials WHERE state NOT IN ('finished', 'pruned', 'failed')")
    if states:
        return f"left over: {states}"
    doubled = rows(store, "SELECT trial, step, metric FROM curves GROUP BY 1, 2, 3 HAVING count(*) > 1")
    if doubled:
        return f"reported twice: {doubled[:3]}"
    ended = rows(store, "SELECT trial FROM events WHERE kind = 'ended' GROUP BY trial HAVING count(*) > 1")
    return f"ended twice: {ended}" if ended else None


def count(store: Path) -> int:
    if not store.exists():
        return 0
    return int(str(rows(store, "SELECT count(*) FROM events")[0][0]))


def rows(store: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
