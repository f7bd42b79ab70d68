"""Observers: what they are told, and that nothing they do reaches the study."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import archsearch
from archsearch import Float, Observer, Random, Space, SpecError, Study
from archsearch.search.engine import observers as module
from archsearch.search.engine.driver import Driver
from archsearch.search.engine.observers import Observers
from archsearch.search.engine.source import Pickled, source_of
from archsearch.search.protocols import Silent
from archsearch.studies.history import History
from archsearch.studies.records import Event, SessionStarted, Trial
from archsearch.studies.stopping_criteria import StoppingCriteria
from archsearch.studies.store import Store

SEEN: dict[str, list[Any]] = {}  # by test: an observer that is loaded anew from a store finds it here


def study(observers: Any, **settings: Any) -> Study:
    given = {"trials": 4, "executor": "inline", "strategy": Random(), **settings}
    return Study(
        name="s",
        space=Space(x=Float(0, 1)),
        objective=train,
        minimize="loss",
        observers=observers,
        **given,
    )


def train(trial: Any) -> float:
    return float(trial.config["x"])


class Shown(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def run(declared: Study, path: Path) -> tuple[History, list[str]]:
    shown = Shown()
    source = Pickled.from_study(replace(declared, objective=train))  # what tests watch with does not pickle
    return Driver(declared, source, path, show_progress=lambda *_: shown).run(), shown.warnings


class Full(Observer):
    """Keeps all that it is told under a name."""

    def __init__(self, name: str) -> None:
        self.name = name
        SEEN[name] = []

    def _keep(self, *what: Any) -> None:
        SEEN.setdefault(self.name, []).append(what)

    def on_event(self, event: Event, history: History) -> None:
        self._keep("event", event, history)

    def on_trial_end(self, trial: Any, history: History) -> None:
        self._keep("trial_end", trial, history)

    def on_new_best(self, trial: Any, history: History) -> None:
        self._keep("new_best", trial, history)

    def on_study_end(self, history: History) -> None:
        self._keep("study_end", history)


class Partial:
    """Derives from nothing, and wants the ends alone."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def on_trial_end(self, trial: Any, history: History) -> None:
        self.ended.append(trial.number)


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_all_that_is_committed_is_told_in_order_and_by_kind(tmp_path: Path, request: Any, executor: str) -> None:
    if executor == "ray":
        request.getfixturevalue("local_ray")
    partial, name = Partial(), f"in order, {executor}"
    history, warnings = run(study([Full(name), partial], executor=executor, trials=8), tmp_path / "s.db")
    assert warnings == []
    with Store.open(tmp_path / "s.db") as store:
        events = list(store.events())
    told = SEEN[name]
    assert [what[1] for what in told if what[0] == "event"] == events
    assert [what[1] for what in told if what[0] == "trial_end"] == sorted(history.trials, key=lambda t: t.ended_at)
    assert partial.ended == [what[1].number for what in told if what[0] == "trial_end"]
    for before, (kind, *what) in pairwise(told):
        if kind == "trial_end":
            assert before[0] == "event"
            assert before[1].trial == what[0].number
        if kind == "new_best":
            assert before[:2] == ("trial_end", what[0])
            assert what[1].best == what[0]
    bests = [what[1] for what in told if what[0] == "new_best"]
    assert bests[-1] == history.best
    assert [history.value(trial) for trial in bests] == sorted(map(history.value, bests), reverse=True)
    assert [what[0] for what in told].count("study_end") == 1
    assert told[-1] == ("study_end", history)


def test_the_event_is_in_the_store_when_it_is_told(tmp_path: Path) -> None:
    class Reading(Observer):
        def on_trial_end(self, trial: Any, history: History) -> None:
            with Store.open(tmp_path / "s.db") as store:
                kept.append(store.history().trials[trial.number].state)

    kept: list[str] = []
    run(study([Reading()]), tmp_path / "s.db")
    assert kept == ["finished"] * 4


@pytest.mark.parametrize("error", [ValueError("no such\nchannel"), SystemExit(3), KeyboardInterrupt()])
def test_one_that_raises_is_told_about_once_and_told_on(tmp_path: Path, error: BaseException) -> None:
    calls = []

    class Raising(Observer):
        def on_trial_end(self, trial: Any, history: History) -> None:
            calls.append(trial.number)
            raise error

    whole = Partial()
    history, warnings = run(study([Raising(), whole]), tmp_path / "s.db")
    assert history.counts() == {"finished": 4}
    assert calls == whole.ended == [0, 1, 2, 3]
    (warning,) = [text for text in warnings if "pickled" not in text]
    assert warning.startswith(f"observer Raising failed in on_trial_end: {type(error).__name__}")
    assert "(test_observers.py, line " in warning
    assert warning.endswith("; the study goes on")


def test_one_that_blocks_for_ever_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAIN_S", 0.0)
    never, reached = threading.Event(), threading.Event()

    class Blocking(Observer):
        def on_event(self, event: Event, history: History) -> None:
            reached.set()
            never.wait()

    history, warnings = run(study([Blocking()]), tmp_path / "s.db")
    assert history.counts() == {"finished": 4}
    assert reached.wait(60)
    assert [text for text in warnings if "pickled" not in text] == [
        "observer Blocking did not finish within 0 s of the session's end; its remaining events are lost"
    ]
    never.set()


def test_one_that_is_far_behind_misses_events_and_is_told_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 2)
    begun, go_on = threading.Event(), threading.Event()
    seen, warnings = [], []

    class Slow(Observer):
        def on_event(self, event: Any, history: History) -> None:
            begun.set()
            go_on.wait()
            seen.append(event.at)

    history = study([]).record()
    with Observers([Slow()], History(history), warnings.append) as told:
        for at in range(6):
            told.tell(History(history), [SessionStarted(at, StoppingCriteria(trials=1), 1, "inline", "host", 1)])
            assert begun.wait(60)
        go_on.set()
    assert seen == [0, 1, 2]
    assert warnings == ["observer Slow is 2 batches of events behind, and will miss the next ones"]


def test_what_an_observer_prints_is_not_in_the_log_of_the_trial_that_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, training = threading.Event(), threading.Event()

    class Printing(Observer):
        def on_event(self, event: Any, history: History) -> None:
            if type(event).__name__ == "Started" and event.trial == 0:
                assert training.wait(60)
                print("from the observer")
                print("to stderr", file=sys.stderr, flush=True)
                told.set()

    def printing(trial: Any) -> Iterator[float]:
        print("from the trial")
        training.set()
        assert told.wait(60)
        yield 0.5

    run(replace(study([Printing()], trials=1), objective=printing), tmp_path / "s.db")
    with Store.open(tmp_path / "s.db") as store:
        assert [event.text for event in store.events() if type(event).__name__ == "Logged"] == ["from the trial\n"]
    shown = capsys.readouterr()
    assert (shown.out, "to stderr" in shown.err) == ("from the observer\n", True)


def test_a_resumed_study_has_its_observers_and_tells_of_what_is_new(tmp_path: Path) -> None:
    declared = study([Full("resumed")])
    source_of(declared)
    first = declared.run(tmp_path / "s.db", quiet=True)
    SEEN["resumed"].clear()
    archsearch.resume(tmp_path / "s.db", trials=6, quiet=True)
    told = SEEN["resumed"]
    assert [what[1].number for what in told if what[0] == "trial_end"] == [4, 5]
    assert isinstance(told[0][1], SessionStarted)
    assert first.best is not None
    for what in told:
        if what[0] == "new_best":
            assert what[2].value(what[1]) < what[2].value(first.best)


class Unpicklable(Partial):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_an_observer_that_does_not_pickle_is_left_out_of_the_store_and_told(tmp_path: Path) -> None:
    observer = Unpicklable()
    _, warnings = run(study([observer, Full("kept")]), tmp_path / "s.db")
    assert observer.ended == [0, 1, 2, 3]
    assert warnings == ["the observers Unpicklable cannot be pickled, so archsearch.resume continues without them"]
    SEEN["kept"].clear()
    archsearch.resume(tmp_path / "s.db", trials=5, quiet=True)
    assert observer.ended == [0, 1, 2, 3]
    assert SEEN["kept"]


def _explode() -> None:
    raise RuntimeError("loaded")


class Explosive(Partial):
    """Must not be loaded."""

    def __reduce__(self) -> Any:
        return _explode, ()


def test_workers_load_the_study_without_its_observers() -> None:
    source = Pickled.from_study(study([Explosive()]))
    assert source.objective()(SimpleNamespace(config={"x": 0.5})) == 0.5
    with pytest.raises(SpecError, match="the stored study cannot be loaded: RuntimeError: loaded"):
        source.load()


def test_a_misnamed_method_is_found_at_the_declaration() -> None:
    class Wrong:
        def on_trial_ended(self, trial: Any, history: History) -> None: ...

        def on_event(self, event: Event, history: History) -> None: ...

    with pytest.raises(SpecError, match=r"`on_trial_ended` of the observer Wrong; did you mean `on_trial_end`\?"):
        study([Wrong()])
    derived = type("Derived", (Observer,), {"on_new_bests": lambda self, trial, history: None})
    with pytest.raises(SpecError, match=r"did you mean `on_new_best`\?"):
        study([derived()])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([object()], r"needs one of the methods on_event, on_trial_end, on_new_best, on_study_end; got <object"),
        ([print], r"needs one of the methods"),
        ([Observer], r"has the class Observer; write Observer\(\)"),
        (Observer(), r"observers must be a list, got .*; write observers=\[...\]"),
    ],
)
def test_what_is_no_observer_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        study(given)


def test_observers_are_not_part_of_what_the_store_compares() -> None:
    assert study([Partial()]).record() == study([]).record()


def test_an_observer_cannot_falsify_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Flip:
        def on_trial_end(self, trial: Trial, history: History) -> None:
            trial.reports[-1].metrics["loss"] = -1.0  # type: ignore[index]

    flipped = study([Flip()]).run(tmp_path / "flipped.db")
    assert "the history of a study cannot be changed" in " ".join(capsys.readouterr().err.split())
    assert [t.value("loss") for t in flipped.trials] == [
        t.value("loss") for t in study([]).run(tmp_path / "plain.db", quiet=True).trials
    ]
