"""Calls the strategy for the engine: on one thread, ahead of need, with checked answers and attributed errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from archsearch.search.engine.answers import checked_extensions, checked_proposals
from archsearch.search.engine.stopping import StopSession, attribute_errors
from archsearch.search.protocols import Strategy
from archsearch.spaces import ExecutionError
from archsearch.studies.history import History
from archsearch.studies.records import STARTED_WITH, Extension, Proposal

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposal, and the number of the last event that the strategy had seen when it made the proposal."""

    proposal: Proposal
    seen: int


class Suggester:
    """Calls a strategy, one call at a time.

    Args:
        strategy: The strategy.
        ahead: Whether to request trial k on a background thread as soon as trial k - 1 has started, so that workers
            wait for a model only if fitting it takes longer than the time between two starts. The answer depends on
            the history at that moment only, not on how long the call takes. The drawback is that results which arrive
            during the call are not used, so a single worker should not request proposals ahead.
    """

    def __init__(self, strategy: Strategy, *, ahead: bool) -> None:
        self._strategy = strategy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="strategy") if ahead else None
        self._next: tuple[int, int, Future[list[Proposal]]] | None = None  # the trial's number, `seen`, the answer

    @property
    def ahead(self) -> bool:
        return self._thread is not None

    def proposals(self, history: History, wanted: int) -> list[Suggestion]:
        """Return the next proposals.

        Args:
            history: The study so far.
            wanted: The maximum number of proposals.

        Returns:
            At most `wanted` suggestions, and at most one if proposals are requested ahead. An empty list means "wait".

        Raises:
            StopSession: The strategy failed, or made an invalid proposal.
        """
        number = len(history.trials)
        if self._next is not None and self._next[0] == number:
            (_, seen, answer), self._next = self._next, None
            with attribute_errors("strategy", self._strategy):
                proposals = self._check_proposals(history, answer.result(), 1)
            if proposals:
                return _suggestions(history, proposals, seen)
        n = 1 if self.ahead else wanted
        with attribute_errors("strategy", self._strategy):
            proposals = self._check_proposals(history, self._call(lambda: self._ask(history, n)), n)
        return _suggestions(history, proposals, history.seq)

    def started(self, history: History) -> None:
        """Request the next proposal in the background, now that the latest trial has started."""
        if self._thread is not None:
            self._next = len(history.trials), history.seq, self._thread.submit(self._ask, history, 1)

    def extensions(self, history: History, free: int) -> list[Extension]:
        """Return the paused trials that the strategy promotes, at most `free` of them."""
        with attribute_errors("strategy", self._strategy):
            return checked_extensions(history, self._call(lambda: self._strategy.promote(history, free)), free)

    def close(self) -> None:
        """Wait for the call in progress and cancel the pending one."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _call(self, question: Callable[[], T]) -> T:
        return question() if self._thread is None else self._thread.submit(question).result()

    def _ask(self, history: History, n: int) -> list[Proposal]:
        return self._strategy.ask(history, n, history.study.generator(len(history.trials)))

    def _check_proposals(self, history: History, proposals: object, n: int) -> list[Proposal]:
        default = type(self._strategy).__name__.lower()
        return [history.study.completed(each) for each in checked_proposals(history, proposals, n, default)]


def promotions(strategy: Strategy, history: History) -> list[Extension]:
    """The next paused trial that a strategy promotes, if any, outside of a session.

    Raises:
        ExecutionError: The strategy failed.
    """
    try:
        return Suggester(strategy, ahead=False).extensions(history, 1)
    except StopSession as stopped:
        raise stopped.error or ExecutionError(stopped.reason) from stopped.__cause__


def _suggestions(history: History, proposals: Sequence[Proposal], seen: int) -> list[Suggestion]:
    """Replace the first proposals of the study with the configurations in its `start`."""
    start, number = history.study.start, len(history.trials)
    begun = [
        replace(proposal, config=start[place], proposer=STARTED_WITH, reason="", drawn_at_random=False, state={})
        if place < len(start)
        else proposal
        for place, proposal in enumerate(proposals, start=number)
    ]
    return [Suggestion(proposal, seen) for proposal in begun]
