"""CmaEs: the contract, what it is told, and that it searches as well as the library's own loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from cmaes import CMA
from numpy.typing import NDArray

from archsearch import Choice, Config, Encoding, Float, Int, Prior, Space, SpecError, constraint
from archsearch.search.protocols import Strategy
from archsearch.search.strategies._models.cma_state import CmaState
from archsearch.search.strategies.cma_es import CmaEs
from archsearch.search.strategies.random import Random
from archsearch.search.testing.problems import best_losses
from archsearch.search.testing.simulation import SPACES, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Failed, Finished, Proposed, Pruned, Report, Reported, Started, Trial

Function = Callable[[NDArray[np.float64]], float]

CUBE = Space({f"x{k}": Float(0.0, 1.0) for k in range(4)})


class TestCmaEs(StrategyContract):
    make = staticmethod(lambda: CmaEs(population=4))


def sphere(point: NDArray[np.float64]) -> float:
    return float(np.sum((point - 0.35) ** 2))


def rosenbrock(point: NDArray[np.float64]) -> float:
    """A bent valley; the optimum is 0, at 0.75 in each direction."""
    x = 4 * point - 2
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def curve(function: Function) -> Callable[[Config, int], float]:
    return lambda config, step: function(np.array(list(config.values()), dtype=np.float64))


@pytest.mark.parametrize("wrong", [0, 3, True, 8.0, "8"])
def test_settings_are_checked(wrong: Any) -> None:
    with pytest.raises(SpecError, match="CmaEs population must be a whole number of at least 4, got"):
        CmaEs(population=wrong)


def test_a_space_without_numbers_is_refused() -> None:
    history = History(study_of(Space(kind=Choice("a", "b", "c"))))
    with pytest.raises(SpecError, match=r"CmaEs searches numeric parameters, .* use TPE\(\), or set ordered=True"):
        CmaEs().ask(history, 1, np.random.default_rng(0))


def test_every_trial_is_told_once_in_whole_generations() -> None:
    *_, ask, _ = simulate(CmaEs(population=5), study_of(SPACES["mixed"]), trials=60, workers=4, faults=True)
    asks = [trial.proposal.state.get("told", []) for trial in ask.history.trials]
    told = [number for numbers in asks for number in numbers]
    assert all(len(numbers) % 5 == 0 for numbers in asks)
    assert len(told) == len(set(told)) >= 45
    for trial in ask.history.trials:
        before = sum(len(numbers) for numbers in asks[: trial.number + 1])
        assert trial.proposal.state["generation"] == before // 5
        assert all(number < trial.number for number in asks[trial.number])


def test_one_worker_tells_each_generation_as_it_was_drawn() -> None:
    history = simulated_history(CmaEs(population=6), study_of(CUBE, budget=1), curve(sphere), trials=30)
    assert [trial.proposal.state["generation"] for trial in history.trials] == [k // 6 for k in range(30)]
    assert history.trials[12].proposal.state["told"] == [6, 7, 8, 9, 10, 11]


def test_what_comes_too_late_is_not_told() -> None:
    history = simulated_history(
        CmaEs(population=4), study_of(CUBE, budget=1), curve(sphere), trials=21
    )  # five generations
    first = replace(history.trials[0], number=21)  # a worker that took very long
    late = replace(history, trials=(*history.trials, first))
    cma = CmaState(late, 4)
    assert cma.follow(late)
    assert cma.generation == 5
    assert [trial.number for trial in cma.ready_to_tell(late)] == [20]


def test_a_history_that_is_no_continuation_is_refused() -> None:
    history = simulated_history(CmaEs(population=4), study_of(CUBE, budget=1), curve(sphere), trials=20)
    cma = CmaState(history, 4)
    assert cma.follow(replace(history, trials=history.trials[:9]))
    assert cma.follow(history)
    assert not cma.follow(replace(history, trials=history.trials[:9]))
    assert not cma.follow(replace(history, study=study_of(CUBE, seed=1)))


@pytest.mark.parametrize("outcome", [Failed("diverged"), Pruned("behind")], ids=str)
def test_what_failed_or_was_pruned_is_shunned(outcome: Failed | Pruned) -> None:
    """The loss falls towards x = 1, but whatever lies beyond 0.6 ends badly."""

    def ended(trial: Trial) -> Trial:
        if trial.outcome is None or float(str(trial.config["x"])) < 0.6:
            return trial
        reports = tuple(replace(report, metrics={"loss": 1.0}) for report in trial.reports)
        return replace(
            trial, state="failed" if isinstance(outcome, Failed) else "pruned", outcome=outcome, reports=reports
        )

    class Told(CmaEs):
        """Is shown what ended badly."""

        def ask(self, history: History, n: int, rng: np.random.Generator) -> Any:
            return CmaEs.ask(self, replace(history, trials=tuple(map(ended, history.trials))), n, rng)

    study = study_of(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)), budget=1)

    def falling(config: Config, step: int) -> float:
        return 1.0 - float(str(config["x"]))

    def beyond(strategy: Strategy) -> int:
        trials = simulated_history(strategy, study, falling, trials=90).trials[30:]
        return sum(float(str(trial.config["x"])) > 0.6 for trial in trials)

    assert beyond(CmaEs()) > 50
    assert beyond(Told()) < 25


def test_a_trial_that_failed_counts_as_the_worst_that_was_told() -> None:
    """A failed trial's own last report is no value of its."""
    history = simulated_history(CmaEs(population=4), study_of(CUBE, budget=1), curve(sphere), trials=8)
    worst = max(history.loss(trial) or 0.0 for trial in history.trials[:4])

    def next_config(loss: float, state: Any) -> Config:
        reports = tuple(replace(report, metrics={"loss": loss}) for report in history.trials[0].reports)
        changed = replace(history.trials[0], state=state, reports=reports)
        cma = CmaState(history, 4)
        assert cma.follow(replace(history, trials=(changed, *history.trials[1:])))
        return cma.draw([], np.random.default_rng(0))[0]

    assert next_config(-1.0, "failed") == next_config(worst + 1, "finished") != next_config(-1.0, "finished")


def test_it_begins_around_the_priors_value() -> None:
    space = Space(rate=Float(1e-5, 1e-1, log=True, prior=Prior(1e-4)), depth=Int(1, 9))
    proposals = CmaEs().ask(History(study_of(space)), 200, np.random.default_rng(0))
    drawn = np.mean([proposal.state["drawn"] for proposal in proposals], axis=0)
    assert drawn == pytest.approx([0.27, 0.5], abs=0.04)  # 0.25, and a little more, for the end is near


def test_draws_that_break_a_constraint_are_drawn_anew_or_mended() -> None:
    near = Space(constraint("x + y <= 0.9"), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    far = Space(constraint("x + y <= 0.2"), x=Float(0.0, 1.0), y=Float(0.0, 1.0))
    for space in (near, far):
        for trial in simulated_history(CmaEs(), study_of(space, budget=1), trials=12).trials:
            space.check(trial.config)
            assert list(trial.config.values()) == pytest.approx(trial.proposal.state["drawn"])


def test_where_a_config_stands_is_where_it_counts_as_drawn_also_when_the_space_runs_out() -> None:
    space = Space(x=Int(0, 4), y=Int(0, 4), z=Choice("a", "b"))
    study = study_of(space, budget=1)
    asks = list(simulate(CmaEs(population=4), study, lambda config, step: float(str(config["x"])), trials=60))
    shown = [repr(trial.config) for trial in asks[-1].history.trials]
    assert len(shown) == 60
    assert len(set(shown[:50])) == 50
    for trial in asks[-1].history.trials:
        assert Encoding(space).decode(trial.proposal.state["drawn"]) == trial.config
    for ask in asks[:-1:7]:
        assert ask.replay(CmaEs(population=4)) == ask.proposals


def test_once_it_has_converged_it_begins_anew_with_twice_the_population() -> None:
    study = study_of(Space(x=Float(0.0, 1.0)), budget=1)
    trials = simulated_history(
        CmaEs(population=4), study, lambda c, step: (float(str(c["x"])) - 0.3) ** 2, trials=400
    ).trials
    drawn: dict[int, list[float]] = {}
    for trial in trials:
        drawn.setdefault(trial.proposal.state["generation"], []).append(float(str(trial.config["x"])))
    begins = next(generation for generation, places in drawn.items() if len(places) == 8)
    assert {len(places) for generation, places in drawn.items() if generation < begins} == {4}
    assert drawn[begins - 1] == pytest.approx([0.3] * 4, abs=1e-5)
    assert np.std(drawn[begins]) > 0.05


@pytest.mark.parametrize("domain", [Int(0, 2**62), Int(1, 10**9), Float(1e-300, 1e300, log=True)], ids=str)
def test_wide_domains_are_no_trouble(domain: Int | Float) -> None:
    space = Space(wide=domain, x=Float(0.0, 1.0))
    for trial in simulated_history(CmaEs(), study_of(space, budget=1), lambda config, step: 1 / step, trials=60).trials:
        space.check(trial.config)


def test_what_matters_little_does_not_freeze_before_it_was_decided() -> None:
    """While x and y converge, chance alone settles the switches: a quarter of them wrongly if there is no margin."""
    space = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0), **{f"on_{k}": Choice(True, False) for k in range(5)})

    def loss(config: Config, step: int) -> float:
        x, y, *switches = (float(value) for value in config.values() if isinstance(value, float | bool))
        return 100 * ((x - 0.3) ** 2 + (y - 0.6) ** 2) + 0.01 * sum(switches)

    histories = [
        simulated_history(CmaEs(), study_of(space, budget=1, seed=seed), loss, trials=400) for seed in range(6)
    ]
    on = sum(value is True for history in histories if history.best for value in history.best.config.values())
    assert on <= 3  # of 30


def test_it_beats_random() -> None:
    # Margin: seven tenths of random's mean loss where half is choices and conditions, a tenth where all is continuous.
    ours, random = (best_losses(strategy, trials=100, seeds=6) for strategy in (CmaEs(), Random()))
    assert np.mean(ours) < 0.7 * np.mean(random)
    for function in (sphere, rosenbrock):
        assert np.mean(_found(CmaEs(), function)) < 0.1 * np.mean(_found(Random(), function))


@pytest.mark.parametrize("function", [sphere, rosenbrock])
def test_it_searches_as_well_as_the_librarys_own_loop(function: Function) -> None:
    # Margin: the mean logarithms of ten studies differ by less than three of their standard errors.
    ours = np.log10(_found(CmaEs(), function))
    theirs = np.log10([_librarys_own(function, seed) for seed in range(10)])
    error = np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 10)
    assert abs(ours.mean() - theirs.mean()) < 3 * error
    assert error < 0.5  # so that a distribution that is told nothing would be noticed


def test_parallel_trials_that_come_late_are_not_wasted() -> None:
    # Margin: with 16 workers, two generations of eight, half of what one worker gains over random, in logarithms.
    one, many, random = (
        np.log10(_found(strategy, sphere, workers)).mean()
        for strategy, workers in ((CmaEs(), 1), (CmaEs(), 16), (Random(), 1))
    )
    assert random - many > 0.5 * (random - one)


@cache
def _found(strategy: Strategy, function: Function, workers: int = 1) -> list[float]:
    studies = [study_of(CUBE, budget=1, seed=seed) for seed in range(10)]
    histories = [simulated_history(strategy, study, curve(function), trials=160, workers=workers) for study in studies]
    return [history.loss(history.best) or 0.0 for history in histories if history.best]


def _librarys_own(function: Function, seed: int) -> float:
    optimizer = CMA(mean=np.full(4, 0.5), sigma=1 / 6, bounds=np.tile([0.0, 1.0], (4, 1)), seed=seed)
    best = np.inf
    for _ in range(160 // optimizer.population_size):
        points = [optimizer.ask() for _ in range(optimizer.population_size)]
        losses = list(map(function, points))
        optimizer.tell(list(zip(points, losses, strict=True)))
        best = min(best, *losses)
    return float(best)


def test_it_begins_around_the_best_of_what_others_found_and_says_so() -> None:
    study = study_of(CUBE, budget=1)
    history = simulated_history(Random(), study, curve(sphere), trials=40)
    early, strategy = simulated_history(Random(), study, curve(sphere), trials=2), CmaEs(population=4)
    assert history.trials[:2] == early.trials
    assert history.best is not None
    assert history.best != early.best
    strategy.ask(early, 1, np.random.default_rng(0))  # comes to nothing
    drawn = strategy.ask(history, 30, np.random.default_rng(0))
    assert {proposal.state["around"] for proposal in drawn} == {history.best.number}
    middle = np.mean([list(proposal.state["drawn"]) for proposal in drawn], axis=0)
    assert np.abs(middle - Encoding(CUBE).encode([history.best.config])[0]).max() < 0.15

    # What is better later moves nothing.
    for number, proposal in enumerate(drawn[:6], start=40):
        ended = (Started(0.0, number, 1, "w"), Reported(0.0, number, Report(1, {"loss": -number}, 0.0)))
        history = history.apply_all(
            (Proposed(0.0, number, proposal, history.seq), *ended, Ended(0.0, number, Finished()))
        )
    (warm,), (fresh,) = (each.ask(history, 1, np.random.default_rng(1)) for each in (strategy, CmaEs(population=4)))
    assert warm == fresh
    assert warm.state["around"] == drawn[0].state["around"]
    assert warm.state["told"] == [40, 41, 42, 43]
