"""Ask and tell: the engine's decisions, with the caller's own loop."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from search import ASHA, TPE, Median, Session
from search.strategies import Grid
from spaces import Choice, Float, Int, Space, SpecError, StoreError, When
from studies.store import Store

SPACE = Space(rate=Float(1e-4, 1e-1, log=True), layers=Int(1, 3), width=When("layers > 1", Choice(16, 32)))


def loss_of(config: dict[str, Any]) -> float:
    return abs(config["rate"] - 0.01) + config["layers"] / 10


def test_ask_and_tell() -> None:
    session = Session(SPACE, minimize="loss", strategy=TPE(startup_trials=3), seed=1)
    for number in range(8):
        trial = session.ask()
        assert trial.number == number
        assert type(trial.config) is dict
        assert ("width" in trial.config) == (trial.config["layers"] > 1)
        session.tell(trial, {"loss": loss_of(trial.config)})
    assert session.history.counts() == {"finished": 8}
    assert session.best.value("loss") == min(trial.value("loss") for trial in session.history.trials)
    assert {trial.proposal.note["by"] for trial in session.history.trials} == {"random", "tpe"}


def test_a_report_says_whether_to_go_on() -> None:
    session = Session(SPACE, maximize="accuracy", strategy="random", pruner=Median(2, 1), budget=4)
    kept_on = []
    for level in (0.8, 0.9, 0.1):
        trial = session.ask()
        assert trial.steps == 4
        going = [session.report(trial, step, {"accuracy": level}) for step in (1, 2)]
        if going[-1]:
            going += [session.report(trial, step, {"accuracy": level}) for step in (3, 4)]
        kept_on.append(going)
        session.tell(trial)  # also the one that was stopped
    assert kept_on == [[True, True, True, False]] * 2 + [[True, False]]
    assert session.history.counts() == {"finished": 2, "pruned": 1}


def test_told_metrics_join_the_last_report() -> None:
    session = Session(SPACE, minimize="loss", strategy="random", budget=2)
    trial = session.ask()
    session.report(trial, 1, {"loss": 3.0})
    session.report(trial, 2, {"loss": 2.0})
    session.tell(trial, {"test_loss": 2.5})
    found = session.history.trials[0]
    assert (found.step, found.value("loss"), found.value("test_loss")) == (2, 2.0, 2.5)


def test_trials_that_hold_are_given_out_again() -> None:
    session = Session(SPACE, minimize="loss", strategy=ASHA(eta=2), budget=4, trials=4)
    steps: dict[int, list[tuple[int, int]]] = {}
    while (trial := session.ask()) is not None:
        steps.setdefault(trial.number, []).append((trial.from_step, trial.steps))
        for step in range(trial.from_step + 1, trial.steps + 1):
            session.report(trial, step, {"loss": loss_of(trial.config) / step})
        session.tell(trial)
    assert len(steps) == 4
    assert max(map(len, steps.values())) == 3
    assert next(each for each in steps.values() if len(each) == 3) == [(0, 1), (1, 2), (2, 4)]
    assert session.best is not None


def test_several_may_run_at_once_also_from_threads() -> None:
    session = Session(SPACE, minimize="loss", strategy=TPE(startup_trials=3), trials=24)

    def work() -> None:
        while (trial := session.ask()) is not None:
            session.tell(trial, {"loss": loss_of(trial.config)})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.history.counts() == {"finished": 24}


def test_there_is_an_end() -> None:
    session = Session(Space(a=Choice(1, 2)), minimize="loss", strategy=Grid())
    first, second = session.ask(), session.ask()
    assert session.ask() is None
    for trial in (first, second):
        session.tell(trial, {"loss": 1.0})
    assert session.ask() is None


def test_a_store_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    given: dict[str, Any] = {"minimize": "loss", "strategy": TPE(startup_trials=3), "seed": 3, "store": path}
    whole = Session(SPACE, **{**given, "store": None})
    for _ in range(9):
        trial = whole.ask()
        whole.tell(trial, {"loss": loss_of(trial.config)})
    with Session(SPACE, **given) as session:
        for _ in range(5):
            trial = session.ask()
            session.tell(trial, {"loss": loss_of(trial.config)})
        asked = session.ask()
    with Session(SPACE, **given) as session:
        again = session.ask()
        assert (again.number, again.config, again.seed) == (asked.number, asked.config, asked.seed)
        session.tell(again, {"loss": loss_of(again.config)})
        for _ in range(3):
            trial = session.ask()
            session.tell(trial, {"loss": loss_of(trial.config)})
    with Store.open(path) as store:
        configs = [trial.config for trial in store.history().trials]
    assert configs == [trial.config for trial in whole.history.trials]
    assert command("best", path).returncode == 0
    resumed = command("resume", path)
    assert resumed.returncode == 2
    assert "loop of your own" in resumed.stderr


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archsearch", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_another_search_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    Session(SPACE, minimize="loss", strategy="random", store=path).close()
    with pytest.raises(StoreError, match=r"another search.*\n.*depth"):
        Session(Space(depth=Int(1, 2)), minimize="loss", strategy="random", store=path)
    with pytest.raises(StoreError, match="maximize loss, and was minimize loss"):
        Session(SPACE, maximize="loss", strategy="random", store=path)


def test_what_cannot_be_meant() -> None:
    session = Session(SPACE, minimize="loss", strategy="random", budget=2)
    trial, other = session.ask(), session.ask()
    with pytest.raises(SpecError, match="must be a number"):
        session.report(trial, 1, {"loss": "low"})
    with pytest.raises(SpecError, match="the next is 1, and at most 2"):
        session.report(trial, 3, {"loss": 1.0})
    session.report(trial, 1, {"loss": 1.0})
    with pytest.raises(SpecError, match="the next is 2"):
        session.report(trial, 1, {"loss": 1.0})
    session.tell(trial)
    for late in (lambda: session.tell(trial), lambda: session.report(trial, 2, {"loss": 1.0})):
        with pytest.raises(SpecError, match="trial 0 is finished, and is not running"):
            late()
    with pytest.raises(SpecError, match="no trial of this session"):
        session.tell(0)  # type: ignore[arg-type]  # the mistake
    assert not session.report(other, 1, {"loss": float("nan")})
    assert session.history.trials[1].reason == "ValueError: metric 'loss' is nan at step 1"
    session.tell(other)
    third = session.ask()
    session.tell(third, failed="no memory")
    assert session.history.trials[2].reason == "no memory"
    with pytest.raises(SpecError, match="needs a metric"):
        Session(SPACE)


def test_a_metric_that_is_never_told_is_a_mistake() -> None:
    session = Session(SPACE, minimize="loss", strategy="random")
    trial = session.ask()
    with pytest.raises(SpecError, match=r"never reported the study's metric: .*did you mean 'los'"):
        session.tell(trial, {"los": 1.0})


def test_repeats_and_several_goals_are_those_of_a_study() -> None:
    session = Session(
        SPACE, maximize="accuracy", minimize="size", outcome_constraints="size < 5", strategy="random", repeats=2
    )
    told = [(0.9, 6.0), (0.5, 1.0), (0.7, 4.0)]
    runs = []
    for _ in range(5):
        trial = session.ask()
        runs.append(trial.number)
        accuracy, size = told[trial.number]
        session.tell(trial, {"accuracy": accuracy, "size": size})
    assert runs == [0, 1, 1, 2, 2]
    assert [trial.number for trial in session.history.front] == [1, 2]
    assert session.best.number == 2
