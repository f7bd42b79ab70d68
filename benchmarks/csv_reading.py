"""How fast a CSV file is read, beside `pandas.read_csv` in the same run.

    python benchmarks/csv_reading.py [--rows 1000000] [--rounds 5] [FILE TARGET]

Without a file, three of ten columns each are written to a temporary folder: numbers; numbers with words; and all of it
in quotes. Prints the median CPU seconds of pandas alone, of loading (`csv(...).source.load()`), and of everything that
a study does before its first trial (`task` and `prepare`, with splitting and scaling), and the peak memory in
multiples of the file's size, each measured in a process of its own.
"""

from __future__ import annotations

import argparse
import csv as python_csv
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from archsearch import csv


def write(folder: Path, rows: int) -> dict[str, Path]:
    """Three files with the target "y"."""
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(rows, 9)), columns=[f"x{index}" for index in range(9)])
    numbers["y"] = rng.normal(size=rows)
    mixed = numbers.iloc[:, :6].assign(
        whole=rng.integers(0, 1000, rows),
        color=rng.choice(["red", "green", "blue"], rows),
        town=rng.choice([f"town {index}" for index in range(20)], rows),
        y=rng.choice(["no", "yes"], rows),
    )
    mixed.loc[rng.choice(rows, rows // 100, replace=False), "x3"] = np.nan
    files = {name: folder / f"{name}.csv" for name in ("numbers", "mixed", "quoted")}
    numbers.to_csv(files["numbers"], index=False)
    mixed.to_csv(files["mixed"], index=False)
    mixed.to_csv(files["quoted"], index=False, quoting=python_csv.QUOTE_ALL)
    return files


def by_pandas(path: str, target: str) -> None:
    pd.read_csv(path)


def load(path: str, target: str) -> None:
    csv(path, target=target).source.load()


def prepare(path: str, target: str) -> None:
    data = csv(path, target=target)
    data.task()
    data.prepare()


def measured(read: Callable[[str, str], None], path: str, target: str, rounds: int) -> tuple[float, float]:
    """(median CPU seconds, peak memory in bytes above that before reading)."""
    import pyarrow.csv  # noqa: F401  # imports are not counted
    import sklearn.pipeline  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        read(path, target)
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return statistics.median(seconds), (peak - before) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("file", nargs="?")
    parser.add_argument("target", nargs="?", default="y")
    arguments = parser.parse_args()
    processes = multiprocessing.get_context("spawn")
    print(f"{'file':10} {'MB':>5}  {'what':8} {'CPU s':>6} {'x pandas':>8} {'x memory':>8}")
    with tempfile.TemporaryDirectory() as folder:
        files = {"file": Path(arguments.file)} if arguments.file else write(Path(folder), arguments.rows)
        for name, path in files.items():
            size = path.stat().st_size
            pandas_s = None
            for read in (by_pandas, load, prepare):
                with processes.Pool(1) as pool:
                    seconds, peak = pool.apply(measured, (read, str(path), arguments.target, arguments.rounds))
                pandas_s = seconds if pandas_s is None else pandas_s
                print(
                    f"{name:10} {size / 1e6:5.0f}  {read.__name__.removeprefix('by_'):8} {seconds:6.2f} "
                    f"{seconds / pandas_s:8.2f} {peak / size:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
