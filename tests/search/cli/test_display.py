"""What a person sees while a study runs."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from archsearch.search.cli.display import Lines, Panel, progress
from archsearch.studies.goals import Goal, OutcomeConstraint
from archsearch.studies.history import History
from archsearch.studies.records import (
    Ended,
    Event,
    Failed,
    Finished,
    Lost,
    Proposal,
    Proposed,
    Report,
    Reported,
    RunCompleted,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria


def test_plain_lines_tell_each_end_and_each_lost_worker(session: Any) -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200), SessionStarted(0.0, StoppingCriteria(trials=3), 1, "test", "host", 1))
    history = session.run(trials=3)
    for batch in session.batches:
        lines.show(history, batch)
    lines.show(history, [Lost(0.0, 1, "worker-0 died: Segmentation fault", "worker")])
    text = out.getvalue().splitlines()
    assert len(text) == 4
    assert text[0].startswith("3/3  trial 0 finished loss ")
    assert "best loss" in text[0]
    assert text[3] == "trial 1 lost its worker: worker-0 died: Segmentation fault"


def test_one_of_a_kind_is_in_the_singular(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def once(trial: Any) -> dict[str, float]:
        return {"loss": 0.0}

    history = session.run(once, trials=1)
    started = SessionStarted(0.0, StoppingCriteria(trials=1), 1, "ray", "host", 1)
    out = io.StringIO()
    Lines(Console(file=out, width=200), started).show(history, [Ended(0.0, 0, Finished())])
    assert " after 1 step  " in out.getvalue()
    progress(quiet=False)(Path("s.db"), history, started)
    assert "small: 1 trial on 1 Ray worker, 1 already done; " in capsys.readouterr().err


def test_markup_in_a_study_is_text(session: Any) -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200), SessionStarted(0.0, StoppingCriteria(trials=3), 1, "test", "host", 1))

    def fails(trial: Any) -> dict[str, float]:
        raise ValueError("[red]not[/] a [bold]style[/]")

    history = session.run(fails, trials=1)
    for batch in session.batches:
        lines.show(history, batch)
    assert "[red]not[/] a [bold]style[/]" in out.getvalue()


def test_the_panel_draws_progress_best_and_what_runs(session: Any) -> None:
    session.run(trials=3, capacity=2)
    cut = next(i for i, batch in enumerate(session.batches) if any(type(e).__name__ == "Ended" for e in batch))
    session.batches[:] = session.batches[: cut + 2]  # as it is in the middle of the study
    history = session.history
    assert history.open_trials("running")
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    panel = Panel(
        console, history, SessionStarted(0.0, StoppingCriteria(trials=3, timeout_s=60.0), 2, "test", "host", 1)
    )
    panel.show(history, [])
    console.print(panel._draw())
    text = out.getvalue()
    assert f"{history.ended}/3 trials ({history.ended} finished)" in text
    assert "left" in text
    assert "best loss" in text
    assert "step " in text
    assert "lr=" in text


@pytest.fixture
def two_goals(record: StudyRecord) -> History:
    """A trial with a repeat; one that breaks the constraint; one that has none of the values yet."""
    study = replace(
        record,
        goals=(Goal("accuracy", maximize=True), Goal("size", maximize=False)),
        outcome_constraints=(OutcomeConstraint.from_text("size < 100"),),
        repeats=2,
    )
    events: list[Event] = []
    for number, runs in enumerate([[0.5, 0.75], [0.9], []]):
        size = 10.0 if number == 0 else 1e6
        events.append(Proposed(0, number, Proposal({"lr": 0.1}, 3), 0))
        for attempt, accuracy in enumerate(runs, start=1):
            events += [RunCompleted(0, number)] if attempt > 1 else []
            report = Report(3, {"accuracy": accuracy, "size": size}, 1.0)
            events += [Started(0, number, attempt, "w0"), Reported(0, number, report)]
        events.append(Ended(0, number, Finished() if runs else Failed("ValueError: no")))
    return History.from_events(study, events)


def test_lines_of_several_goals_a_constraint_and_repeats(two_goals: History) -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=200), SessionStarted(0.0, StoppingCriteria(trials=3), 1, "test", "host", 1))
    lines.show(two_goals, [Ended(0, number, Finished()) for number in range(3)])
    best = "front of 1; best accuracy 0.625 (trial 0)"
    assert out.getvalue().splitlines() == [
        f"3/3  trial 0 finished accuracy 0.625, size 10 (mean of 2 runs) after 3 steps  {best}",
        f"3/3  trial 1 finished accuracy 0.9, size 1000000 after 3 steps, violates size < 100  {best}",
        f"3/3  trial 2 failed after 0 steps (ValueError: no)  {best}",
    ]


def test_the_panel_tells_which_run_goes_on(two_goals: History) -> None:
    events = [
        *(Proposed(0, 3, Proposal({"lr": 0.1}, 3), 0), Started(0, 3, 1, "w0")),
        *(Reported(0, 3, Report(3, {"accuracy": 0.5, "size": 1.0}, 1.0)), RunCompleted(0, 3), Started(0, 3, 2, "w0")),
        Reported(0, 3, Report(1, {"accuracy": 0.1, "size": 1.0}, 1.0)),
    ]
    history = two_goals.apply_all(events)
    out = io.StringIO()
    console = Console(file=out, width=120)
    panel = Panel(console, history, SessionStarted(0.0, StoppingCriteria(trials=4), 1, "test", "host", 1))
    console.print(panel._draw())
    assert "run 2, step 1/3" in out.getvalue()


def test_all_goals_and_constraints_are_announced(two_goals: History, capsys: pytest.CaptureFixture[str]) -> None:
    progress(quiet=False)(
        Path("s.db"), two_goals, SessionStarted(0.0, StoppingCriteria(trials=3), 1, "inline", "host", 1)
    )
    assert "; maximize accuracy, minimize size subject to size < 100; stored in s.db" in capsys.readouterr().err


def test_quiet_shows_nothing(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    history = session.run(trials=1)
    with progress(quiet=True)(
        Path("s.db"), history, SessionStarted(0.0, StoppingCriteria(trials=3), 1, "test", "host", 1)
    ) as shown:
        shown.show(history, session.batches[0])
    assert capsys.readouterr() == ("", "")


SPEC = """
from archsearch import Float, Random, Space, Study

def train(trial):
    print("this belongs to the trial")
    for step in range(5):
        yield {"loss": trial.config["x"]}

study = Study(name="tty", space=Space(x=Float(0, 1)), objective=train, minimize="loss", strategy=Random(), trials=30,
              executor="inline")
"""


def test_on_a_terminal_the_panel_leaves_only_the_result(tmp_path: Path, command_env: dict[str, str]) -> None:
    (tmp_path / "tty.py").write_text(SPEC)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "archsearch", "run", "tty.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**command_env, "TERM": "xterm-256color"}, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    output = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not chunk:
            break
        output += chunk
    assert process.wait() == 0
    os.close(master)
    text = output.decode()
    assert "\x1b[" in text  # it was redrawn in place
    assert text.count("every trial is done; 30 finished") == 1
    assert "this belongs to the trial" not in text
