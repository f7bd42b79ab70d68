"""An executor of the user's own, passed as an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import archsearch
from archsearch import Executor, Float, Space, SpecError, Study
from archsearch.search.executors.worker import Worker
from archsearch.search.protocols import Job
from archsearch.studies.records import Event


def train(trial: Any) -> float:
    return float(trial.config["x"])


class OneByOne(Executor):
    """Runs one trial at a time, and counts them."""

    capacity = 1

    def __init__(self) -> None:
        self.worker, self.queued, self.jobs, self.closed = Worker(train, "cpu"), None, 0, 0

    def submit(self, job: Job) -> str:
        self.queued, self.jobs = job, self.jobs + 1
        return "mine"

    def wait(self, timeout_s: float | None) -> list[Event]:
        job, self.queued = self.queued, None
        return self.worker.advance(job, stop=False)

    def stop(self, trial: int) -> None:
        """Nothing is pruned here."""

    def close(self) -> None:
        self.closed += 1

    def __reduce__(self) -> Any:
        raise TypeError("it holds a connection")


def study(executor: Any, **settings: Any) -> Study:
    return Study(
        **{"name": "own", "objective": train, "space": Space(x=Float(0, 1)), "minimize": "loss", "trials": 3}
        | settings,
        executor=executor,
    )


def test_it_runs_the_trials_and_is_closed_and_recorded_by_the_name_of_its_class(tmp_path: Path) -> None:
    mine = OneByOne()
    history = study(mine).run(tmp_path / "s.db", quiet=True)
    assert (mine.jobs, mine.closed, history.counts()) == (3, 1, {"finished": 3})
    assert history.session_started is not None
    assert history.session_started.executor == "OneByOne"
    again = study(OneByOne(), trials=5).run(tmp_path / "s.db", resume=True, quiet=True)
    assert again.counts() == {"finished": 5}


def test_a_resume_without_it_says_what_to_do(tmp_path: Path) -> None:
    study(OneByOne()).run(tmp_path / "s.db", quiet=True)
    with pytest.raises(SpecError, match=r"ran in OneByOne, .*Study\.run\(resume=True\), or choose another"):
        archsearch.resume(tmp_path / "s.db", trials=4, quiet=True)
    history = archsearch.resume(tmp_path / "s.db", trials=4, executor="inline", quiet=True)
    assert history.counts() == {"finished": 4}


def test_what_is_no_executor_is_refused() -> None:
    class Endless(OneByOne):
        capacity = 0

    with pytest.raises(SpecError, match="the capacity of the executor Endless must be a whole number of at least 1"):
        study(Endless())
    with pytest.raises(SpecError, match="unknown executor 'dask'"):
        study("dask")
    with pytest.raises(SpecError, match="executor must be a name or an Executor, got the class OneByOne"):
        study(OneByOne)
