"""The results, one line of JSON each, in a file that grows: what is there need not be made again."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from archsearch import Config
from quality import ours
from quality.peers import PEERS
from quality.problem import Problem


class Run(NamedTuple):
    """What is run: equal ones give equal results, but for their seconds. See `ours.study` for `equal_steps`."""

    problem: str
    strategy: str
    world: int
    trials: int
    equal_steps: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What one strategy found on one problem in one world.

    scores: after each trial, what the configuration with the lowest loss seen so far is worth; None before any trial
    finished. best and typical: the scores that a regret of 0 and of 1 stand for. failed: trials that did not finish,
    pruned ones among them. seconds: real ones, for asking and for looking up what each trial reports. error: why there
    is no result.
    """

    problem: str
    strategy: str
    world: int
    trials: int
    equal_steps: bool
    commit: str
    seconds: float
    scores: list[float | None]
    failed: int = 0
    best: float = 0.0
    typical: float = 1.0
    error: str = ""

    @property
    def run(self) -> Run:
        return Run(self.problem, self.strategy, self.world, self.trials, self.equal_steps)

    @property
    def regret(self) -> float:
        """0: the best there is; 1: as good as the median random configuration; it may be more."""
        last = self.scores[-1]
        if last is None:
            raise ValueError(f"{self.run} has found nothing, so it has no regret")
        return (last - self.best) / (self.typical - self.best)


class Results:
    """A file of results. A line that was cut by a kill is dropped, with a word on stderr."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.all: dict[Run, Result] = {}
        if path.exists():
            whole, newline, torn = path.read_bytes().rpartition(b"\n")
            if torn:
                print(f"{path}: the last line was cut, and is dropped", file=sys.stderr)
                path.write_bytes(whole + newline)
            for line in whole.decode().splitlines():
                self._hold(Result(**json.loads(line)))

    def add(self, result: Result) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        self._hold(result)

    def done(self, run: Run) -> bool:
        """Is there a result? What failed is tried again."""
        return run in self.all and not self.all[run].error

    def _hold(self, result: Result) -> None:
        self.all[result.run] = result


def measured(problem: Problem, run: Run, commit: str) -> Result:
    """Run it. Whatever breaks in a strategy or a peer is a result too."""
    world = run.world
    best, typical = problem.best(world), problem.typical(world)  # loads the problem's data, which is nobody's time
    began = time.perf_counter()
    try:
        tried = _tried(problem, run)
        scores = incumbents(tried, lambda config: problem.score(config, world))
        if not scores or scores[-1] is None:
            raise ValueError("no trial finished")
    except Exception as error:  # noqa: BLE001 - also a peer may break, in any way
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Result(*run, commit, time.perf_counter() - began, [], error=text)
    seconds, failed = time.perf_counter() - began, sum(loss is None for _, loss in tried)
    return Result(*run, commit, seconds, scores, failed, best, typical)


def incumbents(tried: list[tuple[Config, float | None]], score: Callable[[Config], float]) -> list[float | None]:
    """After each trial, the score of the config with the lowest loss so far; of equals, the first one's."""
    lowest, best = math.inf, None
    scores: list[float | None] = []
    for config, loss in tried:
        if loss is not None and loss < lowest:
            lowest, best = loss, score(config)
        scores.append(best)
    return scores


def _tried(problem: Problem, run: Run) -> list[tuple[Config, float | None]]:
    if run.strategy not in PEERS:
        return ours.tried(problem, run.strategy, run.world, run.trials, run.equal_steps)
    tried: list[tuple[Config, float | None]] = []

    def evaluate(config: Config) -> float | None:
        loss = problem.final(config, run.world)
        tried.append((config, loss))
        return loss

    PEERS[run.strategy].run(problem.space, evaluate, run.trials, run.world)
    return tried
