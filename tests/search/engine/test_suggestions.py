"""Asks ahead of need: from the history at a fixed event, on one thread, and every one replayable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archsearch import ASHA, TPE, Bayes, ExecutionError, Random, Strategy, SuccessiveHalving
from archsearch.studies.history import History
from archsearch.studies.records import Extension, Proposal, Proposed, Started

STRATEGIES: dict[str, Callable[[], Any]] = {
    "random": Random,
    "tpe": lambda: TPE(startup_trials=3),
    "bayes": lambda: Bayes(startup_trials=3, candidates=50),
    "asha": lambda: ASHA(TPE(startup_trials=3)),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_each_trial_is_asked_for_at_the_start_of_the_one_before(session: Any, name: str) -> None:
    session.run(trials=9, strategy=STRATEGIES[name](), capacity=3, pruner=SuccessiveHalving(1, 2), ahead=True)
    starts: dict[int, int] = {}
    for place, event in enumerate(session.events, start=1):
        if isinstance(event, Started):
            starts.setdefault(event.trial, place)
    proposed = [event for event in session.events if isinstance(event, Proposed)]
    assert [event.seen for event in proposed] == [1, *(starts[number] for number in range(8))]
    for event in proposed:
        history = History.from_events(session.record, session.events[: event.seen])
        rng = np.random.default_rng([session.record.seed, event.trial])
        (again,) = STRATEGIES[name]().ask(history, 1, rng)
        assert session.record.completed(again) == event.proposal


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_parallel_study_that_asks_ahead_may_be_cut_at_any_commit(session: Any, name: str) -> None:
    session.run(trials=7, strategy=STRATEGIES[name](), capacity=3, ahead=True)
    batches = list(session.batches)
    for cut in range(1, len(batches), 4):
        session.batches[:] = batches[:cut]
        history = session.run(trials=7, strategy=STRATEGIES[name](), capacity=3, ahead=True)
        assert len(history.trials) == 7
        assert [event.trial for event in session.events if isinstance(event, Proposed)] == list(range(7))


class Watched(Strategy):
    """Random search that notes which thread asks it, and that it is never asked two things at a time."""

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.within = threading.Lock()

    def _enter(self) -> None:
        assert self.within.acquire(blocking=False), "asked twice at a time"
        self.threads.add(threading.current_thread().name)
        self.within.release()

    def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
        self._enter()
        return Random().ask(history, n, rng)

    def promote(self, history: History, n: int) -> list[Extension]:
        self._enter()
        return []


def test_a_strategy_lives_on_one_thread(session: Any) -> None:
    watched = Watched()
    session.run(trials=6, strategy=watched, capacity=2, ahead=True)
    assert len(watched.threads) == 1
    assert watched.threads != {threading.current_thread().name}
    assert not any(thread.name in watched.threads for thread in threading.enumerate()), "it is left running"


def test_a_strategy_that_breaks_ahead_is_blamed_where_it_was_needed(session: Any) -> None:
    class Breaks(Random):
        def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
            if len(history.trials) == 4:
                raise RuntimeError("no idea")
            return super().ask(history, n, rng)

    with pytest.raises(
        ExecutionError, match=r"the strategy .* failed: RuntimeError: no idea \(test_suggestions.py, line \d+\)"
    ):
        session.run(trials=9, strategy=Breaks(), capacity=2, ahead=True)
    assert len(session.history.trials) == 4
    assert not session.history.open_trials("running")


def test_a_wait_is_asked_again(session: Any) -> None:
    class Waits(Random):
        """No trial before the one before it has ended."""

        def ask(self, history: History, n: int, rng: np.random.Generator) -> list[Proposal]:
            return [] if history.unfinished else super().ask(history, 1, rng)

    history = session.run(trials=4, strategy=Waits(), capacity=2, ahead=True)
    assert history.counts() == {"finished": 4}


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("capacity", [1, 3])
def test_a_study_starts_with_what_it_was_given(session: Any, ahead: bool, capacity: int) -> None:
    start = ({"lr": 0.01, "layers": 1}, {"lr": 0.02, "layers": 2, "width": 32})
    session.record = replace(session.record, start=start)
    history = session.run(trials=5, strategy=TPE(startup_trials=2), capacity=capacity, ahead=ahead)
    assert tuple(trial.config for trial in history.trials[:2]) == start
    assert [trial.proposal.proposer for trial in history.trials[:2]] == ["start", "start"]
    assert all(trial.proposal.proposer != "start" for trial in history.trials[2:])


def test_what_it_starts_with_takes_the_budget_of_its_strategy(session: Any) -> None:
    session.record = replace(session.record, start=({"lr": 0.01, "layers": 1},))
    session.run(trials=4, strategy=ASHA(eta=2))
    first = next(event for event in session.events if isinstance(event, Proposed))
    assert first.proposal.budget == 1
