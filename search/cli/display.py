"""Shows the progress of a study: a live panel on a terminal, plain lines elsewhere, nothing if quiet.

All of it is written to stderr, since another program may read the result from stdout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archsearch.search.protocols import ShowProgress, Silent
from archsearch.studies.formatting import count, duration, number, one_line
from archsearch.studies.history import Fold, History
from archsearch.studies.records import Ended, Event, Lost, Paused, SessionStarted, Trial

RUNNING_SHOWN = 8  # rows; of further running trials, only the number is shown


def progress(*, quiet: bool) -> ShowProgress:
    """Choose the progress display.

    Args:
        quiet: Show nothing.

    Returns:
        A function that creates the display; see `archsearch.search.protocols.ShowProgress`.
    """
    return _silent if quiet else _on_terminal


def _silent(store: Path, history: History, session: SessionStarted) -> Silent:
    return Silent()


def _on_terminal(store: Path, history: History, session: SessionStarted) -> Panel | Lines:
    # Pass the real stderr, since sys.stderr is replaced while the output of an inline trial is captured.
    console = Console(file=sys.stderr, highlight=False)
    _announce(console, store, history, session)
    return Panel(console, history, session) if console.is_terminal else Lines(console, history, session)


class Lines(Silent):
    """Prints a line for each trial that ends, and for each that pauses and is not continued at once.

    A line shows the number of trials and the best one as of this trial, even if others ended in the same batch.
    """

    def __init__(self, console: Console, history: History, session: SessionStarted) -> None:
        self._console = console
        self._so_far = Fold(history)
        self._session = session

    def note(self, text: str) -> None:
        self._line(text)

    def warn(self, text: str) -> None:
        self._line(f"warning: {text}")

    def show(self, history: History, events: Sequence[Event]) -> None:
        for event in events:
            self._so_far.add(event)
            if isinstance(event, Ended | Paused) and history.trials[event.trial].state != "running":
                self._settled(self._so_far.history(), event.trial)
            elif isinstance(event, Lost) and event.blame == "worker":
                self._line(f"trial {event.trial} lost its worker: {event.reason}")
            elif isinstance(event, Lost) and event.blame == "checkpoint":
                self._line(f"trial {event.trial} starts from the beginning: {event.reason}")

    def _settled(self, history: History, trial: int) -> None:
        of = f"/{self._session.stopping.trials}" if self._session.stopping.trials else ""
        self._line(f"{history.settled}{of}  {_outcome(history, history.trials[trial])}  {_best(history)}".rstrip())

    def _line(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


class Panel:
    """Shows the progress, the best trial so far and the running trials, and redraws them in place."""

    def __init__(self, console: Console, history: History, session: SessionStarted) -> None:
        self._history = history
        self._session = session
        self._began = time.monotonic()
        self._working_since: float | None = None  # the time to start the workers does not count for the pace
        self._settled_before = history.settled
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        self._live.console.print(f"warning: {text}", markup=False, soft_wrap=True)

    def show(self, history: History, events: Sequence[Event]) -> None:
        self._history = history
        if self._working_since is None:
            self._working_since = time.monotonic()

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def _draw(self) -> RenderableType:
        history = self._history
        running = history.open_trials("running")
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=self._session.stopping.trials, completed=history.settled, width=30),
            Text(self._progress(history)),
            Text(self._time()),
        )
        rows = Table.grid(padding=(0, 2))
        for trial in running[:RUNNING_SHOWN]:
            of = f"/{trial.proposal.budget}" if trial.proposal.budget else ""
            value = history.value(trial)
            again = f"run {len(trial.repeats) + 1}, " if trial.repeats else ""
            rows.add_row(
                Text(f"trial {trial.number}", style="cyan"),
                Text(f"{again}step {trial.run[-1].step if trial.run else 0}{of}"),
                Text("" if value is None else number(value)),
                Text(one_line(trial.config), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        if len(running) > RUNNING_SHOWN:
            rows.add_row(Text(f"and {len(running) - RUNNING_SHOWN} more", style="dim"))
        if not running:
            rows.add_row(Text("starting workers …", style="dim"))
        return Group(head, Text(_best(history), style="bold green"), rows)

    def _progress(self, history: History) -> str:
        counts = history.counts()
        parts = [f"{counts[state]} {state}" for state in ("finished", "paused", "pruned", "failed") if state in counts]
        asked = self._session.stopping.trials
        what = f"{history.settled}/{asked} trials" if asked else count(history.settled, "trial")
        return what + (f" ({', '.join(parts)})" if parts else "")

    def _time(self) -> str:
        now = time.monotonic()
        spent, worked = now - self._began, now - (self._working_since or now)
        left = _time_left(self._history, self._session, self._history.settled - self._settled_before, worked)
        return duration(round(spent)) + (f", {duration(round(left))} left" if left is not None else "")


def _time_left(history: History, session: SessionStarted, settled_here: int, worked_s: float) -> float | None:
    """Estimate the remaining time in seconds, from the pace of this session and the timeout.

    Args:
        history: The study so far.
        session: The settings of this session.
        settled_here: The number of trials that have ended or paused in this session.
        worked_s: The seconds since this session's first trial started.

    Returns:
        The estimate, which ignores that paused trials may continue; None if it is unknown.
    """
    bounds = []
    if session.stopping.trials is not None and settled_here > 0:
        bounds.append((session.stopping.trials - history.settled) * worked_s / settled_here)
    if session.stopping.timeout_s is not None:
        bounds.append(max(0.0, session.stopping.timeout_s - history.worked_s - worked_s))
    return min(bounds, default=None)


def _announce(console: Console, store: Path, history: History, session: SessionStarted) -> None:
    stopping = session.stopping
    trials = count(stopping.trials, "trial") if stopping.trials else "trials"
    within = f" within {duration(stopping.timeout_s)}" if stopping.timeout_s else ""
    done = f", {history.settled} already done" if history.settled else ""
    places = {"inline": "in this process", "ray": f"on {count(session.workers, 'Ray worker')}"}
    on = places.get(session.executor, f"in {session.executor}")  # else an executor of the user's own
    text = f"{history.study.name}: {trials}{within} {on}{done}; {history.study.aim}; stored in {store}"
    console.print(text, markup=False, soft_wrap=True)


def _outcome(history: History, trial: Trial) -> str:
    values = ((metric, trial.value(metric)) for metric in history.study.metrics)
    shown = ",".join(f" {metric} {number(value)}" for metric, value in values if value is not None)
    runs = len(trial.values(history.study.goal.metric))
    mean = f" (mean of {count(runs, 'run')})" if runs > 1 else ""
    why = f" ({trial.reason})" if trial.reason else ""
    violates = f", violates {', '.join(map(str, broken))}" if (broken := history.broken(trial)) else ""
    return f"trial {trial.number} {trial.state}{shown}{mean} after {count(trial.step, 'step')}{why}{violates}"


def _best(history: History) -> str:
    best = history.best
    if best is None:
        return ""
    front = f"front of {len(history.front)}; " if len(history.study.goals) > 1 else ""
    return f"{front}best {history.study.goal.metric} {number(history.value(best))} (trial {best.number})"
