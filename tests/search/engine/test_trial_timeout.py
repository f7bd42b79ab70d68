"""A trial that takes too long fails, and the study goes on."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archsearch import Grid, Int, Space, SpecError, Study
from archsearch.studies.records import Ended


def hang_on_the_first(trial: Any) -> Any:
    print("began", flush=True)
    yield {"loss": 1.0}
    while trial.number == 0:
        time.sleep(0.05)
    yield {"loss": 0.5}


def study(**settings: Any) -> Study:
    given = {"name": "s", "space": Space(x=Int(1, 3)), "minimize": "loss", "trials": 3, "strategy": Grid(), "budget": 2}
    return Study(**{"objective": hang_on_the_first, **given, **settings})


def test_a_trial_that_hangs_on_ray_fails_and_its_worker_is_replaced(tmp_path: Path, local_ray: None) -> None:
    history = study(workers=1, trial_timeout="5s").run(tmp_path / "s.db", quiet=True)
    assert [trial.state for trial in history.trials] == ["failed", "finished", "finished"]
    assert history.trials[0].reason == "it ran for longer than trial_timeout, 5s"
    assert len(history.trials[0].reports) == 1


def test_inline_it_is_stopped_at_its_next_report(session: Any) -> None:
    ticks = itertools.count()

    def steps(trial: Any) -> Any:
        for step in range(100 if trial.number == 0 else 2):
            yield {"loss": 1.0 / (step + 1)}

    session.record = replace(study().record(), budget=None)
    history = session.run(steps, clock=lambda: float(next(ticks)), trials=3, strategy=Grid(), trial_timeout_s=40.0)
    assert [trial.state for trial in history.trials] == ["failed", "finished", "finished"]
    assert 2 < len(history.trials[0].reports) < 100
    assert sum(isinstance(event, Ended) for event in session.events) == 3


@pytest.mark.parametrize("wrong", ["30", 0, "soon", True])
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    with pytest.raises(SpecError, match="trial_timeout "):
        study(trial_timeout=wrong)
