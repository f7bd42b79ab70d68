"""open_study: a study in its store, read-only, after the run and while it goes on; and how it shows itself."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from archsearch import (
    ArchsearchError,
    Choice,
    Float,
    Int,
    Random,
    Space,
    StoredStudy,
    StoreError,
    Study,
    When,
    open_study,
)
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Logged,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    SessionEnded,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import Store

META = {
    "hardware": {"processor": "A CPU", "machine": "x86_64", "cores": 2, "gpus": 1},
    "commit": "abc123",
    "versions": {"python": "3.11", "torch": "2.13.0"},
}
RECORD = StudyRecord(
    "wine <b>",
    Space(optimizer=Choice("sgd", "adam"), momentum=When("optimizer == 'sgd'", Float(0, 1)), layers=Int(1, 4)),
    (Goal("accuracy", maximize=True),),
    3,
    0,
    "Random()",
    "Never()",
)
SGD, ADAM = {"optimizer": "sgd", "momentum": 0.9, "layers": 2}, {"optimizer": "adam", "layers": 3}


def trial(number: int, outcome: Any, config: Any = SGD, **metrics: float) -> list[Event]:
    """A trial of four seconds with one report."""
    at = 10.0 * number
    return [
        Proposed(at, number, Proposal(config, 3), 0),
        Started(at, number, 1, "worker-0"),
        *([Reported(at + 1, number, Report(1, metrics, 1.0))] if metrics else []),
        Logged(at + 2, number, f"log of {number}\n"),
        *([] if outcome is None else [Ended(at + 4, number, outcome)]),
    ]


EVENTS: list[Event] = [
    SessionStarted(0.0, StoppingCriteria(trials=10), 1, "inline", "host", 7),
    *trial(0, Finished(), accuracy=0.5, extra=3.0),
    *trial(1, Finished(), ADAM, accuracy=0.75),
    *trial(2, Pruned("too slow"), accuracy=0.25),
    *trial(3, Failed("ValueError: <script>alert(1)</script>")),
    *trial(4, None, accuracy=0.1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wine.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """Open, as while a driver is at work."""
    with Store.create(path, RECORD, META) as store:
        store.append(EVENTS)
        yield store


def of(*events: Event, study: StudyRecord = RECORD) -> History:
    return History.from_events(study, events)


def test_what_is_asked_after_a_run(store: Store, path: Path) -> None:
    study = open_study(path)
    assert isinstance(study, StoredStudy)
    assert (study.name, study.best_value, study.best_config) == ("wine <b>", 0.75, ADAM)
    assert study.best is not None
    assert study.best.number == 1
    assert [trial.number for trial in study.front] == [1]
    assert study.trials == study.history.trials == store.history().trials
    assert study.study == RECORD
    assert study.log(3) == "log of 3\n"
    assert study.made_with == {
        "machine": "A CPU, 2 cores, 1 GPU",
        "commit of the spec": "abc123",
        "python": "3.11",
        "torch": "2.13.0",
    }


def test_it_follows_the_study_while_it_runs(store: Store, path: Path) -> None:
    study = open_study(str(path))
    before = study.history
    assert study.history is before  # nothing was added, and nothing is folded again
    store.append([Ended(50.0, 4, Finished()), *trial(5, Finished(), accuracy=1.0)])
    assert study.best_value == 1.0
    assert study.history == store.history()
    assert before.best is not None  # what was taken before stays as it was
    assert before.best.number == 1
    store.append([SessionEnded(70.0, "every trial is done")])
    store.close()
    assert study.history.session_ended is not None


def test_a_store_that_was_made_anew_is_read_anew(store: Store, path: Path) -> None:
    study = open_study(path)
    assert len(study.trials) == 5
    for events in ([], EVENTS[:6], [EVENTS[0], *trial(0, Finished(), ADAM, accuracy=0.1), *EVENTS[6:]]):
        store.close()
        path.unlink()
        store = Store.create(path, RECORD, META)
        store.append(events)
        assert study.history == store.history()
    store.close()


def test_looking_leaves_no_trace_and_keeps_no_driver_out(path: Path) -> None:
    with Store.create(path, RECORD, META) as store:
        store.append(EVENTS)
    content = path.read_bytes()
    path.chmod(0o444)
    study = open_study(path)
    assert (study.best_value, len(study.frame())) == (0.75, 5)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]
    path.chmod(0o644)
    with Store.open(path, write=True):
        assert study.best_value == 0.75


LOOKING = """
    import sys
    from archsearch import open_study
    study = open_study(sys.argv[1])
    for line in sys.stdin:
        print(len(study.trials), study.best_value, flush=True)
"""


def test_another_process_may_look_while_it_runs(store: Store, path: Path, command_env: dict[str, str]) -> None:
    command = [sys.executable, "-c", textwrap.dedent(LOOKING), path]
    with subprocess.Popen(
        command, env=command_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, accuracy in ((4, 0.75), (5, 0.8), (6, 0.9)):
            if number > 4:
                store.append(trial(number, Finished(), accuracy=accuracy))
            print("look", file=process.stdin, flush=True)
            assert process.stdout.readline().split() == [str(number + 1), str(accuracy)]
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "no trial has finished yet"),
        (trial(0, None, accuracy=0.5), "no trial has finished yet"),
        (trial(0, Failed("ValueError: no")), "its only trial failed with: ValueError: no"),
        (
            [*trial(0, Failed("KeyError: 1")), *trial(1, Failed("KeyError: 2"))],
            "all 2 trials failed, the last one with: KeyError: 2",
        ),
    ],
)
def test_without_a_best_trial(path: Path, events: list[Event], why: str) -> None:
    with Store.create(path, RECORD, META) as store:
        store.append(events)
    study = open_study(path)
    assert study.best is None
    for ask in ("best_value", "best_config"):
        with pytest.raises(ArchsearchError) as caught:
            getattr(study, ask)
        assert str(caught.value) == f"{path} has no best trial: {why}"
    assert why.replace("'", "&#x27;") in study._repr_html_()


def test_several_goals_rank_by_the_first(path: Path) -> None:
    goals = (Goal("loss", maximize=False), Goal("size", maximize=False))
    with Store.create(path, replace(RECORD, goals=goals), META) as store:
        store.append([*trial(0, Finished(), loss=1.0, size=1.0), *trial(1, Finished(), ADAM, loss=0.5, size=9.0)])
    study = open_study(path)
    assert (study.best_value, study.best_config) == (0.5, ADAM)
    assert [trial.number for trial in study.front] == [0, 1]
    assert "trial 1: loss 0.5, size 9; 2 trials on the Pareto front" in study._repr_html_()


def test_what_is_no_store_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_study(tmp_path / "absent.db")
    (tmp_path / "text.db").write_text("hello, this is no store")
    with pytest.raises(StoreError, match="is not an archsearch store"):
        open_study(tmp_path / "text.db")


def test_a_log_of_no_trial_is_told(store: Store, path: Path) -> None:
    for number in (-1, 5):
        with pytest.raises(ArchsearchError, match=f"has no trial {number}; it has 5 trials, from 0 on"):
            open_study(path).log(number)


def test_the_report_is_a_page(store: Store, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = open_study(path)
    assert study.report() == Path("wine.html")
    assert study.report(tmp_path / "page.html") == tmp_path / "page.html"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text == (tmp_path / "here" / "wine.html").read_text(encoding="utf-8")
    assert "A CPU, 2 cores, 1 GPU" in text
    with pytest.raises(ArchsearchError, match=r"cannot write .*No such file"):
        study.report(tmp_path / "no" / "x.html")


def test_the_frame_has_a_row_for_each_trial(store: Store, path: Path) -> None:
    frame = open_study(path).frame()
    assert isinstance(frame, pd.DataFrame)
    assert [*frame.columns] == [
        *("number", "state", "metrics.accuracy", "metrics.extra"),
        *("params.optimizer", "params.momentum", "params.layers", "steps", "duration_s", "reason"),
    ]
    assert [*frame["number"]] == [0, 1, 2, 3, 4]
    assert [*frame["state"]] == ["finished", "finished", "pruned", "failed", "running"]
    assert frame["metrics.accuracy"].tolist()[:3] == [0.5, 0.75, 0.25]
    assert [math.isnan(value) for value in frame["metrics.accuracy"]] == [False, False, False, True, False]
    assert frame["params.momentum"].isna().tolist() == [False, True, False, False, False]
    assert [*frame["duration_s"]] == [4.0, 4.0, 4.0, 4.0, 1.0]
    assert [*frame["steps"]] == [1, 1, 1, 0, 1]
    assert frame["reason"][2] == "too slow"
    assert frame.sort_values("metrics.accuracy", ascending=False).iloc[0]["number"] == 1
    pd.testing.assert_frame_equal(store.history().frame(), frame)


def test_the_frame_of_no_trial_has_the_columns_too() -> None:
    assert len(of().frame()) == 0
    assert "params.layers" in of().frame().columns


def test_a_metric_is_a_number_also_where_no_trial_has_it() -> None:
    assert of(*trial(0, Failed("no"))).frame()["metrics.accuracy"].dtype == float


def test_a_short_repr(store: Store, path: Path) -> None:
    counts = "2 finished, 1 pruned, 1 failed, 1 running; best 0.75 (trial 1)"
    assert repr(store.history()) == f"<History of wine <b>, maximize accuracy: {counts}>"
    assert repr(open_study(path)) == f"<StoredStudy {path}: wine <b>, maximize accuracy: {counts}>"
    assert repr(of()) == "<History of wine <b>, maximize accuracy: no trials>"


def test_a_history_in_a_notebook(store: Store, path: Path) -> None:
    page = store.history()._repr_html_()
    assert page == open_study(path)._repr_html_()
    assert "wine &lt;b&gt;" in page
    assert "<b>" not in page
    assert "2 finished, 1 pruned, 1 failed, 1 running, in 42s of work" in page
    assert "trial 1: accuracy 0.75" in page
    assert "optimizer=adam layers=3" in page
    assert page.index("<td>1</td><td>0.75</td><td>1</td><td>adam</td><td></td><td>3</td>") < page.index(
        "<td>0</td><td>0.5</td><td>1</td><td>sgd</td><td>0.9</td><td>2</td>"
    )
    failed = of(*trial(0, Failed("<script>alert(1)</script>")))._repr_html_()
    assert "&lt;script&gt;alert(1)" in failed
    assert "<script" not in failed


def test_a_history_in_a_notebook_shows_a_few_trials_alone() -> None:
    long = of(*(event for number in range(100) for event in trial(number, Finished(), accuracy=37 * number % 100)))
    page = long._repr_html_()
    assert page.count("<td>sgd</td>") == 5
    best_first = sorted(range(100), key=lambda number: 37 * number % 100, reverse=True)
    assert re.findall(r"<tr><td>(\d+)</td>", page) == [str(number) for number in best_first[:5]]
    constrained = replace(RECORD, outcome_constraints=(OutcomeConstraint.from_text("accuracy < 0"),))
    assert (
        "the only finished trial does not satisfy accuracy &lt; 0" in of(*EVENTS[:6], study=constrained)._repr_html_()
    )


def test_a_study_shows_what_it_declares() -> None:
    study = Study(
        name="declared",
        space=Space(kind=Choice("<i>", "b"), x=Float(0, 1)),
        objective=lambda trial: {"loss": 0.0},
        minimize="loss",
        strategy=Random(),
        trials=7,
        timeout="20m",
    )
    assert repr(study) == "<Study declared, minimize loss: Random(), trials=7, timeout='20m'>"
    page = study._repr_html_()
    assert "minimize loss" in page
    assert "20m" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page


def test_a_running_study_may_be_looked_at_from_its_own_process(tmp_path: Path) -> None:
    seen: list[int] = []

    def looks(trial: Any) -> dict[str, float]:
        seen.append(len(open_study(tmp_path / "s.db").trials))
        return {"loss": trial.config["x"], "pid": os.getpid()}

    study = Study(
        name="s",
        space=Space(x=Float(0, 1)),
        objective=looks,
        minimize="loss",
        strategy=Random(),
        trials=3,
        executor="inline",
    )
    history = study.run(tmp_path / "s.db", quiet=True)
    assert seen == [1, 2, 3]
    assert open_study(tmp_path / "s.db").history.trials == history.trials
