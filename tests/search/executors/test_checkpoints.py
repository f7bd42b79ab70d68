"""Checkpoints: a trial goes on where its last saved state was, exactly as though it had never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import archsearch
from archsearch import MLP, Float, Recipe, Space, SpecError, Study, StudyFailed, Supervised, digits
from archsearch.search.executors.checkpoints import Checkpoints
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job, TrialContext
from archsearch.studies.history import History
from archsearch.studies.records import Ended, Failed, Logged, Lost, Reported, Started
from archsearch.studies.store import Store


def counting(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Counts from its checkpoint on; prints each step that it really does."""
    done = trial.restored or 0
    while done < (trial.budget or 0):
        done += 1
        print("step", done)
        trial.save(done)
        yield {"loss": trial.config["x"] + 1 / done}


def dying(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Its worker is killed at once after the third report, in its first attempt."""
    for metrics in counting(trial):
        yield metrics
        if trial.attempt == 1 and metrics["loss"] == trial.config["x"] + 1 / 3:
            os.kill(os.getpid(), signal.SIGKILL)


def study(objective: Any = counting, **settings: Any) -> Study:
    given = {
        "name": "kept",
        "space": Space(x=Float(0, 1)),
        "minimize": "loss",
        "trials": 3,
        "budget": 5,
        "executor": "inline",
        "checkpoint_every": 0,
    }
    return Study(objective=objective, **{**given, **settings})


def worker(objective: Any, folder: Path, every_s: float = 0.0) -> Worker:
    return Worker(objective, "cpu", checkpoints=Checkpoints(folder, every_s))


def job(**more: Any) -> Job:
    return Job(**{"number": 4, "attempt": 1, "config": {"x": 0.5}, "budget": 5, "seed": 1, **more})


def to_the_end(work: Worker, first: Job) -> list[Any]:
    events = work.advance(first, stop=False)
    while not isinstance(events[-1], Ended | Lost):
        events += work.advance(None, stop=False)
    return events


def reports(events: list[Any]) -> list[Any]:
    return [event.report for event in events if isinstance(event, Reported)]


def printed(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Logged))


def test_an_attempt_goes_on_after_the_step_of_its_checkpoint(tmp_path: Path) -> None:
    first = worker(counting, tmp_path)
    events = first.advance(job(), stop=False) + first.advance(None, stop=False) + first.advance(None, stop=False)
    *_, last = reports(events)
    assert last.checkpoint == "trial-4/attempt-1-step-3.pt"
    assert (tmp_path / last.checkpoint).is_file()

    again = job(attempt=2, from_step=3, checkpoint=last.checkpoint, worked_s=100.0)
    events = to_the_end(worker(counting, tmp_path), again)
    assert printed(events) == "step 4\nstep 5\n"
    assert [report.step for report in reports(events)] == [4, 5]
    assert [report.metrics["loss"] for report in reports(events)] == [0.5 + 1 / 4, 0.5 + 1 / 5]
    assert all(report.seconds > 100 for report in reports(events))  # with the work of the steps before
    assert reports(events)[-1].checkpoint == ""  # nothing goes on from the end of the budget


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_killed_worker_costs_the_steps_after_the_last_checkpoint_alone(tmp_path: Path) -> None:
    history = study(dying, executor="ray", workers=2, trials=2).run(tmp_path / "s.db", quiet=True)
    calm = study(executor="ray", workers=2, trials=2).run(tmp_path / "calm.db", quiet=True)
    assert history.counts() == {"finished": 2}
    with Store.open(tmp_path / "s.db") as store:
        events = list(store.events())
        for trial in history.trials:
            assert trial.attempt == 2
            assert [report.metrics for report in trial.reports] == [
                r.metrics for r in calm.trials[trial.number].reports
            ]
            starts = [event.from_step for event in events if isinstance(event, Started) and event.trial == trial.number]
            assert starts == [0, 3]
            assert [line for line in store.log(trial.number).splitlines() if line.startswith("step")] == [
                f"step {k}" for k in range(1, 6)
            ]
    assert not list(tmp_path.glob("*.files"))  # nothing goes on from ended trials


SPEC = '''
"""A trial whose driver (and inline worker) is killed once at its third report."""
import os, signal
from pathlib import Path
from archsearch import CNN, Choice, Float, Objective, Recipe, Study, Supervised, digits

recipe = Recipe(
    optimizer="sgd", nesterov=True, learning_rate=Float(0.01, 0.1), schedule="one_cycle", batch_size=64, clip_norm=1.0,
    averaging="ema", ema_decay=0.9, shift=1, mixup=0.2, local_updates="random", block_fraction=0.5, patience=4,
)
supervised = Supervised(
    digits(), CNN(blocks=1, channels=4, norm="batch", channel_dropout=0.1, dropout=Float(0.1, 0.3)), recipe
)

class Killed(Objective):
    space, needs_budget = supervised.space, True
    prepare, attach = supervised.prepare, supervised.attach
    def __call__(self, trial):
        for step, metrics in enumerate(supervised(trial), start=1):
            yield metrics
            if trial.number == 1 and trial.attempt == 1 and step == 3 and "KILL" in os.environ:
                os.kill(os.getpid(), signal.SIGKILL)

study = Study(name="s", objective=Killed(), maximize="val_accuracy", budget=6, trials=2, executor="inline",
              checkpoint_every=0, strategy="random")
'''


def test_a_resumed_training_equals_one_that_never_stopped_bit_for_bit(tmp_path: Path) -> None:
    """In processes of their own, with every technique that has a state."""
    (tmp_path / "spec.py").write_text(SPEC, encoding="utf-8")

    def command(*words: str, kill: bool = False) -> int:
        environment = {**os.environ, **({"KILL": "1"} if kill else {})}
        done = subprocess.run(
            [sys.executable, "-m", "archsearch", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=False,
        )
        return done.returncode

    assert command("run", "spec.py", "--store", "calm.db") == 0
    assert command("run", "spec.py", "--store", "killed.db", kill=True) == -signal.SIGKILL
    with Store.open(tmp_path / "killed.db") as store:
        (left,) = store.history().open_trials("running")
        assert left.resumable is not None
        assert left.resumable.step == 3
        assert (tmp_path / "killed.db.files" / left.resumable.checkpoint).is_file()
    assert command("resume", "killed.db") == 0
    calm, killed = (history_of(tmp_path / name) for name in ("calm.db", "killed.db"))
    assert killed.trials[1].attempt == 2
    assert killed.trials[1].from_step == 3
    for one, other in zip(calm.trials, killed.trials, strict=True):
        assert [report.metrics for report in one.reports] == [report.metrics for report in other.reports]
        assert len(one.reports) == 6
    assert not (tmp_path / "killed.db.files").exists()


def history_of(path: Path) -> History:
    with Store.open(path) as store:
        return store.history()


def interrupted(trial: TrialContext) -> Iterator[dict[str, float]]:
    """Stops its session, as Ctrl-C would, after the third report of the first attempt."""
    for metrics in counting(trial):
        yield metrics
        if trial.attempt == 1 and metrics["loss"] == trial.config["x"] + 1 / 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("harm", ["deleted", "cut off"])
def test_a_trial_whose_checkpoint_is_lost_begins_anew_and_says_so(tmp_path: Path, harm: str) -> None:
    store = tmp_path / "s.db"
    with pytest.raises(KeyboardInterrupt):
        study(interrupted, trials=1, retries=0).run(store, quiet=True)
    (file,) = (tmp_path / "s.db.files").glob("*/*")
    if harm == "deleted":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-20])
    history = archsearch.resume(store, quiet=True)
    assert history.counts() == {"finished": 1}
    with Store.open(store) as opened:
        events = list(opened.events())
    assert [event.from_step for event in events if isinstance(event, Started)] == [0, 3, 0]
    lost = [event for event in events if isinstance(event, Lost)]
    assert [event.blame for event in lost] == ["driver", "checkpoint"]
    assert lost[1].reason.startswith("its checkpoint trial-0/attempt-1-step-3.pt cannot be read: ")
    assert history.trials[0].workers_lost == 0  # which would have cost it a retry


def test_only_what_an_open_trial_goes_on_from_stays_on_the_disk(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    seen: list[list[str]] = []

    def looking(trial: TrialContext) -> Iterator[dict[str, float]]:
        for metrics in interrupted(trial):
            seen.append(sorted(file.name for file in (tmp_path / "s.db.files").rglob("*.pt")))
            yield metrics

    with pytest.raises(KeyboardInterrupt):
        study(looking, trials=1).run(store, quiet=True)
    # The newer one lies there before its report, and until then the older one counts.
    first = [[f"attempt-1-step-{step}.pt" for step in (done - 1, done) if step > 0] for done in (1, 2, 3)]
    assert seen[:3] == first
    leftover = tmp_path / "s.db.files" / "trial-7" / "attempt-1-step-1.pt"  # of a worker that outlived its driver
    leftover.parent.mkdir()
    leftover.write_bytes(b"")
    archsearch.resume(store, quiet=True)
    assert not (tmp_path / "s.db.files").exists()


def test_a_study_that_keeps_no_checkpoints_still_goes_on_from_old_ones(tmp_path: Path) -> None:
    saving = worker(counting, tmp_path)
    (report,) = reports(saving.advance(job(), stop=False))
    again = job(attempt=2, from_step=1, checkpoint=report.checkpoint)
    events = to_the_end(worker(counting, tmp_path, every_s=float("inf")), again)
    assert printed(events).startswith("step 2")
    assert [report.checkpoint for report in reports(events)] == [""] * 4


def test_a_state_is_kept_only_when_time_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("archsearch.search.executors.checkpoints.time.monotonic", lambda: clock[0])
    due: list[bool] = []

    def slow(trial: TrialContext) -> Iterator[dict[str, float]]:
        for metrics in counting(trial):
            clock[0] += 10.0
            due.append(trial.save_due)
            yield metrics

    events = to_the_end(worker(slow, tmp_path, every_s=25.0), job(budget=9))
    # At 0, 10, 20 … s; after 30 s the next is due at 55 s.
    assert [report.step for report in reports(events) if report.checkpoint] == [4, 7]
    assert due == [False, False, True, False, False, True, False, False, False]


def test_a_state_without_its_report_goes_with_the_trial(tmp_path: Path) -> None:
    def failing(trial: TrialContext) -> Iterator[dict[str, float]]:
        trial.save("never reported")
        raise ValueError("bad luck")
        yield {"loss": 1.0}

    with pytest.raises(StudyFailed, match="no trial has finished"):
        study(failing, trials=2).run(tmp_path / "s.db", quiet=True)
    assert not (tmp_path / "s.db.files").exists()


def test_a_training_that_has_diverged_saves_nothing(tmp_path: Path) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=Float(1e29, 1e30), batch_size=64)
    supervised = Supervised(digits(), MLP(layers=1, units=8), recipe)
    supervised.attach(supervised.prepare())
    config = supervised.space.sample(np.random.default_rng(0))
    events = to_the_end(worker(supervised, tmp_path), job(config=config))
    assert isinstance(events[-1].outcome, Failed)
    assert not list(tmp_path.iterdir())


def test_a_state_that_does_not_pickle_fails_its_trial_with_what_to_save(tmp_path: Path) -> None:
    def wrong(trial: TrialContext) -> Iterator[dict[str, float]]:
        trial.save(lambda: 1)
        yield {"loss": 1.0}

    (ended,) = [event for event in worker(wrong, tmp_path).advance(job(), stop=False) if isinstance(event, Ended)]
    assert isinstance(ended.outcome, Failed)
    assert "trial.save got a state that cannot be pickled" in ended.outcome.error
    assert "; save tensors, state_dict()s and plain values (test_checkpoints.py, line " in ended.outcome.error
    assert not list(tmp_path.rglob("*.*"))  # no half-written file


def test_a_full_disk_costs_the_checkpoint_and_not_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Checkpoints, name: str, state: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "write", full)
    events = to_the_end(worker(counting, tmp_path), job())
    assert "cannot save the checkpoint of step 2: [Errno 28] No space left on device" in printed(events)
    assert [report.checkpoint for report in reports(events)] == [""] * 5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """Torch's writer must not hide it."""
    folder = tmp_path / "trial-1"
    folder.mkdir()
    (folder / "attempt-1-step-1.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        Checkpoints(tmp_path, 0.0).write("trial-1/attempt-1-step-1.pt", b"x" * 10**6)


def test_outside_a_study_nothing_is_kept() -> None:
    trial = TrialContext(0, 1, {"x": 0.5}, 3, 0)
    assert not trial.save_due
    assert [*counting(trial)][-1] == {"loss": 0.5 + 1 / 3}


@pytest.mark.parametrize(("given", "seconds"), [("1m", 60.0), (0, 0.0), (1.5, 1.5), (None, float("inf"))])
def test_how_often_is_a_duration(given: Any, seconds: float) -> None:
    assert study(checkpoint_every=given).checkpoint_every_s == seconds


@pytest.mark.parametrize("given", ["often", -1, True, False])
def test_what_is_no_duration_is_refused(given: Any) -> None:
    with pytest.raises(SpecError, match=r"checkpoint_every (must be|has no unit)"):
        study(checkpoint_every=given)
