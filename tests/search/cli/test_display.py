"""What a person sees while a study runs."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
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
    Extended,
    Failed,
    Finished,
    Lost,
    Paused,
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


def lines_of(study: StudyRecord, events: Sequence[Event], trials: int = 3) -> list[str]:
    """The lines that show these events as one batch of a new study."""
    out = io.StringIO()
    started = SessionStarted(0.0, StoppingCriteria(trials=trials), 1, "test", "host", 1)
    history = History(study)
    Lines(Console(file=out, width=200), history, started).show(history.apply_all(events), events)
    return out.getvalue().splitlines()


def ended(number: int, loss: float) -> list[Event]:
    report = Report(1, {"loss": loss}, 1.0)
    return [
        *(Proposed(0, number, Proposal({"lr": 0.1}, 1), 0), Started(0, number, 1, "w0")),
        *(Reported(0, number, report), Ended(0, number, Finished())),
    ]


def test_plain_lines_tell_each_end_and_each_lost_worker(session: Any) -> None:
    session.run(trials=3)
    text = lines_of(session.history.study, session.events)
    assert [line.split(" finished")[0] for line in text] == ["1/3  trial 0", "2/3  trial 1", "3/3  trial 2"]
    assert all("best loss" in line for line in text)
    lost = [*ended(0, 1.0)[:2], Lost(0.0, 0, "worker-0 died: Segmentation fault", "worker")]
    assert lines_of(session.history.study, lost) == ["trial 0 lost its worker: worker-0 died: Segmentation fault"]


def test_each_line_counts_up_to_its_own_trial(record: StudyRecord) -> None:
    """Also for several trials that end in one batch: no number is skipped, and no best trial is named in advance."""
    assert lines_of(record, [*ended(0, 0.5), *ended(1, 0.25), *ended(2, 0.75)]) == [
        "1/3  trial 0 finished loss 0.5 after 1 step  best loss 0.5 (trial 0)",
        "2/3  trial 1 finished loss 0.25 after 1 step  best loss 0.25 (trial 1)",
        "3/3  trial 2 finished loss 0.75 after 1 step  best loss 0.25 (trial 1)",
    ]


def test_a_trial_that_pauses_has_a_line_unless_it_is_continued_at_once(record: StudyRecord) -> None:
    paused = [*ended(0, 0.5)[:3], Paused(0, 0)]
    assert lines_of(record, paused) == ["1/3  trial 0 paused loss 0.5 after 1 step"]
    assert lines_of(record, [*paused, Extended(0, 0, 3, "best"), Started(0, 0, 2, "w0", 1)]) == []


def test_one_of_a_kind_is_in_the_singular(session: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def once(trial: Any) -> dict[str, float]:
        return {"loss": 0.0}

    history = session.run(once, trials=1)
    started = SessionStarted(0.0, StoppingCriteria(trials=1), 1, "ray", "host", 1)
    assert " after 1 step  " in lines_of(history.study, session.events)[0]
    progress(quiet=False)(Path("s.db"), history, started)
    assert "small: 1 trial on 1 Ray worker, 1 already done; " in capsys.readouterr().err


def test_markup_in_a_study_is_text(session: Any) -> None:
    def fails(trial: Any) -> dict[str, float]:
        raise ValueError("[red]not[/] a [bold]style[/]")

    history = session.run(fails, trials=1)
    text = lines_of(history.study, session.events)
    assert "[red]not[/] a [bold]style[/]" in text[0]


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


Events = tuple[StudyRecord, list[Event]]


@pytest.fixture
def events_of_two_goals(record: StudyRecord) -> Events:
    """A trial with a repeat; one that violates the constraint; one that has none of the values yet."""
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
    return study, events


@pytest.fixture
def two_goals(events_of_two_goals: Events) -> History:
    return History.from_events(*events_of_two_goals)


def test_lines_of_several_goals_a_constraint_and_repeats(events_of_two_goals: Events) -> None:
    best = "front of 1; best accuracy 0.625 (trial 0)"
    assert lines_of(*events_of_two_goals) == [
        f"1/3  trial 0 finished accuracy 0.625, size 10 (mean of 2 runs) after 3 steps  {best}",
        f"2/3  trial 1 finished accuracy 0.9, size 1000000 after 3 steps, violates size < 100  {best}",
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
