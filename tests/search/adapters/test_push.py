"""Functions that report with `trial.report`: what a worker makes of them, and how they are stopped."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import archsearch
from archsearch import Float, Objective, Pruner, Random, Space, SpecError, Study, TrialContext, TrialStopped
from archsearch.search.adapters import push
from archsearch.search.adapters.function_thread import FunctionThread
from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Continue, Job, Stop
from archsearch.studies.records import Ended, Event, Failed, Finished, Logged, Reported
from archsearch.studies.store import Store


def job(number: int = 0, budget: int | None = None, **settings: Any) -> Job:
    return Job(number, 1, {"x": 0.5}, budget, 5, metrics=("loss",), **settings)


def outcomes(events: list[Event]) -> list[Any]:
    return [event.outcome for event in events if isinstance(event, Ended)]


def reports(events: list[Event]) -> list[tuple[int, dict[str, float]]]:
    return [(event.report.step, dict(event.report.metrics)) for event in events if isinstance(event, Reported)]


def logs(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Logged))


def to_the_end(worker: Worker, start: Job) -> list[Event]:
    events = worker.advance(start, stop=False)
    while not outcomes(events):
        events += worker.advance(None, stop=False)
    return events


def study(objective: Any, **settings: Any) -> Study:
    given: dict[str, Any] = {"space": Space(x=Float(0, 1)), "minimize": "loss", "strategy": Random(), "trials": 4}
    return Study(name="s", objective=objective, **{**given, "executor": "inline", **settings})


def test_reports_come_one_at_a_time_and_the_function_waits_in_between() -> None:
    steps = []

    def train(trial: TrialContext) -> None:
        for step in (1, 2):
            steps.append(step)
            print("step", step)
            assert trial.report({"loss": step})
        print("done")

    worker = Worker(train, "cpu")
    first = worker.advance(job(), stop=False)
    assert (reports(first), steps, logs(first)) == ([(1, {"loss": 1.0})], [1], "step 1\n")
    second = worker.advance(None, stop=False)
    assert (reports(second), steps) == ([(2, {"loss": 2.0})], [1, 2])
    third = worker.advance(None, stop=False)
    assert (outcomes(third), logs(third)) == ([Finished()], "done\n")


@pytest.mark.parametrize(
    "value", [0.25, 1, np.float32(0.25), np.array(0.25), np.array([0.25]), torch.tensor(0.25), torch.tensor([0.25])]
)
def test_a_plain_number_is_the_study_s_one_metric(value: Any) -> None:
    def pushed(trial: TrialContext) -> None:
        trial.report(value)

    def pulled(trial: TrialContext) -> Iterator[Any]:
        yield value

    for objective in (lambda trial: value, pushed, pulled, lambda trial: {"loss": value}):
        assert reports(to_the_end(Worker(objective, "cpu"), job())) == [
            (1, {"loss": pytest.approx(float(value.item() if hasattr(value, "item") else value))})
        ]


def test_a_plain_number_in_a_study_with_two_metrics_says_what_is_missing() -> None:
    ended = Worker(lambda trial: 0.5, "cpu").advance(Job(0, 1, {}, None, 5), stop=False)
    assert outcomes(ended)[0].error.startswith(
        "the objective gave 0.5 at step 1; it must yield, report or return a map"
    )


def test_what_a_function_returns_joins_its_last_report_with_a_budget_or_without() -> None:
    def train(trial: TrialContext) -> dict[str, float]:
        step = 0
        while step < 3 and trial.report({"loss": 9.0 - step}):
            step += 1
        return {"loss": 0.5, "test": 1.0}

    with_budget = to_the_end(Worker(train, "cpu"), job(budget=3))
    assert reports(with_budget)[2:] == [(3, {"loss": 0.5, "test": 1.0})]
    without = to_the_end(Worker(train, "cpu"), job())
    assert reports(without)[2:] == [(3, {"loss": 7.0}), (3, {"loss": 0.5, "test": 1.0})]
    assert outcomes(with_budget) == outcomes(without) == [Finished()]


def test_a_function_that_reports_nothing_and_returns_nothing_fails() -> None:
    (failed,) = outcomes(Worker(lambda trial: None, "cpu").advance(job(), stop=False))
    assert failed.error.startswith("the objective gave None at step 1")


def test_a_stopped_function_learns_it_from_its_report_and_may_return() -> None:
    seen: list[Any] = []

    def train(trial: TrialContext) -> float:
        seen.append(trial.should_stop)
        while trial.report(1.0):
            seen.append(trial.should_stop)
        seen.append(trial.should_stop)
        print("cleaning up")
        return 0.0

    worker = Worker(train, "cpu")
    worker.advance(job(), stop=False)
    worker.advance(None, stop=False)
    events = worker.advance(None, stop=True)
    assert (seen, logs(events), len(events), worker.clean) == ([False, False, True], "cleaning up\n", 1, True)


def test_raising_by_choice() -> None:
    seen: list[Any] = []

    def train(trial: TrialContext) -> None:
        try:
            while True:
                try:
                    trial.report(1.0, raise_on_stop=True)
                except Exception:  # noqa: BLE001 - as training loops have it
                    seen.append("swallowed")
        finally:
            seen.append("finally")

    worker = Worker(train, "cpu")
    worker.advance(job(), stop=False)
    assert worker.advance(None, stop=True) == []
    assert (seen, worker.clean) == (["finally"], True)
    assert not issubclass(TrialStopped, Exception)


@pytest.mark.parametrize("budget", [None, 1])
def test_one_that_goes_on_reporting_is_ended_by_an_exception(budget: int | None) -> None:
    ended = []

    def train(trial: TrialContext) -> None:
        try:
            while True:
                trial.report(1.0)
        except TrialStopped as error:
            ended.append(str(error))
            raise

    worker = Worker(train, "cpu")
    events = worker.advance(job(budget=budget), stop=False) + worker.advance(None, stop=True)
    assert outcomes(events) == ([] if budget is None else [Finished()])
    assert len(ended) == 1
    assert worker.clean


def test_one_that_computes_on_has_the_exception_raised_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "GRACE_S", 0.0)
    ended = []

    def train(trial: TrialContext) -> None:
        try:
            trial.report(1.0)
            while True:
                pass
        except TrialStopped:
            ended.append(trial.number)
            raise

    worker = Worker(train, "cpu")
    worker.advance(job(), stop=False)
    worker.advance(None, stop=True)
    assert ended == [0]
    assert worker.clean


def test_one_that_cannot_be_ended_is_left_behind_and_the_worker_is_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "GRACE_S", 0.0)
    monkeypatch.setattr(push, "UNWIND_S", 0.0)
    release = threading.Event()

    def train(trial: TrialContext) -> None:
        trial.report(1.0)
        release.wait()

    worker = Worker(train, "cpu")
    worker.advance(job(), stop=False)
    events = worker.advance(job(1), stop=True)
    assert not worker.clean
    assert "its thread is left running" in logs(events)
    assert [event.trial for event in events if isinstance(event, Reported)] == [1]
    release.set()


@pytest.fixture
def default_ctrl_c() -> Iterator[None]:
    """Python's own handler, also where a shell has started the tests in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_function_at_once(default_ctrl_c: None) -> None:
    """It reaches the main thread while that waits for the function, which computes."""
    ended = []

    def train(trial: TrialContext) -> None:
        trial.report(1.0)  # so that its thread has surely started
        try:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            last = time.monotonic() + 60
            while time.monotonic() < last:
                pass
        except TrialStopped:
            ended.append(trial.number)
            raise

    worker = Worker(train, "cpu", interruptible=True)
    worker.advance(job(), stop=False)
    with pytest.raises(KeyboardInterrupt):
        worker.advance(None, stop=False)
    worker.advance(None, stop=True)
    assert ended == [0]


def test_functions_that_end_by_themselves_share_a_thread() -> None:
    threads = []

    def train(trial: TrialContext) -> float:
        threads.append(threading.current_thread())
        if trial.number == 1:
            raise ValueError("as good an end as any")
        return 1.0

    for number in range(3):
        Worker(train, "cpu").advance(job(number), stop=False)
    assert len(set(threads)) == 1
    assert threads[0].name == "trial-2"


@pytest.mark.parametrize("computing", [True, False], ids=["computes", "has-just-ended"])
def test_a_thread_that_was_interrupted_serves_no_other_trial(
    computing: bool, monkeypatch: pytest.MonkeyPatch, default_ctrl_c: None
) -> None:
    """Also when the function had ended a moment before: the exception is then raised in the thread later."""
    monkeypatch.setattr(push, "GRACE_S", 0.0)
    threads = []
    entered = threading.Event()

    def train(trial: TrialContext) -> float:
        threads.append(threading.current_thread())
        entered.set()
        while computing and trial.number == 0:
            pass
        return 1.0

    if computing:

        def interrupted(self: Any) -> None:
            entered.wait()
            raise KeyboardInterrupt

        monkeypatch.setattr(push.PushedReports, "_next_news", interrupted)
    else:

        def interrupted_after_the_end(self: Any) -> None:
            self._channel.news.get()
            raise KeyboardInterrupt

        monkeypatch.setattr(push.PushedReports, "_next_news", interrupted_after_the_end)
    worker = Worker(train, "cpu", interruptible=True)
    with pytest.raises(KeyboardInterrupt):
        worker.advance(job(), stop=False)
    worker.advance(None, stop=True)
    threads[0].join()
    monkeypatch.undo()
    assert reports(to_the_end(Worker(train, "cpu"), job(1))) == [(1, {"loss": 1.0})]
    assert threads[1] is not threads[0]


def test_a_thread_that_has_died_is_a_failure_and_not_a_hang() -> None:
    def train(trial: TrialContext) -> float:
        raise AssertionError("is never called")

    dead = FunctionThread()
    dead.interrupt(TrialStopped)
    pushed = push.PushedReports(train, TrialContext(0, 1, {}, None, 0, "cpu"))
    pushed._thread = dead
    with pytest.raises(RuntimeError, match="has ended without a result"):
        next(pushed)


def test_a_report_from_another_thread_of_the_function() -> None:
    def train(trial: TrialContext) -> None:
        inner = threading.Thread(target=trial.report, args=({"loss": 2.0},))
        inner.start()
        inner.join()

    assert reports(to_the_end(Worker(train, "cpu"), job())) == [(1, {"loss": 2.0})]


def test_a_report_after_the_end_is_refused_and_does_not_hang() -> None:
    kept: list[TrialContext] = []

    def train(trial: TrialContext) -> float:
        kept.append(trial)
        return 1.0

    Worker(train, "cpu").advance(job(), stop=False)
    assert kept[0].should_stop
    assert not kept[0].report(1.0)
    with pytest.raises(TrialStopped):
        kept[0].report(1.0)


def test_an_exception_keeps_its_traceback() -> None:
    def broken(trial: TrialContext) -> None:
        trial.report(1.0)
        raise ValueError("in the second epoch")

    worker = Worker(broken, "cpu")
    worker.advance(job(), stop=False)
    events = worker.advance(None, stop=False)
    line = broken.__code__.co_firstlineno + 2
    assert outcomes(events) == [Failed(f"ValueError: in the second epoch (test_push.py, line {line})")]
    assert 'raise ValueError("in the second epoch")' in logs(events)
    assert "in broken" in logs(events)


@pytest.mark.parametrize("until", [None, 2])
def test_an_exception_after_the_last_report_fails_the_trial_with_all_reports(until: int | None) -> None:
    def broken(trial: TrialContext) -> None:
        while trial.report(1.0):
            pass
        raise OSError("cannot save the model")

    events = to_the_end(Worker(broken, "cpu"), job(budget=2 if until is None else 4, until=until))
    assert reports(events) == [(1, {"loss": 1.0}), (2, {"loss": 1.0})]
    line = broken.__code__.co_firstlineno + 3
    assert outcomes(events) == [Failed(f"OSError: cannot save the model (test_push.py, line {line})")]
    assert "in broken" in logs(events)


def test_one_that_cannot_be_ended_at_its_budget_has_done_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def stubborn(trial: TrialContext) -> None:
        while True:
            try:
                trial.report(1.0)
            except TrialStopped:
                release.wait()
                return

    monkeypatch.setattr(push, "GRACE_S", 0.0)
    monkeypatch.setattr(push, "UNWIND_S", 0.0)
    release = threading.Event()
    worker = Worker(stubborn, "cpu")
    events = worker.advance(job(budget=1), stop=False)
    release.set()
    assert (reports(events), outcomes(events)) == ([(1, {"loss": 1.0})], [Finished()])
    assert "its thread is left running" in logs(events)
    assert not worker.clean


@pytest.mark.parametrize("budget", [None, 2])
@pytest.mark.parametrize("value", [torch.nn.Linear(2, 2), "done", {"weights": torch.ones(3)}, {}])
def test_what_is_no_metric_is_ignored_after_all_reports(value: Any, budget: int | None) -> None:
    def train(trial: TrialContext) -> Any:
        for _ in range(2):
            trial.report(1.0)
        return value

    events = to_the_end(Worker(train, "cpu"), job(budget=budget))
    assert reports(events) == [(1, {"loss": 1.0}), (2, {"loss": 1.0})]
    assert outcomes(events) == [Finished()]
    assert logs(events).startswith("archsearch: ignored what the objective returned after its reports, ")


@pytest.mark.parametrize("value", [{"loss": "low"}, {"loss": float("inf")}])
def test_a_returned_metric_that_is_invalid_fails_the_trial_with_all_reports(value: Any) -> None:
    """The study's own metric was never reported, and is no finite number here."""

    def train(trial: TrialContext) -> Any:
        while trial.report({"train": 1.0} if "loss" in value else 1.0):
            pass
        return value

    events = to_the_end(Worker(train, "cpu"), job(budget=2))
    assert [step for step, _ in reports(events)] == [1, 2]
    (outcome,) = outcomes(events)
    assert outcome.error.startswith("metric '")
    assert logs(events) == f"{outcome.error}\n"


def test_stop_iteration_is_a_failure_and_not_an_end() -> None:
    def broken(trial: TrialContext) -> None:
        trial.report(1.0)
        next(iter(()))

    worker = Worker(broken, "cpu")
    worker.advance(job(), stop=False)
    assert outcomes(worker.advance(None, stop=False)) == [Failed("RuntimeError: the objective raised StopIteration")]


def test_a_value_that_is_no_number_stops_the_function() -> None:
    answers = []

    def train(trial: TrialContext) -> None:
        answers.append(trial.report({"loss": float("nan")}))

    events = Worker(train, "cpu").advance(job(), stop=False)
    assert outcomes(events) == [Failed("metric 'loss' is nan at step 1")]
    assert answers == [False]


def test_a_generator_must_yield() -> None:
    def train(trial: TrialContext) -> Iterator[float]:
        trial.report(1.0)
        yield 1.0

    for objective in (train, lambda trial: train(trial)):
        (failed,) = outcomes(Worker(objective, "cpu").advance(job(), stop=False))
        assert failed.error == (
            "SpecError: trial.report is for an objective that is a plain function; a generator yields its metrics "
            f"(test_push.py, line {train.__code__.co_firstlineno + 1})"
        )


def test_a_generator_has_no_thread_of_its_own_also_when_a_function_makes_it() -> None:
    threads, closed = [], []

    def train(trial: TrialContext) -> Iterator[float]:
        try:
            while True:
                threads.append(threading.current_thread())
                yield 1.0
        finally:
            closed.append(trial.number)

    for objective in (train, lambda trial: train(trial)):
        worker = Worker(objective, "cpu")
        worker.advance(job(), stop=False)
        worker.advance(None, stop=True)
    assert set(threads) == {threading.current_thread()}
    assert closed == [0, 0]


def test_seeds_threads_gradients_and_device_are_as_in_the_worker_s_thread() -> None:
    def drawn(trial: TrialContext) -> dict[str, float]:
        return {
            "a": random.random(),
            "b": np.random.rand(),
            "c": torch.rand((), device="cpu").item(),
            "threads": torch.get_num_threads(),
            "gradients": int(torch.is_grad_enabled()),
            "meta": int(torch.get_default_device().type == "meta"),
        }

    def generator(trial: TrialContext) -> Iterator[dict[str, float]]:
        yield drawn(trial)

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    torch.set_default_device("meta")
    try:
        with torch.no_grad():
            pulled = reports(Worker(generator, "cpu").advance(job(), stop=False))
            pushed = reports(Worker(drawn, "cpu").advance(job(), stop=False))
    finally:
        torch.set_num_threads(before)
        torch.set_default_device(None)
    assert pushed == pulled
    assert {name: pushed[0][1][name] for name in ("threads", "gradients", "meta")} == {
        "threads": before + 1,
        "gradients": 0,
        "meta": 1,
    }


def test_a_checkpoint_goes_with_the_report_that_follows(tmp_path: Path) -> None:
    def train(trial: TrialContext) -> None:
        for step in range(trial.restored or 0, 3):
            trial.save(step + 1)
            trial.report(float(step))

    checkpoints = Checkpoints(tmp_path, 0.0)
    worker = Worker(train, "cpu", checkpoints=checkpoints)
    (first,) = worker.advance(job(), stop=False)
    assert isinstance(first, Reported)
    assert checkpoints.read(first.report.checkpoint) == 1
    worker.advance(None, stop=True)
    again = worker.advance(job(from_step=1, checkpoint=first.report.checkpoint), stop=False)
    assert reports(again) == [(2, {"loss": 1.0})]


class Third(Pruner):
    """Stops odd trials at their third report."""

    def judge(self, trial: Any, history: Any) -> Any:
        return Stop("third") if trial.step == 3 and trial.number % 2 else Continue()


@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_study_of_a_function_that_reports(tmp_path: Path, request: Any, executor: str) -> None:
    if executor == "ray":
        request.getfixturevalue("local_ray")

    def train(trial: TrialContext) -> None:
        for epoch in range(trial.budget or 0):
            if not trial.report(trial.config["x"] + epoch):
                print("stopped after", epoch + 1)
                return

    history = study(train, budget=9, pruner=Third(), executor=executor).run(tmp_path / "s.db", quiet=True)
    assert [(trial.state, trial.step) for trial in history.trials] == [("finished", 9), ("pruned", 3)] * 2
    assert history.value(history.trials[0]) == history.trials[0].config["x"] + 8
    with Store.open(tmp_path / "s.db") as store:
        logs = {event.trial: event.text for event in store.events() if isinstance(event, Logged)}
    assert (logs[0], logs[1]) == ("stopped after 9\n", "stopped after 3\n")


def test_a_function_that_returns_a_float_is_enough(tmp_path: Path) -> None:
    history = study(lambda trial: trial.config["x"]).run(tmp_path / "s.db", quiet=True)
    assert [history.value(trial) for trial in history.trials] == [trial.config["x"] for trial in history.trials]
    assert archsearch.resume(tmp_path / "s.db", trials=5, quiet=True).counts() == {"finished": 5}


class WithData(Objective):
    """An objective with data of its own, which reports."""

    space = Space(x=Float(0, 1))

    def prepare(self) -> float:
        return 10.0

    def attach(self, shared: float) -> None:
        self.offset = shared

    def __call__(self, trial: TrialContext) -> None:
        trial.report(self.offset + trial.config["x"])


def test_an_objective_of_one_s_own_needs_no_more_than_its_call(tmp_path: Path) -> None:
    history = study(WithData(), space=None).run(tmp_path / "s.db", quiet=True)
    assert all(10 <= history.value(trial) <= 11 for trial in history.trials)
    with pytest.raises(TypeError, match="__call__"):
        type("Empty", (Objective,), {})()


def test_a_slip_in_a_name_is_found_at_the_declaration() -> None:
    wrong = type("Mine", (WithData,), {"metric_of": lambda self, shared: ["loss"]})
    with pytest.raises(SpecError, match=r"`metric_of` of the Study objective Mine; did you mean `metrics_of`\?"):
        study(wrong(), space=None)
    wrong = type("Mine", (WithData,), {"optional_metric": ("a",)})
    with pytest.raises(SpecError, match=r"did you mean `optional_metrics`\?"):
        study(wrong(), space=None)


def test_an_objective_that_does_not_derive_from_the_base_is_told_so() -> None:
    wrong = type("Mine", (), {"__call__": lambda self, trial: 1.0, "prepare": lambda self: 1})
    with pytest.raises(
        SpecError, match=r"Mine has `prepare` but is not an Objective, .*; write class Mine\(Objective\)"
    ):
        study(wrong())


def test_a_study_compares_the_objective_as_it_was_given() -> None:
    from dataclasses import replace

    def train(trial: TrialContext) -> float:
        return 1.0

    made = study(train)
    assert made.objective is train
    assert replace(made, seed=0) == made
    assert replace(made, shared=dict).trainable.prepare() == {}
