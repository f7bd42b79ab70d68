"""Strategies with rungs: whom they promote, and that no epoch is trained twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archsearch import ASHA, TPE, ExecutionError, Float, Hyperband, Never, Random, Space, SpecError, Study, TopK, resume
from archsearch.search.engine.engine import Engine
from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import TrialContext
from archsearch.search.strategies._shared.rungs import paused_as_pruned, ranked_at, rungs
from archsearch.search.testing.pruners import history_from_curves
from archsearch.search.testing.simulation import SPACES, bowl, simulate, simulated_history, study_of
from archsearch.search.testing.strategies import StrategyContract
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Event, Extended, Extension, Paused, Reported, SessionEnded, SessionStarted
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import Store


class TestASHA(StrategyContract):
    make = staticmethod(lambda: ASHA(TPE(startup_trials=5), eta=3))


class TestHyperband(StrategyContract):
    make = staticmethod(lambda: Hyperband(TPE(startup_trials=5), eta=3))


class TestTopK(StrategyContract):
    make = staticmethod(lambda: TopK(Random(), keep=4, steps=2))


def rise(trial: TrialContext) -> Iterator[dict[str, float]]:
    """A loss that falls towards x; prints each step that it really does."""
    step = trial.restored or 0
    while step < (trial.budget or 0):
        step += 1
        print("step", step)
        trial.save(step)
        yield {"loss": trial.config["x"] + 1 / step}


def study(strategy: Any, objective: Any = rise, **settings: Any) -> Study:
    given = {"trials": 18, "budget": 9, "executor": "inline", "space": Space(x=Float(0, 1)), "minimize": "loss"}
    return Study(name="rungs", objective=objective, strategy=strategy, **{**given, **settings})


def told(path: Path) -> tuple[History, list[Event], dict[int, str]]:
    with Store.open(path) as store:
        history = store.history()
        return history, list(store.events()), {trial.number: store.log(trial.number) for trial in history.trials}


@pytest.mark.parametrize("strategy", [ASHA(Random()), Hyperband(Random()), TopK(Random(), keep=4)])
def test_no_epoch_is_trained_twice(tmp_path: Path, strategy: Any) -> None:
    study(strategy).run(tmp_path / "s.db", quiet=True)
    history, events, logs = told(tmp_path / "s.db")
    assert any(isinstance(event, Extended) for event in events)
    for trial in history.trials:
        assert [report.step for report in trial.reports] == list(range(1, trial.step + 1))
        assert logs[trial.number] == "".join(f"step {step}\n" for step in range(1, trial.step + 1))
    assert history.best is not None
    assert history.best.step == 9


@pytest.mark.parametrize("strategy", [ASHA(Random()), Hyperband(Random())])
def test_a_resumed_study_promotes_as_one_that_never_stopped(tmp_path: Path, strategy: Any) -> None:
    def stopping(trial: TrialContext) -> Iterator[dict[str, float]]:
        for metrics in rise(trial):
            if (tmp_path / "stop").exists() and metrics["loss"] < trial.config["x"] + 1 / 5:
                (tmp_path / "stop").unlink()
                raise KeyboardInterrupt
            yield metrics

    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        study(strategy, stopping).run(tmp_path / "s.db", quiet=True)
    assert told(tmp_path / "s.db")[0].in_state("paused")
    resume(tmp_path / "s.db", quiet=True)
    study(strategy).run(tmp_path / "calm.db", quiet=True)
    (stopped, *_), (calm, *_) = told(tmp_path / "s.db"), told(tmp_path / "calm.db")
    for one, other in zip(stopped.trials, calm.trials, strict=True):
        assert (one.config, one.state, one.step) == (other.config, other.state, other.step)


def test_what_holds_at_the_end_goes_on_when_the_study_is_extended(tmp_path: Path) -> None:
    # With this seed, some of those that held are still in the best third of forty.
    study(ASHA(Random()), trials=6, seed=3).run(tmp_path / "s.db", quiet=True)
    before, *_ = told(tmp_path / "s.db")
    holding = {trial.number for trial in before.in_state("paused")}
    after = resume(tmp_path / "s.db", trials=40, quiet=True)
    assert any(after.trials[number].step > before.trials[number].step for number in holding)


def test_asha_promotes_the_best_third_of_a_rung_and_the_highest_rung_first() -> None:
    """Against algorithm 2, line by line, at each promotion."""
    history = History(study_of(SPACES["mixed"]))
    *_, last = simulate(ASHA(Random()), history.study, trials=60, workers=4)
    replayed, promotions = _replay(last.history, ASHA(Random()))
    assert len(promotions) > 15
    for before, extension in promotions:
        assert extension.trial == _get_job(before, extension.trial)
    assert max(trial.step for trial in replayed.trials) == 9


def _get_job(history: History, chosen: int) -> int:
    """Algorithm 2: the trial that may be promoted; `chosen`, where it is one of several at the highest such rung."""
    for step in (3, 1):
        came = [trial for trial in history.trials if history.objectives_at(trial, step) is not None]
        best = sorted(came, key=lambda t: (history.objectives_at(t, step), t.number))[: len(came) // 3]
        candidates = [t.number for t in best if t.state == "paused" and t.step == step]
        if candidates:
            return chosen if chosen in candidates else candidates[0]
    return -1


def _replay(history: History, strategy: Any) -> tuple[History, list[tuple[History, Any]]]:
    """The same study once more, with the history before each promotion."""
    promotions: list[tuple[History, Any]] = []

    class Watched:
        def __init__(self) -> None:
            self.ask = strategy.ask

        def promote(self, seen: History, n: int) -> list[Any]:
            found = strategy.promote(seen, n)[:1]
            promotions.extend((seen, each) for each in found)
            return found

    *_, last = simulate(Watched(), history.study, trials=60, workers=4)
    return last.history, promotions


def test_hyperband_s_brackets_are_those_of_the_paper() -> None:
    """Li et al. 2018, algorithm 1 with R = 81 and eta = 3: 81, 34, 15, 8, 5 trials, and their thirds."""
    turn = 81 + 34 + 15 + 8 + 5
    study = study_of(SPACES["mixed"], budget=81)
    *_, last = simulate(Hyperband(Random()), study, lambda config, step: bowl(config, 1), trials=turn, workers=2)
    came = {start: Counter[int]() for start in range(5)}
    for trial in last.history.trials:
        came[trial.proposal.state["bracket"]].update(step for step in (1, 3, 9, 27, 81) if trial.step >= step)
    assert came[4] == {1: 81, 3: 27, 9: 9, 27: 3, 81: 1}
    assert came[3] == {1: 34, 3: 34, 9: 11, 27: 3, 81: 1}
    assert came[2] == {1: 15, 3: 15, 9: 15, 27: 5, 81: 1}
    assert came[1] == {1: 8, 3: 8, 9: 8, 27: 8, 81: 2}
    assert came[0] == {1: 5, 3: 5, 9: 5, 27: 5, 81: 5}


def test_hyperband_judges_a_rung_when_all_have_come(tmp_path: Path) -> None:
    study(Hyperband(Random(), brackets=1), trials=9).run(tmp_path / "s.db", quiet=True)
    history, events, _ = told(tmp_path / "s.db")
    first = next(place for place, event in enumerate(events) if isinstance(event, Extended))
    assert sum(isinstance(event, Paused) for event in events[:first]) == 9
    by_loss = sorted(history.trials, key=lambda trial: trial.config["x"])
    assert [trial.step for trial in by_loss] == [9, 3, 3, *[1] * 6]


def test_top_k_trains_the_best_to_the_end(tmp_path: Path) -> None:
    study(TopK(Random(), keep=4, steps=2)).run(tmp_path / "s.db", quiet=True)
    history, events, _ = told(tmp_path / "s.db")
    by_loss = sorted(history.trials, key=lambda trial: trial.config["x"])
    assert [trial.step for trial in by_loss] == [*[9] * 4, *[2] * 14]
    first = next(place for place, event in enumerate(events) if isinstance(event, Extended))
    assert sum(isinstance(event, Reported) for event in events[:first]) == 2 * 18


def test_a_session_that_ran_out_of_time_promotes_in_the_next(tmp_path: Path) -> None:
    """All trials hold, and none waits: what is left to do is the strategy's to say."""
    store = tmp_path / "s.db"
    study(TopK(Random(), keep=1), trials=4).run(store, quiet=True)
    history, events, _ = told(store)
    first = next(place for place, event in enumerate(events) if isinstance(event, Extended))
    early = tmp_path / "early.db"
    with Store.open(store) as done, Store.create(early, history.study, _without_study(done.meta)) as cut:
        cut.append([*events[:first], SessionEnded(events[first].at, "the time is used up")])
    assert told(early)[0].counts() == {"paused": 4}
    assert resume(early, timeout=60, quiet=True).counts() == {"paused": 3, "finished": 1}


def _without_study(meta: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if key != "study"}


def forgetful(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Keeps no checkpoint, so that a promoted trial begins anew."""
    for step in range(1, (trial.budget or 0) + 1):
        yield {"loss": trial.config["x"] + 1 / step}


@pytest.mark.parametrize("strategy", [ASHA(Random()), Hyperband(Random()), TopK(Random())])
def test_without_checkpoints_as_many_are_promoted(tmp_path: Path, strategy: Any) -> None:
    """Who begins anew keeps its place on the rungs that it has left."""
    reached: list[Counter[int]] = []
    for objective in (rise, forgetful):
        executor = _Workers(objective, 4, tmp_path / objective.__name__)
        record = study(strategy).record()
        history = Engine(
            History(record),
            SessionStarted(0.0, StoppingCriteria(trials=18), 4, "test", "host", 1),
            strategy=strategy,
            pruner=Never(),
            executor=executor,
            commit=lambda *_: None,
            retries=0,
        ).run()
        reached.append(Counter(trial.step for trial in history.trials))
    assert sum(reached[1].values()) == 18
    assert reached[1][9] <= reached[0][9] + 1


class _Workers:
    """Workers in this process, whose reports come in turn."""

    def __init__(self, objective: Any, capacity: int, folder: Path) -> None:
        self.capacity = capacity
        self._free = [Worker(objective, "cpu", checkpoints=Checkpoints(folder, 0.0)) for _ in range(capacity)]
        self._busy: list[tuple[Worker, Any]] = []

    def submit(self, job: Any) -> str:
        self._busy.append((self._free.pop(), job))
        return "worker"

    def wait(self, timeout_s: float | None) -> list[Event]:
        worker, order = self._busy.pop(0)
        events = worker.advance(order, stop=False)
        if any(isinstance(event, Ended) for event in events):
            self._free.append(worker)
        else:
            self._busy.append((worker, None))
        return events


def test_topk_shows_the_wrapped_strategy_what_the_trials_have_told() -> None:
    *_, last = simulate(TopK(TPE(startup_trials=6)), study_of(SPACES["mixed"]), trials=20)
    assert Counter(trial.proposal.proposer for trial in last.history.trials)["tpe"] >= 10


def test_a_study_too_small_for_its_rungs_still_trains_one_in_full(tmp_path: Path) -> None:
    history = study(ASHA(Random()), trials=2).run(tmp_path / "s.db", quiet=True)
    assert history.best is not None
    assert history.best.config["x"] == min(trial.config["x"] for trial in history.trials)
    assert history.counts() == {"paused": 1, "finished": 1}


def test_the_wrapped_strategy_learns_from_trials_that_hold() -> None:
    *_, last = simulate(ASHA(TPE(startup_trials=6)), study_of(SPACES["mixed"]), trials=40)
    authors = Counter(trial.proposal.proposer for trial in last.history.trials)
    assert authors["tpe"] >= 30
    paused = last.history.in_state("paused")
    assert len(paused) > 20
    shown = paused_as_pruned(last.history, [1, 3, 9])
    assert {shown.trials[trial.number].state for trial in paused} == {"pruned"}
    assert all(shown.loss(shown.trials[trial.number]) == last.history.loss(trial) for trial in paused)
    assert shown.unfinished == ()


def test_a_promoted_trial_is_shown_as_it_held_until_it_ends() -> None:
    for ask in simulate(ASHA(Random()), study_of(SPACES["mixed"]), trials=40):
        shown = paused_as_pruned(ask.history, [1, 3, 9])
        for trial, seen in zip(ask.history.trials, shown.trials, strict=True):
            if trial.outcome is not None or trial.proposal.budget == 1 != trial.step:
                assert seen is trial
            elif trial.step >= 1 and trial.proposal.budget != 1:
                assert seen.state == "pruned"
                assert seen.step == {3: 1, 9: 3}[trial.proposal.budget] or trial.state == "paused"


def test_a_trial_under_a_further_seed_is_shown_as_it_held_in_its_first_run() -> None:
    history = simulated_history(ASHA(Random()), study_of(SPACES["mixed"]), trials=20)
    (first, *_) = history.in_state("finished")
    run = tuple(replace(report, metrics={"loss": 99.0}) for report in first.reports)
    repeated = replace(first, state="running", outcome=None, repeats=(run, run[:1]))
    trials = tuple(repeated if trial is first else trial for trial in history.trials)
    shown = paused_as_pruned(replace(history, trials=trials, unfinished=(*history.unfinished, first.number)), [1, 3, 9])
    assert shown.objectives(shown.trials[first.number]) == history.objectives_at(first, 3)


@pytest.mark.parametrize(
    ("budget", "least", "eta", "expected"),
    [(9, 1, 3, [1, 3, 9]), (10, 1, 3, [1, 3, 9, 10]), (1, 1, 3, [1]), (5, 8, 2, [5]), (20, 2, 4, [2, 8, 20])],
)
def test_rungs_end_at_the_budget(budget: int, least: int, eta: int, expected: list[int]) -> None:
    assert rungs(budget, least, eta) == expected


class Wild(Random):
    """Lets trials go on that do not hold."""

    def promote(self, history: History, n: int) -> list[Any]:
        return [Extension(0, 99)] if len(history.trials) == 2 else []


def test_an_extension_that_cannot_be_ends_the_session_in_good_order(tmp_path: Path) -> None:
    with pytest.raises(
        ExecutionError, match=r"Extension\(trial=0, budget=99, reason='', state=\{\}\) must name a paused trial"
    ):
        study(Wild()).run(tmp_path / "s.db", quiet=True)
    assert told(tmp_path / "s.db")[0].session_ended is not None


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: ASHA(eta=1), r"ASHA eta must be a whole number of at least 2, got 1"),
        (lambda: Hyperband(min_steps=0), r"Hyperband min_steps must be a whole number of at least 1, got 0"),
        (lambda: Hyperband(brackets=0), r"Hyperband brackets must be"),
        (lambda: TopK(keep=0), r"TopK keep must be"),
        (lambda: study(ASHA(), budget=None), r"this strategy needs a budget; pass one to Study"),
    ],
)
def test_settings_that_cannot_be_meant(make: Any, what: str) -> None:
    with pytest.raises(SpecError, match=what):
        make()


@pytest.mark.parametrize(
    ("strategy", "settings", "what"),
    [
        (Hyperband(brackets=5), {}, r"Hyperband brackets is 5, but the 3 rungs \[1, 3, 9\] allow at most 3"),
        (TopK(), {"trials": None, "timeout": "1m"}, r"TopK requires a number of trials; give Study trials="),
        (TopK(steps=9), {}, r"TopK steps is 9, so no trial pauses before the study's budget of 9; lower it"),
        (ASHA(min_steps=30), {}, r"ASHA min_steps is 30, so no trial pauses before the study's budget of 9; lower it"),
    ],
)
def test_a_study_that_a_strategy_cannot_serve_is_refused(strategy: Any, settings: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        study(strategy, **settings)


@pytest.mark.parametrize("inner", ["random", Random, ASHA(), None])
def test_what_is_wrapped_must_be_a_strategy_without_rungs(inner: Any) -> None:
    with pytest.raises(SpecError, match=r"ASHA wraps a strategy that does not pause trials itself, got .*TPE\(\)\)"):
        ASHA(inner)


def test_paused_trials_are_shown_and_copied_with_their_checkpoints(tmp_path: Path, archsearch: Any) -> None:
    study(ASHA(Random()), trials=6).run(tmp_path / "s.db", quiet=True)
    paused = told(tmp_path / "s.db")[0].in_state("paused")
    text = archsearch("show", "s.db").stdout
    assert f"{len(paused)} paused trials that may continue, most steps first" in text
    shown = archsearch("show", "s.db", paused[0].number).stdout
    assert "paused: continues if it is among the best at this step" in shown
    assert archsearch("list").stdout.count("6/6") == 1
    archsearch("copy", "s.db", "t.db")
    names = [
        sorted(str(file.relative_to(folder)) for file in folder.rglob("*.pt")) for folder in tmp_path.glob("*.files")
    ]
    assert len(names) == 2
    assert names[0] == names[1]
    assert len(names[0]) == len(paused)
    # Whether it was copied or not, it goes on where it was.
    after = [resume(tmp_path / name, trials=30, quiet=True) for name in ("s.db", "t.db")]
    assert [trial.attempt for trial in after[0].trials] == [trial.attempt for trial in after[1].trials]


def test_best_says_that_trials_are_paused_where_none_has_finished(tmp_path: Path, archsearch: Any) -> None:
    def slow(trial: TrialContext) -> Iterator[dict[str, float]]:
        if trial.restored:
            raise KeyboardInterrupt
        yield from rise(trial)

    with pytest.raises(KeyboardInterrupt):
        study(TopK(Random(), keep=1), slow, trials=3).run(tmp_path / "s.db", quiet=True)
    error = archsearch("best", "s.db").stderr
    assert "s.db: no trial has finished yet; see its 2 paused trials: archsearch show s.db" in error


def every(k: int, told: list[int] | None = None) -> Any:
    """An objective whose loss comes with every k-th report; appends each step that it really does to `told`."""

    def train(trial: TrialContext) -> Iterator[dict[str, float]]:
        step = trial.restored or 0
        while step < (trial.budget or 0):
            step += 1
            if told is not None:
                told.append(step)
            trial.save(step)
            loss = trial.config["x"] + 1 / step
            yield {"train_loss": loss} if step % k else {"train_loss": loss, "loss": loss}

    return train


WRAPPERS = [ASHA(Random()), Hyperband(Random()), TopK(Random(), keep=2)]


@pytest.mark.parametrize("k", [2, 4, 9])
@pytest.mark.parametrize("strategy", WRAPPERS, ids=lambda strategy: type(strategy).__name__)
def test_a_metric_need_not_come_with_every_report(tmp_path: Path, strategy: Any, k: int) -> None:
    steps: list[int] = []
    study(strategy, every(k, steps), budget=27).run(tmp_path / "s.db", quiet=True)
    history, events, _ = told(tmp_path / "s.db")
    assert set(history.counts()) <= {"finished", "paused"}
    assert 1 <= history.counts()["finished"] < 18 / 2
    assert history.best is not None
    assert all(history.loss(trial) is not None for trial in history.trials)
    assert len(steps) == sum(trial.step for trial in history.trials)  # continued, and not trained again
    if isinstance(strategy, TopK):
        by_loss = sorted(history.trials, key=lambda trial: trial.config["x"])
        assert [trial.state for trial in by_loss] == ["finished"] * 2 + ["paused"] * 16
    waited = [event for event in events if isinstance(event, Extended) and event.reason.startswith("has not reported")]
    assert waited[0].reason == "has not reported loss by step 1"


def test_trials_wait_for_their_first_value_by_doubling(tmp_path: Path) -> None:
    study(ASHA(Random()), every(5), trials=1, budget=27).run(tmp_path / "s.db", quiet=True)
    _, events, _ = told(tmp_path / "s.db")
    assert [event.budget for event in events if isinstance(event, Extended)] == [2, 3, 6, 9, 27]


def test_a_rung_ranks_by_the_latest_value_and_a_trial_without_one_by_its_first() -> None:
    curves: list[list[Any]] = [
        [5.0, {}, {}],  # still 5 at step 3
        [{}, {}, {}, 4.0],
        [{}, 3.0, 9.0],
        [1.0, 1.0],  # never came to the rung
        [{}, {}, {}, {}],  # no value
    ]
    history = history_from_curves(curves)
    assert [trial.number for trial in ranked_at(history, 3, history.trials)] == [1, 0, 2]
    assert [trial.number for trial in ranked_at(history, 1, history.trials)] == [3, 2, 1, 0]


def test_a_trial_that_waits_for_a_value_is_not_shown_as_pruned() -> None:
    def sparse(config: Any, step: int) -> Any:
        return {"loss": bowl(config, step)} if step % 2 == 0 else {"other": 1.0}

    seen = Counter[str]()
    for ask in simulate(ASHA(Random()), study_of(SPACES["mixed"]), sparse, trials=30):
        shown = paused_as_pruned(ask.history, [1, 3, 9])
        for trial, other in zip(ask.history.trials, shown.trials, strict=True):
            if trial.outcome is None:
                valued = other.state == "pruned"
                assert valued == (shown.loss(other) is not None and (trial.state == "paused" or other is not trial))
                seen[other.state] += 1
    assert seen["pruned"] > 20
    assert seen["running"] + seen["waiting"] > 0


def test_a_metric_that_never_comes_is_told_when_a_trial_is_complete(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"unknown metric 'loss'; known: train_loss; did you mean 'train_loss'\?"):
        study(ASHA(Random()), every(99)).run(tmp_path / "s.db", quiet=True)
    history, *_ = told(tmp_path / "s.db")
    assert len(history.trials) == 1
