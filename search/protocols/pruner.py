"""Pruner: stops trials early."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.search.protocols.settings_repr import settings_repr
from archsearch.spaces.argument_hints import ArgumentHints
from archsearch.studies.history import History
from archsearch.studies.records import StudyRecord, Trial


@dataclass(frozen=True, slots=True)
class Continue:
    """The trial may go on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The trial should end here, as pruned.

    Args:
        reason: The reason as text, for the report and `archsearch show`.
    """

    reason: str


Verdict = Continue | Stop


class Pruner(ArgumentHints):
    """Judges a trial at each of its reports, as a function of the history. The base of every pruner.

        class Threshold(Pruner):
            def judge(self, trial, history):
                loss = history.loss(trial)
                return Stop(f"loss {loss:.3g} is above 2") if loss is not None and loss > 2 else Continue()

    `archsearch.search.testing.pruners.PrunerContract` tests what the engine relies on.
    """

    __slots__ = ()

    def judge(self, trial: Trial, history: History) -> Verdict:
        """Decide whether the trial continues.

        Args:
            trial: The trial, which has just made the report `trial.reports[-1]`.
            history: All trials so far, including this one.

        Returns:
            `Continue()`, or `Stop(reason)`: the trial ends as pruned.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement judge()")

    def warnings_for(self, study: StudyRecord, trials: int | None) -> list[str]:
        """Warnings about settings that have no effect in this study; see `Strategy.warnings_for`."""
        return []

    def __repr__(self) -> str:
        """The class and its settings; see `Strategy.__repr__`."""
        return settings_repr(self)
