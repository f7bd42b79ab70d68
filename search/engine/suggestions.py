"""The strategy as the engine asks it: on one thread, ahead of need, checked, and blamed by name where it breaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from archsearch.search.engine.stopping import blaming
from archsearch.search.protocols import Strategy
from archsearch.spaces import SpecError
from archsearch.studies.history import History
from archsearch.studies.records import STARTED_WITH, Extension, Proposal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a strategy proposed, having been shown the events up to number `seen`."""

    proposal: Proposal
    seen: int


class Suggester:
    """Asks a strategy, never two things at a time.

    ahead: trial k is asked for as soon as trial k - 1 has started, on a thread beside the engine, so that workers wait
        for a model only where it takes longer than the time between two starts. What is answered depends on that
        moment's history alone, and not on how long it takes. The price is that a result which comes in between is not
        yet known: so it is not for a single worker.
    """

    def __init__(self, strategy: Strategy, *, ahead: bool) -> None:
        self._strategy = strategy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="strategy") if ahead else None
        self._coming: tuple[int, int, Future[list[Proposal]]] | None = None  # the trial's number, `seen`, the answer

    @property
    def ahead(self) -> bool:
        return self._thread is not None

    def proposals(self, history: History, wanted: int) -> list[Suggestion]:
        """The next trials, at most so many: one by one where they are asked for ahead. [] is "wait"."""
        number = len(history.trials)
        if self._coming is not None and self._coming[0] == number:
            (_, seen, answer), self._coming = self._coming, None
            with blaming("strategy", self._strategy):
                proposals = self._checked(history, answer.result(), 1)
            if proposals:
                return _suggestions(history, proposals, seen)
        n = 1 if self.ahead else wanted
        with blaming("strategy", self._strategy):
            proposals = self._checked(history, self._call(lambda: self._ask(history, n)), n)
        return _suggestions(history, proposals, history.seq)

    def started(self, history: History) -> None:
        """The latest trial has just started: the time to ask for the next one."""
        if self._thread is not None:
            self._coming = len(history.trials), history.seq, self._thread.submit(self._ask, history, 1)

    def extensions(self, history: History, free: int) -> list[Extension]:
        """The paused trials that the strategy lets go on."""
        with blaming("strategy", self._strategy):
            extensions = self._call(lambda: self._strategy.promote(history, free))
            _check_extensions(history, extensions, free)
        return extensions

    def close(self) -> None:
        """No question is left open."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _call(self, question: Callable[[], T]) -> T:
        return question() if self._thread is None else self._thread.submit(question).result()

    def _ask(self, history: History, n: int) -> list[Proposal]:
        return self._strategy.ask(history, n, history.study.generator(len(history.trials)))

    def _checked(self, history: History, proposals: list[Proposal], n: int) -> list[Proposal]:
        """As they were made: a strategy may be the user's own."""
        if len(proposals) > n:
            raise SpecError(f"it made {len(proposals)} proposals, {n} were asked for")
        for proposal in proposals:
            history.study.space.check(proposal.config)
            json.dumps(dict(proposal.state), allow_nan=False)
        named = (replace(each, proposer=each.proposer or type(self._strategy).__name__.lower()) for each in proposals)
        return [history.study.completed(proposal) for proposal in named]


def _suggestions(history: History, proposals: Sequence[Proposal], seen: int) -> list[Suggestion]:
    """With the configurations that the study starts with in place of the first that were proposed."""
    start, number = history.study.start, len(history.trials)
    begun = [
        replace(proposal, config=start[place], proposer=STARTED_WITH, reason="", drawn_at_random=False, state={})
        if place < len(start)
        else proposal
        for place, proposal in enumerate(proposals, start=number)
    ]
    return [Suggestion(proposal, seen) for proposal in begun]


def _check_extensions(history: History, extensions: Sequence[Extension], free: int) -> None:
    numbers = [extension.trial for extension in extensions]
    paused = {trial.number: trial for trial in history.open_trials("paused")}
    if len(numbers) > free or len(set(numbers)) < len(numbers):
        raise SpecError(f"it let trials {numbers} go on, and {free} different ones were asked for")
    for extension in extensions:
        trial, most = paused.get(extension.trial), history.study.budget
        if trial is None or most is None or not trial.step < extension.budget <= most:
            raise SpecError(f"{extension!r} is no paused trial with a budget above its steps and up to {most}")
        json.dumps(dict(extension.state), allow_nan=False)
