"""No pruning."""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.search.protocols import Continue, Pruner, Verdict
from archsearch.studies.history import History
from archsearch.studies.records import Trial


@dataclass(frozen=True, slots=True)
class Never(Pruner):
    """Never stops a trial: every trial runs to its budget.

    This is the default. It is a pruner so that the engine and the report treat all studies alike.
    """

    def judge(self, trial: Trial, history: History) -> Verdict:
        return Continue()
