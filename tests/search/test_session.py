"""Ask and tell: the engine's decisions, with the caller's own loop."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import archsearch
from archsearch import (
    ASHA,
    TPE,
    ArchsearchError,
    Choice,
    ExecutionError,
    Float,
    Grid,
    Int,
    Median,
    Random,
    Session,
    Space,
    SpecError,
    StoreError,
    Study,
    When,
)
from archsearch.studies.goals import ObjectiveVector
from archsearch.studies.store import Store

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
    assert {trial.proposal.proposer for trial in session.history.trials} == {"random", "tpe"}


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


def test_what_is_told_of_a_step_counts_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    with Session(SPACE, minimize="loss", strategy=ASHA(eta=2), budget=4, trials=6, store=path) as session:
        while (trial := session.ask()) is not None:
            for step in range(trial.from_step + 1, trial.steps + 1):
                session.report(trial, step, {"train_loss": 1.0, "loss": 9.0})
            session.tell(trial, {"loss": loss_of(trial.config)})
    for trial in session.history.trials:
        assert [report.step for report in trial.reports] == sorted({report.step for report in trial.reports})
        assert session.history.objectives_at(trial, trial.step) == ObjectiveVector(0.0, (loss_of(dict(trial.config)),))
        assert trial.reports[-1].metrics["train_loss"] == 1.0
    assert session.best is not None  # by what was told, it was promoted
    with closing(sqlite3.connect(path)) as db:
        values = [value for (value,) in db.execute("SELECT value FROM trials ORDER BY number")]
    assert values == [session.history.value(trial) for trial in session.history.trials]


def test_who_holds_may_be_told_without_a_report() -> None:
    session = Session(SPACE, minimize="loss", strategy=ASHA(eta=2), budget=4, trials=4)
    while (trial := session.ask()) is not None:
        session.tell(trial, {"loss": loss_of(trial.config) / trial.steps})
    assert {tuple(report.step for report in trial.reports) for trial in session.history.trials} >= {(1,), (1, 2, 4)}
    assert {trial.step for trial in session.history.in_state("finished")} == {4}


@pytest.mark.parametrize("reports", [True, False])
def test_a_metric_need_not_come_with_every_report(reports: bool) -> None:
    session = Session(SPACE, minimize="loss", strategy=ASHA(eta=2), budget=6, trials=6)
    while (trial := session.ask()) is not None:
        last: dict[str, float] = {}
        for step in range(trial.from_step + 1, trial.steps + 1):
            last = {"loss": loss_of(trial.config)} if step % 3 == 0 else {"train_loss": 1.0, "auc": float("nan")}
            if reports:
                session.report(trial, step, last)
        session.tell(trial, None if reports else last)
    history = session.history
    assert set(history.counts()) == ({"finished", "paused"} if reports else {"finished"})
    assert all(history.loss(trial) == loss_of(dict(trial.config)) for trial in history.trials)
    assert all(
        report.metrics.keys() in ({"loss"}, {"train_loss"}) for trial in history.trials for report in trial.reports
    )


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


def test_seconds_are_those_of_the_trial_up_to_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(SPACE, minimize="loss", strategy=ASHA(eta=2), budget=2, trials=2)
    now = time.time
    for took, steps in ((100.0, 1), (100.0, 1), (10.0, 2)):
        trial = session.ask()
        monkeypatch.setattr("archsearch.search.session.time", SimpleNamespace(time=lambda took=took: now() + took))
        session.tell(trial, {"loss": loss_of(trial.config)})
        assert trial.steps == steps
    assert [report.seconds for report in session.best.reports] == [pytest.approx(100, abs=5), pytest.approx(110, abs=5)]


@pytest.mark.parametrize("store", [None, "mine.db"])
def test_several_may_run_at_once_also_from_threads(store: str | None, tmp_path: Path) -> None:
    path = store and tmp_path / store
    session = Session(SPACE, minimize="loss", strategy=TPE(startup_trials=3), trials=24, store=path)

    def work() -> None:
        while (trial := session.ask()) is not None:
            session.tell(trial, {"loss": loss_of(trial.config)})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert session.history.counts() == {"finished": 24}
    last = threading.Thread(target=session.close)
    last.start()
    last.join()
    if path is not None:
        with Store.open(path, write=True) as kept:  # it is unlocked, too
            assert kept.history().trials == session.history.trials


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
    assert "your own program runs" in resumed.stderr


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
    with pytest.raises(StoreError, match=r"budget is 9, and was None\n.*seed is 5.*\n.*repeats is 2, and was 1"):
        Session(SPACE, minimize="loss", strategy="random", budget=9, seed=5, repeats=2, store=path)
    with pytest.raises(StoreError, match=r"strategy is TPE\(.*\), and was Random\(\)"):
        Session(SPACE, minimize="loss", strategy="tpe", store=path)
    Session(SPACE, minimize="loss", strategy="random", store=path).close()


OWN = """
import sys
from archsearch import Float, Session, Space
from archsearch.search.protocols import Continue, Pruner, Strategy

class Plain:
    pass

class Mine(Strategy):
    def __init__(self):
        self.helper = Plain()

    def __repr__(self):
        return object.__repr__(self)

    def propose(self, history, rng):
        return history.study.space.sample(rng)

class Patient(Pruner):
    def __init__(self, helper=None):
        self.helper = helper or Plain()
        self.cache = []

    def judge(self, trial, history):
        return Continue()

with Session(Space(x=Float(0, 1)), minimize="loss", strategy=Mine(), pruner=Patient(), store=sys.argv[1]) as session:
    session.tell(session.ask(), {"loss": 1.0})
    print(len(session.history.trials))
"""


def test_a_store_is_gone_on_with_by_parts_without_a_repr(tmp_path: Path) -> None:
    for count in (1, 2):  # each in a process of its own, where addresses differ
        done = subprocess.run(
            [sys.executable, "-c", OWN, str(tmp_path / "mine.db")], capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == (f"{count}\n", "")
    with Store.open(tmp_path / "mine.db") as store:
        assert (store.study.strategy, store.study.pruner) == ("__main__.Mine", "Patient(helper=__main__.Plain)")


@pytest.mark.parametrize("settings", [{"trials": 2.5}, {"trials": True}, {"budget": "3"}, {"repeats": 1.5}])
def test_wrong_types_are_refused_before_there_is_a_store(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(settings))} must be a whole number of at least 1"):
        Session(SPACE, minimize="loss", store=tmp_path / "mine.db", **settings)
    assert not (tmp_path / "mine.db").exists()


def test_what_was_given_out_again_is_not_told_by_who_had_it_first() -> None:
    session = Session(SPACE, minimize="loss", strategy="random", repeats=2)
    first = session.ask()
    session.tell(first, {"loss": 1.0})
    second = session.ask()
    assert (second.number, second.attempt) == (0, 2)
    with pytest.raises(SpecError, match=r"trial 0 was returned by ask\(\) again"):
        session.tell(first, {"loss": 1.0})
    session.tell(second, {"loss": 3.0})
    assert session.best.value("loss") == 2.0


def test_it_may_be_closed_before_its_block_ends(tmp_path: Path) -> None:
    with Session(SPACE, minimize="loss", strategy="random", store=tmp_path / "mine.db") as session:
        session.close()
    assert session.history.session_ended is not None


def test_its_history_is_read_between_two_decisions() -> None:
    read: list[threading.Thread] = []

    class Slow(Random):
        def ask(self, history: Any, n: int, rng: Any) -> Any:
            read.append(threading.Thread(target=lambda: session.history))
            read[0].start()
            read[0].join(0.05)
            assert read[0].is_alive()
            return super().ask(history, n, rng)

    session = Session(SPACE, minimize="loss", strategy=Slow())
    session.ask()
    read[0].join()


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
        with pytest.raises(SpecError, match="trial 0 is finished, not running"):
            late()
    with pytest.raises(SpecError, match="not a trial of this session"):
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
    with pytest.raises(SpecError, match=r"told without the study's metric 'loss', .*not los"):
        session.tell(trial, {"los": 1.0})
    session.tell(trial, {"loss": 1.0})  # nothing was lost by the slip
    assert session.best is not None


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


def test_a_number_is_enough_in_a_session_with_one_metric() -> None:
    with Session(Space(x=Float(0, 1)), minimize="loss", strategy=Random(), budget=2) as session:
        told, reported = session.ask(), session.ask()
        assert told is not None
        assert reported is not None
        session.tell(told, 0.5)
        assert session.report(reported, np.int64(1), 0.25)
        session.tell(reported)
        with pytest.raises(SpecError, match=r"gave \[1.0\]"):
            session.tell(session.ask(), [1.0])  # type: ignore[arg-type]
    assert [trial.value("loss") for trial in session.history.trials[:2]] == [0.5, 0.25]


def test_a_failure_may_be_told_as_its_exception(tmp_path: Path) -> None:
    with Session(Space(x=Float(0, 1)), minimize="loss", strategy=Random(), store=tmp_path / "s.db") as session:
        trial = session.ask()
        assert trial is not None
        with pytest.raises(SpecError, match="failed must be a text or an exception, got True"):
            session.tell(trial, failed=True)  # type: ignore[arg-type]
        session.tell(trial, failed=ValueError("boom"))
    with Store.open(tmp_path / "s.db", write=True) as store:  # the lock is free
        assert store.history().trials[0].reason == "ValueError: boom"


def test_a_session_does_not_go_on_with_the_store_of_a_study(tmp_path: Path) -> None:
    space = Space(x=Float(0, 1))
    study = Study(name="s", objective=lambda trial: 1.0, space=space, minimize="loss", trials=1, executor="inline")
    study.run(tmp_path / "s.db", quiet=True)
    with pytest.raises(StoreError, match="belongs to a Study, not to a Session"):
        Session(space, minimize="loss", store=tmp_path / "s.db")
    archsearch.resume(tmp_path / "s.db", trials=2, quiet=True)


def test_a_damaged_store_is_not_left_locked(tmp_path: Path) -> None:
    space = Space(x=Float(0, 1))
    with Session(space, minimize="loss", strategy=Random(), store=tmp_path / "s.db") as session:
        session.ask()
    with closing(sqlite3.connect(tmp_path / "s.db")) as database, database:
        database.execute("DROP TRIGGER events_keep")
        database.execute("UPDATE events SET at = at + 1 WHERE seq = 1")
    failures = []  # each keeps its frames alive
    for _ in range(2):
        with pytest.raises(StoreError, match="is damaged") as failure:
            Session(space, minimize="loss", strategy=Random(), store=tmp_path / "s.db")
        failures.append(failure)


def test_the_best_value_and_config_and_a_frame() -> None:
    with Session(SPACE, minimize="loss", strategy="random", trials=3) as session:
        for ask in ("best_value", "best_config"):
            with pytest.raises(ArchsearchError, match="study 'session' has no best trial: no trial has finished yet"):
                getattr(session, ask)
        while (trial := session.ask()) is not None:
            session.tell(trial, {"loss": loss_of(trial.config)})
    assert session.best is not None
    assert (session.best_value, session.best_config) == (session.best.value("loss"), session.best.config)
    assert (session.history.best_value, session.history.best_config) == (session.best_value, session.best_config)
    assert list(session.frame()["metrics.loss"]) == [trial.value("loss") for trial in session.history.trials]


def test_an_event_that_cannot_be_stored_closes_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.db"
    settings: dict[str, Any] = {"minimize": "loss", "strategy": "random", "store": path}
    with Session(SPACE, **settings) as session:
        session.tell(session.ask(), {"loss": 1.0})
        trial = session.ask()
        with monkeypatch.context() as broken:
            broken.setattr("archsearch.studies.codec._body", lambda event: {"config": object()})
            with pytest.raises(ExecutionError, match=r"the session was closed, .*not JSON serializable"):
                session.report(trial, 1, {"loss": 0.5})
        with pytest.raises(SpecError, match="the session is closed"):
            session.ask()
    with Session(SPACE, **settings) as session:  # it is unlocked, and holds what came before
        assert session.history.counts() == {"finished": 1, "waiting": 1}
        assert session.ask().number == 1
