"""The report: what was found, in Markdown, ties included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.comparison import Mean, mean, ranks, tied_with_best
from quality.problem import Problem
from quality.results import Result

BASELINE = "random"
ENOUGH = 6  # seeds; below, an interval is no wider than the range of the values

_READ = """\
Regret is 0 at the best configuration that there is, and 1 at the median of 1,000 random ones; a winner is scored by the
mean over its seeds where the table has several. Intervals are 95 % bootstrap intervals over paired seeds; those of the
first table are over problems. One trial runs at a time, and every strategy has its defaults."""

_FEW = "**So few seeds show that it runs, and no more: their intervals are too narrow to tell what differs.**"


@dataclass(frozen=True, slots=True)
class _Grid:
    """The regrets, NaN where a strategy has no result."""

    problems: list[str]
    worlds: list[int]
    strategies: list[str]  # by mean rank; those that lack a problem cannot be ranked, and come last
    regrets: NDArray[np.float64]  # (problems, worlds, strategies)
    ranked: int  # how many strategies lack nothing

    def having(self, problem: int) -> list[int]:
        """The strategies with a result for every world of this problem."""
        return [int(k) for k in np.flatnonzero(~np.isnan(self.regrets[problem]).any(axis=0))]


def report(results: Sequence[Result], problems: Sequence[Problem], lacking: Sequence[str], facts: Sequence[str]) -> str:
    """A page on these results, all of the same number of trials, of which one at least is no error.

    lacking: what could not be run here, one line each. facts: of the machine and the versions.
    """
    failures = [f"{r.strategy} on {r.problem}, seed {r.world}: {r.error}" for r in results if r.error]
    about = {problem.name: problem.about for problem in problems}
    good = [result for result in results if not result.error]
    grid = _grid(good)
    parts = [
        f"# What strategies find in {'the steps of ' if good[0].equal_steps else ''}{good[0].trials} trials",
        "\n".join(f"- {fact}" for fact in facts),
        f"{len(grid.problems)} problems, {len(grid.worlds)} seeds each.\n{_READ}",
        *([_FEW] if len(grid.worlds) < ENOUGH else []),
        "## Over all problems",
        _overall(grid, good),
        "## Mean regret",
        "In bold: cannot be told from the lowest of its row (the interval of the paired difference holds 0).",
        _regrets(grid),
        f"## Difference to {BASELINE}, paired",
        _differences(grid),
        "## The problems",
        "\n".join(f"- `{name}`: {about[name]}" for name in grid.problems),
        *_list("## What is not in the tables", [*lacking, *failures]),
    ]
    return "\n\n".join(parts) + "\n"


def _grid(results: Sequence[Result]) -> _Grid:
    regrets = {(r.problem, r.world, r.strategy): r.regret for r in results}
    problems = list(dict.fromkeys(result.problem for result in results))
    worlds = sorted({result.world for result in results})
    found = list(dict.fromkeys(result.strategy for result in results))
    cube = np.array([[[regrets.get((p, w, s), np.nan) for s in found] for w in worlds] for p in problems])
    lacking = np.isnan(cube).any(axis=(0, 1))
    rank = np.full(len(found), np.inf)
    if not lacking.all():
        rank[~lacking] = ranks(cube[:, :, ~lacking]).mean(axis=0)
    order = np.argsort(rank, kind="stable")
    return _Grid(problems, worlds, [found[k] for k in order], cube[:, :, order], int((~lacking).sum()))


def _overall(grid: _Grid, results: Sequence[Result]) -> str:
    """One row a strategy. The intervals are over problems: what others of their kind might have given."""
    by_problem = ranks(grid.regrets[:, :, : grid.ranked]) if grid.ranked else None
    rows = []
    for k, strategy in enumerate(grid.strategies):
        means = ["", ""]
        if by_problem is not None and k < grid.ranked:
            regret = mean(grid.regrets[:, :, k].mean(axis=1))
            means = [_interval(mean(by_problem[:, k]), 2), _interval(regret, 3)]
        made = [result for result in results if result.strategy == strategy]
        milliseconds = sum(result.seconds for result in made) / sum(result.trials for result in made) * 1e3
        rows.append([f"`{strategy}`", *means, *_against_baseline(grid, strategy), f"{milliseconds:.1f}"])
    head = ["strategy", "mean rank", "mean regret", f"better than {BASELINE}", "no difference", "worse", "ms a trial"]
    return _table(head, rows)


def _against_baseline(grid: _Grid, strategy: str) -> list[str]:
    """On how many problems it is better, neither, and worse."""
    if strategy == BASELINE:
        return [""] * 3
    found = [difference for each in range(len(grid.problems)) if (difference := _difference(grid, each, strategy))]
    better, worse = sum(each.below_zero for each in found), sum(each.above_zero for each in found)
    return [str(better), str(len(found) - better - worse), str(worse)]


def _difference(grid: _Grid, problem: int, strategy: str) -> Mean | None:
    """Its regret less the baseline's; None where one of them was not run."""
    names = {grid.strategies[k]: k for k in grid.having(problem)}
    if strategy not in names or BASELINE not in names:
        return None
    regrets = grid.regrets[problem]
    return mean(regrets[:, names[strategy]] - regrets[:, names[BASELINE]])


def _regrets(grid: _Grid) -> str:
    rows = []
    for place, problem in enumerate(grid.problems):
        cells, having = [""] * len(grid.strategies), grid.having(place)
        regrets = grid.regrets[place][:, having]
        tied_ones = tied_with_best(regrets) if having else []
        for k, value, tied in zip(having, regrets.mean(axis=0), tied_ones, strict=True):
            cells[k] = f"**{value:.3f}**" if tied else f"{value:.3f}"
        rows.append([problem, *cells])
    return _table(["problem", *grid.strategies], rows)


def _differences(grid: _Grid) -> str:
    others = [strategy for strategy in grid.strategies if strategy != BASELINE]
    rows = []
    for place, problem in enumerate(grid.problems):
        found = [_difference(grid, place, strategy) for strategy in others]
        rows.append([problem, *("" if each is None else _interval(each, 3) for each in found)])
    return _table(["problem", *others], rows)


def _interval(found: Mean, digits: int) -> str:
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} … {found.high:.{digits}f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _list(title: str, lines: list[str]) -> list[str]:
    return [title, "\n".join(f"- {line}" for line in lines)] if lines else []
