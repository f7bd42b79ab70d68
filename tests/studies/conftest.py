"""A small study, and Hypothesis strategies for what may happen to it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from archsearch import Float, Int, Space
from archsearch.studies.goals import Goal
from archsearch.studies.records import (
    Blame,
    Ended,
    Event,
    Extended,
    Failed,
    Finished,
    Logged,
    Lost,
    Outcome,
    Paused,
    Proposal,
    Proposed,
    Pruned,
    Report,
    Reported,
    RunCompleted,
    SessionEnded,
    SessionStarted,
    Started,
    StudyRecord,
)
from archsearch.studies.stopping_criteria import StoppingCriteria

OUTCOMES: tuple[Outcome, ...] = (Finished(), Pruned("too slow"), Failed("ValueError: é\n'x'"))


class Life:
    """Plays steps such as ("report", 3, 1) as legal events: the second number picks the trial, the third the detail."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = 1000.0
        self.states: list[str] = []
        self.steps: list[int] = []
        self.attempts: list[int] = []

    def add(self, event: Event) -> None:
        self.events.append(event)

    def play(self, name: str, pick: int, detail: int) -> None:
        self.now += detail / 4
        if name in ("open", "close", "propose"):
            getattr(self, name)(detail)
            return
        fitting = [n for n, state in enumerate(self.states) if state in NEEDS[name]]
        if fitting:
            getattr(self, name)(fitting[pick % len(fitting)], detail)

    def open(self, detail: int) -> None:
        self.add(SessionStarted(self.now, StoppingCriteria(trials=10 if detail else None), 2, "test", "host", 7))
        for number, state in enumerate(self.states):
            if state == "running":
                self.add(Lost(self.now, number, "the driver was killed", "driver"))
                self.states[number] = "waiting"

    def close(self, detail: int) -> None:
        self.add(SessionEnded(self.now, "every trial is done"))

    def propose(self, detail: int) -> None:
        proposal = Proposal({"a": 0.5, "b": detail}, detail or None, "test")
        self.add(Proposed(self.now, len(self.states), proposal, len(self.events)))
        self.states.append("waiting")
        self.steps.append(0)
        self.attempts.append(0)

    def start(self, number: int, detail: int) -> None:
        self.steps[number] = min(detail, self.steps[number])
        self.attempts[number] += 1
        self.add(Started(self.now, number, self.attempts[number], f"worker-{detail}", self.steps[number]))
        self.states[number] = "running"

    def report(self, number: int, detail: int) -> None:
        self.steps[number] += 1
        metrics = {"loss": detail / 8} if detail % 3 else {'odd "name"\n\\é': 1e-9 * detail}
        saved = f"step-{self.steps[number]}" if detail % 4 == 1 else ""
        self.add(Reported(self.now, number, Report(self.steps[number], metrics, float(detail), saved)))

    def pause(self, number: int, detail: int) -> None:
        self.add(Paused(self.now, number))
        self.states[number] = "paused"

    def extend(self, number: int, detail: int) -> None:
        self.add(Extended(self.now, number, self.steps[number] + detail + 1))
        self.states[number] = "waiting"

    def repeat(self, number: int, detail: int) -> None:
        self.report(number, 1)  # a run that is complete has a value
        self.add(RunCompleted(self.now, number))
        self.states[number], self.steps[number] = "waiting", 0

    def lose(self, number: int, detail: int) -> None:
        self.add(Lost(self.now, number, "killed", BLAMES[detail % 3]))
        self.states[number] = "waiting"

    def end(self, number: int, detail: int) -> None:
        self.add(Ended(self.now, number, OUTCOMES[detail % 3]))
        self.states[number] = "ended"

    def log(self, number: int, detail: int) -> None:
        self.add(Logged(self.now, number, f"line {detail}\n"))


BLAMES: tuple[Blame, ...] = ("worker", "driver", "checkpoint")
NEEDS = {
    "start": ("waiting",),
    "report": ("running",),
    "pause": ("running",),
    "extend": ("paused",),
    "repeat": ("running",),
    "lose": ("running",),
    "end": ("running", "waiting", "paused"),
    "log": ("running",),
}
OFTEN = ("propose", "propose", *["start"] * 4, *["report"] * 8, "lose", "extend")
STEPS = st.tuples(st.sampled_from((*OFTEN, *NEEDS, "open", "close")), st.integers(0, 7), st.integers(0, 7))


def play(steps: list[tuple[str, int, int]]) -> list[Event]:
    life = Life()
    life.open(1)
    for step in steps:
        life.play(*step)
    return life.events


@pytest.fixture(scope="session")
def any_events() -> st.SearchStrategy[list[Event]]:
    """The events of a study of any legal course, with retries, promotions, and drivers that come and go."""
    return (st.lists(STEPS, max_size=10) | st.lists(STEPS, min_size=30, max_size=80)).map(play)


@pytest.fixture(scope="session")
def small_study() -> StudyRecord:
    space = Space(a=Float(0, 1), b=Int(0, 7))
    return StudyRecord("small", space, (Goal("loss", maximize=False),), 9, 3, "Random()", "Never()")
